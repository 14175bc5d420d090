import { KernelError } from '../../errors.ts'
import { macToBytes } from '../../net/mac.ts'
import { netnsId } from '../netns.ts'
import type { VethLink, VethPeer } from '../objects.ts'
import { ERRNO, IFINFO_BYTES, RTM } from './constants.ts'
import type { NetlinkContext } from './entry-table.ts'
import { ALIAS_PREFIX } from './link-index.ts'
import { ADDR_GEN_MODE_NONE, IFLA, type LinkInfo } from './link-info.ts'
import { type MessageWriter, NLM_F_CREATE, NLM_F_EXCL, readAttributes } from './message.ts'
import { isFailure } from './rtnetlink.ts'
import { configurePeer, findPeer, insidePeer, type PeerState, readPeer } from './veth-peer.ts'
import { removeLink, setLink } from './vxlan-link.ts'

const VETH_INFO_PEER = 1
const NETNSA = { NSID: 1, FD: 3 } as const
/** IFALIASZ less the terminating zero. */
const MAX_ALIAS_BYTES = 255
const AF_INET6 = 10
const OWN_NETNS = '/proc/thread-self/ns/net'

/**
 * Makes a veth pair what it should be, with all inside the workload's network namespace. An existing pair into the same
 * namespace is changed in place. The namespace's path is kept as the alias of our end (`ip link` shows it): after a restart
 * it says where the other end is.
 *
 * @throws {KernelError}
 */
export function putVeth(context: NetlinkContext, link: VethLink, existing: LinkInfo | undefined, netns: string | undefined): void {
  const alias = `${ALIAS_PREFIX}${link.peer.netns}`
  if (Buffer.byteLength(alias) > MAX_ALIAS_BYTES) {
    const limit = MAX_ALIAS_BYTES - ALIAS_PREFIX.length
    throw new KernelError(`the path of the network namespace ${JSON.stringify(link.peer.netns)} is longer than ${limit} bytes`, {
      errno: ERRNO.EINVAL,
    })
  }
  insidePeer(link.peer.netns, (inside, fd) => {
    // A default route and addresses of a workload, put into the host itself, would cut it off.
    if (netnsId(fd) === netnsId(netns ?? OWN_NETNS)) {
      throw new KernelError(`${JSON.stringify(link.peer.netns)} is the host's own network namespace, not a workload's`, {
        errno: ERRNO.EINVAL,
      })
    }
    const isSamePair = existing?.kind === 'veth' && existing.linkNsid !== undefined && existing.linkNsid === nsidOf(context, fd)
    if (existing !== undefined && !isSamePair) removeLink(context, existing)
    if (!isSamePair) createVeth(context, link, { fd, isFree: () => findPeer(inside, link.peer.name) === undefined })
    const own = isSamePair ? existing : context.links.ask(link.name)
    if (own?.linkIndex === undefined) throw new KernelError(`${link.name} vanished while it was set up`, { errno: ERRNO.ENODEV })
    try {
      if (!isSamePair) stopGeneratedAddresses(context, own)
      if (own.alias !== alias) writeAlias(context, own, alias)
      configurePeer(inside, fd, own.linkIndex, link.peer, link.mtuBytes)
      setLink(context, own, link)
    } catch (error) {
      // Half a workload's interface helps nobody, and the next try begins anew.
      if (!isSamePair) removeLink(context, own)
      throw error
    }
  })
}

/** Reads a pair back. Where the workload's end can't be seen, only our end is told of, with the reason as a fault. */
export function readVeth(context: NetlinkContext, link: LinkInfo): VethLink {
  const netns = link.alias?.startsWith(ALIAS_PREFIX) ? link.alias.slice(ALIAS_PREFIX.length) : ''
  const { peer, faults } = readOtherEnd(context, link, netns)
  const all = link.isUp ? faults : ['is down', ...faults]
  return { kind: 'veth', name: link.name, mtuBytes: link.mtuBytes, mac: link.mac, peer, ...(all.length > 0 && { faults: all }) }
}

/** Whether a pair is as wanted; the order of addresses and gateways does not matter. */
export function isSameVeth(desired: VethLink, actual: VethLink): boolean {
  const { peer: want } = desired
  const { peer: have } = actual
  return (
    (actual.faults ?? []).length === 0 &&
    desired.mtuBytes === actual.mtuBytes &&
    desired.mac === actual.mac &&
    want.netns === have.netns &&
    want.name === have.name &&
    (want.mac === undefined || want.mac === have.mac) &&
    isSameSet(want.addresses, have.addresses) &&
    isSameSet(want.gateways, have.gateways)
  )
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const wanted = new Set(a)
  return wanted.size === new Set(b).size && b.every((item) => wanted.has(item))
}

function readOtherEnd(
  context: NetlinkContext,
  link: LinkInfo,
  netns: string,
): { readonly peer: VethPeer; readonly faults: readonly string[] } {
  const unseen = (reason: string) => ({ peer: { netns, name: '', addresses: [], gateways: [] }, faults: [`peer: ${reason}`] })
  const { linkIndex } = link
  if (linkIndex === undefined || link.linkNsid === undefined) return unseen('is in our own network namespace')
  if (netns === '') return unseen('it is not known where it is')
  try {
    return insidePeer(netns, (inside, fd) => {
      if (nsidOf(context, fd) !== link.linkNsid) return unseen(`is not in ${netns}`)
      const state = readPeer(inside, fd, linkIndex, link.mtuBytes)
      return state === undefined ? unseen(`is not in ${netns}`) : { peer: peerOf(netns, state), faults: state.faults }
    })
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return unseen(error.message)
  }
}

function peerOf(netns: string, { name, mac, addresses, gateways }: PeerState): VethPeer {
  return { netns, name, mac, addresses, gateways }
}

/** The number by which our namespace knows another (RTM_GETNSID); undefined where it has none. */
function nsidOf(context: NetlinkContext, fd: number): number | undefined {
  const answer = context.netlink.ask((writer, sequence) => {
    writer.begin(RTM.GETNSID, 0, sequence, 4)
    writer.u32(NETNSA.FD, fd)
    writer.finish()
  })
  if (isFailure(answer)) return undefined
  const nsid = readAttributes(answer.payload, 4).get(NETNSA.NSID)?.readInt32LE(0)
  return nsid === undefined || nsid < 0 ? undefined : nsid
}

function createVeth(context: NetlinkContext, link: VethLink, inside: { readonly fd: number; readonly isFree: () => boolean }): void {
  const { peer } = link
  if (!inside.isFree()) {
    throw new KernelError(`there is an interface ${JSON.stringify(peer.name)} in ${peer.netns} already`, { errno: ERRNO.EEXIST })
  }
  context.netlink.change(`make the interface ${link.name} with ${peer.name} in ${peer.netns}`, (writer, sequence) => {
    writer.begin(RTM.NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sequence, IFINFO_BYTES)
    writer.text(IFLA.IFNAME, link.name)
    writer.u32(IFLA.MTU, link.mtuBytes)
    writer.bytesOf(IFLA.ADDRESS, macToBytes(link.mac))
    writer.nested(IFLA.LINKINFO, () => {
      writer.text(IFLA.INFO_KIND, 'veth')
      writer.nested(IFLA.INFO_DATA, () => writer.nested(VETH_INFO_PEER, () => writePeer(writer, link, inside.fd)))
    })
    writer.finish()
  })
}

/**
 * No link-local address but the gateway's, which the plan gives: the host says nothing else to the workload. To be set while
 * the link is down, and not with its making, which the kernel refuses (EAFNOSUPPORT, Linux 6.18).
 */
function stopGeneratedAddresses(context: NetlinkContext, link: LinkInfo): void {
  const write = (writer: MessageWriter, sequence: number) => {
    const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(link.index, at + 4)
    writer.nested(IFLA.AF_SPEC, () => writer.nested(AF_INET6, () => writer.u8(IFLA.INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE)))
    writer.finish()
  }
  // Where IPv6 is off, there is nothing to stop.
  context.netlink.change(`stop generated addresses on ${link.name}`, write, [ERRNO.EAFNOSUPPORT])
}

/** The other end is born in its namespace with its name: it never shows up in ours. */
function writePeer(writer: MessageWriter, { peer, mtuBytes }: VethLink, fd: number): void {
  writer.structure(IFINFO_BYTES)
  writer.text(IFLA.IFNAME, peer.name)
  writer.u32(IFLA.MTU, mtuBytes)
  if (peer.mac !== undefined) writer.bytesOf(IFLA.ADDRESS, macToBytes(peer.mac))
  writer.u32(IFLA.NET_NS_FD, fd)
}

function writeAlias(context: NetlinkContext, link: LinkInfo, alias: string): void {
  context.netlink.change(`note the network namespace on ${link.name}`, (writer, sequence) => {
    const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(link.index, at + 4)
    // Without a terminating zero: the kernel would keep it as a part of the alias.
    writer.bytesOf(IFLA.IFALIAS, Buffer.from(alias))
    writer.finish()
  })
}
