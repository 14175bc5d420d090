import { closeSync } from 'node:fs'
import { KernelError } from '../../errors.ts'
import { type InterfaceAddress, isHostCidr, parseCidrLoosely } from '../../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { type Mac, macToBytes } from '../../net/mac.ts'
import { openNetns, withNetns } from '../netns.ts'
import type { VethPeer } from '../objects.ts'
import { readSysctl, writeSysctl } from '../sysctl.ts'
import { readAddress, writeAddress, writeAddressDump } from './addresses.ts'
import { AF_INET, AF_INET6, ERRNO, IFF_UP, IFINFO_BYTES, RTM, RTMSG_BYTES } from './constants.ts'
import { IFLA, type LinkInfo, readLink, writeLinkQuestion } from './link-info.ts'
import { type Message, type MessageWriter, NLM_F_CREATE, NLM_F_REPLACE, readAttributes, readNumber } from './message.ts'
import { isFailure, type Operation, Rtnetlink } from './rtnetlink.ts'

const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7 } as const
const RT_SCOPE_LINK = 253
const RTPROT_BOOT = 3
const MAIN = 254
const LOOPBACK_INDEX = 1

/** The workload's end as it is. */
export interface PeerState {
  readonly name: string
  readonly mac: Mac
  readonly addresses: readonly InterfaceAddress[]
  readonly gateways: readonly Ip[]
  /** What else is not as it must be. */
  readonly faults: readonly string[]
}

/** Opens netlink inside a network namespace for as long as `work` runs. */
export function insidePeer<T>(netns: string, work: (netlink: Rtnetlink, fd: number) => T): T {
  const fd = openNetns(netns)
  try {
    const netlink = new Rtnetlink(fd)
    try {
      return work(netlink, fd)
    } finally {
      netlink.close()
    }
  } finally {
    closeSync(fd)
  }
}

/** The interface of this index or name inside. */
export function findPeer(netlink: Rtnetlink, link: number | string): LinkInfo | undefined {
  const answer = netlink.ask((writer, sequence) => writeLinkQuestion(writer, sequence, link))
  return isFailure(answer) ? undefined : readLink(answer)
}

/** Reads back all that `configurePeer` sets. */
export function readPeer(netlink: Rtnetlink, fd: number, index: number, mtuBytes: number): PeerState | undefined {
  const link = findPeer(netlink, index)
  if (link === undefined) return undefined
  const addresses = FAMILIES.flatMap((family) => listOwnAddresses(netlink, family, index))
  const gateways = FAMILIES.flatMap((family) => listGateways(netlink, family, index))
  const faults: string[] = []
  if (!link.isUp) faults.push('peer: is down')
  if (link.mtuBytes !== mtuBytes) faults.push(`peer: MTU is ${link.mtuBytes}`)
  if (findPeer(netlink, LOOPBACK_INDEX)?.isUp === false) faults.push('peer: lo is down')
  if (addresses.some((address) => familyOf(address) === 6)) {
    const wrong = withNetns(fd, () => ipv6Sysctls(link.name).filter(([key, value]) => readSysctl(key) !== value))
    for (const [key] of wrong) faults.push(`peer: ${key} is wrong`)
  }
  return { name: link.name, mac: link.mac, addresses, gateways, faults }
}

/**
 * Configures the workload's end: name, MAC, MTU, `lo` up, addresses, gateways. All steps can be done again; what is right
 * already is left alone, so nothing is interrupted.
 *
 * @throws {KernelError} at the first step that is refused
 */
export function configurePeer(netlink: Rtnetlink, fd: number, index: number, peer: VethPeer, mtuBytes: number): void {
  const before = findPeer(netlink, index)
  if (before === undefined) throw new KernelError(`the interface ${peer.name} vanished from ${peer.netns}`, { errno: ERRNO.ENODEV })
  if (before.name !== peer.name) renamePeer(netlink, before, peer.name)
  // Before it goes up: else it would look for duplicates of its link-local address for a second, and for routers.
  if (peer.addresses.some((address) => familyOf(address) === 6)) withNetns(fd, () => setIpv6Sysctls(peer.name))
  bringUp(netlink, LOOPBACK_INDEX, 'lo')
  setPeerLink(netlink, index, peer, mtuBytes)
  const wanted = new Set<string>(peer.addresses)
  const present = FAMILIES.flatMap((family) => listOwnAddresses(netlink, family, index))
  const surplus = present.filter((address) => !wanted.has(address))
  const run = (operations: Operation[]) => {
    for (const error of netlink.submitNow(operations).values()) throw error
  }
  run(peer.addresses.map((address) => addressOperation(address, index, peer, true)))
  run(peer.gateways.flatMap((gateway) => gatewayOperations(gateway, index, peer)))
  run(surplus.map((address) => addressOperation(address, index, peer, false)))
  const stale = FAMILIES.flatMap((family) => listGateways(netlink, family, index)).filter((gateway) => !peer.gateways.includes(gateway))
  run(stale.map((gateway) => removeDefaultOperation(gateway, index)))
}

/** Host addresses (/32, /128) are what we give; a prefix that the workload gave itself is its own business. */
function listOwnAddresses(netlink: Rtnetlink, family: Family, index: number): InterfaceAddress[] {
  const take = (message: Message) => {
    const info = readAddress(message)
    const isOwn = info?.index === index && info.scope === 'global' && info.isPermanent && isHostCidr(parseCidrLoosely(info.address))
    return isOwn ? info.address : undefined
  }
  return netlink.dumpNow((writer, flags) => writeAddressDump(writer, flags, family, index), take)
}

/** Next hops of the default routes on this interface in the main table. */
function listGateways(netlink: Rtnetlink, family: Family, index: number): Ip[] {
  const write = (writer: MessageWriter, flags: number) => {
    const { buffer, at } = writer.begin(RTM.GETROUTE, flags, 0, RTMSG_BYTES)
    buffer[at] = family === 4 ? AF_INET : AF_INET6
    writer.finish()
  }
  return netlink.dumpNow(write, ({ type, payload }) => {
    if (type !== RTM.NEWROUTE || payload[1] !== 0 || payload[4] !== MAIN || payload[7] !== 1) return undefined
    const attributes = readAttributes(payload, RTMSG_BYTES)
    const gateway = attributes.get(RTA.GATEWAY)
    const metric = readNumber(attributes.get(RTA.PRIORITY)) ?? 0
    const isPlain = metric === (family === 4 ? 0 : 1024)
    return gateway && isPlain && readNumber(attributes.get(RTA.OIF)) === index ? ipFromBytes(gateway) : undefined
  })
}

function ipv6Sysctls(name: string): readonly (readonly [string, string])[] {
  const conf = `net/ipv6/conf/${name}`
  return [
    [`${conf}/disable_ipv6`, '0'],
    [`${conf}/accept_ra`, '0'],
    [`${conf}/accept_dad`, '0'],
  ]
}

function setIpv6Sysctls(name: string): void {
  for (const [key, value] of ipv6Sysctls(name)) if (readSysctl(key) !== value) writeSysctl(key, value)
}

/** A name can be changed only while the interface is down (Linux 6.1), which drops its routes: they are put again after. */
function renamePeer(netlink: Rtnetlink, link: LinkInfo, name: string): void {
  netlink.change(`rename ${link.name} to ${name} in the workload's network namespace`, (writer, sequence) => {
    const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(link.index, at + 4)
    buffer.writeUInt32LE(IFF_UP, at + 12)
    writer.finish()
  })
  netlink.change(`rename ${link.name} to ${name} in the workload's network namespace`, (writer, sequence) => {
    const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(link.index, at + 4)
    writer.text(IFLA.IFNAME, name)
    writer.finish()
  })
}

function bringUp(netlink: Rtnetlink, index: number, name: string): void {
  if (findPeer(netlink, index)?.isUp === true) return
  netlink.change(`bring up ${name} in the workload's network namespace`, (writer, sequence) => {
    const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(index, at + 4)
    buffer.writeUInt32LE(IFF_UP, at + 8)
    buffer.writeUInt32LE(IFF_UP, at + 12)
    writer.finish()
  })
}

function setPeerLink(netlink: Rtnetlink, index: number, peer: VethPeer, mtuBytes: number): void {
  const link = findPeer(netlink, index)
  const { mac } = peer
  const isMacRight = mac === undefined || link?.mac === mac
  if (link?.mtuBytes !== mtuBytes || !isMacRight) {
    netlink.change(`set MTU ${mtuBytes} and MAC of ${peer.name} in ${peer.netns}`, (writer, sequence) => {
      const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
      buffer.writeInt32LE(index, at + 4)
      writer.u32(IFLA.MTU, mtuBytes)
      if (mac !== undefined && !isMacRight) writer.bytesOf(IFLA.ADDRESS, macToBytes(mac))
      writer.finish()
    })
  }
  bringUp(netlink, index, peer.name)
}

function addressOperation(address: InterfaceAddress, index: number, peer: VethPeer, isPut: boolean): Operation {
  return {
    key: address,
    describe: () => `${isPut ? 'put' : 'remove'} the address ${address} on ${peer.name} in ${peer.netns}`,
    tolerates: isPut ? [] : [ERRNO.EADDRNOTAVAIL],
    write: (writer, sequence) => writeAddress(writer, sequence, address, index, isPut),
  }
}

/** The gateway lies in no subnet of the workload: a route says that it is on this link, then the default route can use it. */
function gatewayOperations(gateway: Ip, index: number, peer: VethPeer): Operation[] {
  const describe = () => `put the default route via ${gateway} on ${peer.name} in ${peer.netns}`
  const toGateway: Operation = {
    key: gateway,
    describe,
    write: (writer, sequence) => writeRoute(writer, sequence, { destination: gateway, index }),
  }
  const byDefault: Operation = { key: gateway, describe, write: (writer, sequence) => writeRoute(writer, sequence, { gateway, index }) }
  // A link-local address is on the link by its nature.
  return gateway.startsWith('fe80:') ? [byDefault] : [toGateway, byDefault]
}

function removeDefaultOperation(gateway: Ip, index: number): Operation {
  return {
    key: gateway,
    describe: () => `remove the default route via ${gateway}`,
    tolerates: [ERRNO.ESRCH],
    write(writer, sequence) {
      const { buffer, at } = writer.begin(RTM.DELROUTE, 0, sequence, RTMSG_BYTES)
      buffer[at] = familyOf(gateway) === 4 ? AF_INET : AF_INET6
      buffer[at + 4] = MAIN
      buffer[at + 6] = 255
      writer.u32(RTA.OIF, index)
      writer.bytesOf(RTA.GATEWAY, ipToBytes(gateway))
      writer.finish()
    },
  }
}

function writeRoute(
  writer: MessageWriter,
  sequence: number,
  route: { readonly destination?: Ip; readonly gateway?: Ip; readonly index: number },
): void {
  const { destination, gateway, index } = route
  const isV4 = familyOf(destination ?? gateway ?? '') === 4
  const { buffer, at } = writer.begin(RTM.NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sequence, RTMSG_BYTES)
  buffer[at] = isV4 ? AF_INET : AF_INET6
  buffer[at + 1] = destination === undefined ? 0 : isV4 ? 32 : 128
  buffer[at + 4] = MAIN
  buffer[at + 5] = RTPROT_BOOT
  buffer[at + 6] = isV4 && gateway === undefined ? RT_SCOPE_LINK : 0
  buffer[at + 7] = 1
  if (destination !== undefined) writer.bytesOf(RTA.DST, ipToBytes(destination))
  writer.u32(RTA.OIF, index)
  if (gateway !== undefined) writer.bytesOf(RTA.GATEWAY, ipToBytes(gateway))
  writer.finish()
}
