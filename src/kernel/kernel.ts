import { FAMILIES, familyOf, ipFromBytes, ipToBytes, parseIp } from '../net/ip.ts'
import { type AddressInfo, createAddressTable, readAddress, writeAddressDump } from './netlink/addresses.ts'
import { AF_INET, AF_INET6, RTM, RTMSG_BYTES } from './netlink/constants.ts'
import type { NetlinkContext } from './netlink/entry-table.ts'
import { EventQueue } from './netlink/event-queue.ts'
import { createFdbTable } from './netlink/fdb.ts'
import { LinkIndex } from './netlink/link-index.ts'
import { type LinkInfo, readLink, writeLinkDump } from './netlink/link-info.ts'
import { createLinkTable } from './netlink/links.ts'
import { type MessageWriter, readAttributes, readNumber } from './netlink/message.ts'
import { createNeighbourTable } from './netlink/neighbours.ts'
import { Notices } from './netlink/notices.ts'
import { createRouteTable } from './netlink/routes.ts'
import { isFailure, Rtnetlink } from './netlink/rtnetlink.ts'
import { createRuleTable } from './netlink/rules.ts'
import type { NftObject } from './objects.ts'
import { createSysctlTable } from './sysctl.ts'
import type { Interface, Kernel, KernelEvent, KernelTable } from './table.ts'

export interface KernelOptions {
  /** Path of the network namespace; this process's own unless given. */
  readonly netns?: string
  /** The table of nftables objects in the same network namespace. */
  readonly policy: KernelTable<NftObject>
  /** Room for notices in the kernel; for tests of an overrun. */
  readonly receiveBufferBytes?: number
}

/** The real kernel, with what only its owner needs. */
export interface RealKernel extends Kernel {
  /** Adds an event that was found elsewhere: by the watch on nftables. */
  emit(event: KernelEvent): void
  /** How many sends over rtnetlink were made, for tests and metrics. */
  sends(): number
}

/** Opens the kernel of one network namespace. Events are gathered from now on, so what is listed later misses nothing. */
export function createKernel(options: KernelOptions): RealKernel {
  const { netns } = options
  const netlink = new Rtnetlink(netns)
  const queue = new EventQueue()
  const links = new LinkIndex(netlink)
  const context: NetlinkContext = { netlink, links, sync: () => notices.drain() }
  const entries = {
    addresses: createAddressTable(context),
    neighbours: createNeighbourTable(context),
    fdb: createFdbTable(context),
    rules: createRuleTable(context),
    routes: createRouteTable(context),
  }
  const notices = new Notices({ netns, context, tables: entries, queue, receiveBufferBytes: options.receiveBufferBytes })
  netlink.onSent = () => notices.drain()
  // What came up between reading the links and listening.
  links.reload()
  return {
    tables: {
      policy: options.policy,
      links: createLinkTable({ context, netns, change: (name, work) => notices.change(name, work) }),
      sysctls: createSysctlTable(netns),
      ...entries,
    },
    events: (signal) => queue.read(signal),
    interfaces: (signal) => listInterfaces(netlink, signal),
    routeTo: async (ip) => findRoute(netlink, links, ip),
    emit(event) {
      queue.push(event)
      queue.flush()
    },
    sends: () => netlink.sends,
    close() {
      notices.close()
      netlink.close()
      queue.close()
    },
  }
}

async function listInterfaces(netlink: Rtnetlink, signal: AbortSignal): Promise<Interface[]> {
  const links = await netlink.dump(writeLinkDump, readLink, signal)
  const addresses: AddressInfo[] = []
  for (const family of FAMILIES) {
    const write = (writer: MessageWriter, flags: number) => writeAddressDump(writer, flags, family)
    for (const address of await netlink.dump(write, readAddress, signal)) addresses.push(address)
  }
  return links.map((link) => showInterface(link, addresses))
}

function showInterface(link: LinkInfo, addresses: readonly AddressInfo[]): Interface {
  const { name, index, kind, mac, mtuBytes, isUp, isLoopback, vxlan } = link
  const own = addresses.filter((address) => address.index === index)
  return {
    ...{ name, index, kind, mac, mtuBytes, isUp, isLoopback },
    addresses: own.map(({ address, scope, isDeprecated, isTentative }) => ({ address, scope, isDeprecated, isTentative })),
    ...(vxlan && { vxlan: { vni: vxlan.vni, port: vxlan.port } }),
  }
}

const RTA = { DST: 1, OIF: 4, PREFSRC: 7 } as const
/** Types of routes over which a packet goes somewhere: unicast, and to the host itself. */
const PASSABLE = new Set([1, 2])

function findRoute(netlink: Rtnetlink, links: LinkIndex, text: string) {
  const ip = parseIp(text)
  const isV4 = familyOf(ip) === 4
  const answer = netlink.ask((writer, sequence) => {
    const { buffer, at } = writer.begin(RTM.GETROUTE, 0, sequence, RTMSG_BYTES)
    buffer[at] = isV4 ? AF_INET : AF_INET6
    buffer[at + 1] = isV4 ? 32 : 128
    writer.bytesOf(RTA.DST, ipToBytes(ip))
    writer.finish()
  })
  // A refusal says that there is no route (ENETUNREACH), or one that leads nowhere.
  if (isFailure(answer) || !PASSABLE.has(answer.payload[7] ?? 0)) return undefined
  const attributes = readAttributes(answer.payload, RTMSG_BYTES)
  const source = attributes.get(RTA.PREFSRC)
  const index = readNumber(attributes.get(RTA.OIF)) ?? 0
  const link = links.get(index) ?? links.ask(index)
  if (source === undefined || link === undefined) return undefined
  return { source: ipFromBytes(source), link: link.name }
}
