import type { Ip } from '../../net/ip.ts'
import { ipFromBytes } from '../../net/ip.ts'
import { type Mac, macFromBytes } from '../../net/mac.ts'
import { AF_UNSPEC, IFF_LOOPBACK, IFF_UP, IFINFO_BYTES, RTM } from './constants.ts'
import { type Message, type MessageWriter, readAttributes, readNested, readNumber, readText } from './message.ts'

/** Attributes of links (linux/if_link.h). */
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  WIRELESS: 11,
  LINKINFO: 18,
  IFALIAS: 20,
  AF_SPEC: 26,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
  INFO_KIND: 1,
  INFO_DATA: 2,
  INET6_ADDR_GEN_MODE: 8,
} as const

/** Attributes of VXLAN devices. */
export const IFLA_VXLAN = { ID: 1, LINK: 3, LOCAL: 4, LEARNING: 7, PORT: 15, LOCAL6: 17, COLLECT_METADATA: 25 } as const

/** Nothing but the addresses that are given to it. */
export const ADDR_GEN_MODE_NONE = 1

/** What the kernel says of one network device. */
export interface LinkInfo {
  readonly index: number
  readonly name: string
  readonly flags: number
  readonly isUp: boolean
  readonly isLoopback: boolean
  readonly mtuBytes: number
  /** Empty where the device has none. */
  readonly mac: Mac
  readonly kind: string | undefined
  readonly alias: string | undefined
  /** The device below it, or the other end of a veth pair, in the namespace `linkNsid` (ours where that is absent). */
  readonly linkIndex: number | undefined
  readonly linkNsid: number | undefined
  readonly vxlan: VxlanInfo | undefined
}

/** The identity of a VXLAN device: what cannot be changed in place. */
export interface VxlanInfo {
  readonly vni: number
  readonly port: number
  readonly local: Ip | undefined
  readonly uplinkIndex: number
  readonly isLearning: boolean
  /** It carries any VNI, chosen by each route (`external`). */
  readonly isExternal: boolean
}

/** Reads RTM_NEWLINK or RTM_DELLINK. */
export function readLink(message: Message): LinkInfo | undefined {
  const { payload } = message
  // Bridge ports are told of in AF_BRIDGE too; those messages have only a part.
  if ((message.type !== RTM.NEWLINK && message.type !== RTM.DELLINK) || payload[0] !== AF_UNSPEC) return undefined
  const attributes = readAttributes(payload, IFINFO_BYTES)
  // News of a wireless network's state, which says nothing else of the device.
  if (attributes.has(IFLA.WIRELESS)) return undefined
  const info = readNested(attributes.get(IFLA.LINKINFO))
  const kind = readText(info.get(IFLA.INFO_KIND))
  const flags = payload.readUInt32LE(8)
  return {
    index: payload.readInt32LE(4),
    name: readText(attributes.get(IFLA.IFNAME)) ?? '',
    flags,
    isUp: (flags & IFF_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    mtuBytes: readNumber(attributes.get(IFLA.MTU)) ?? 0,
    mac: macFromBytes(attributes.get(IFLA.ADDRESS) ?? new Uint8Array()),
    kind,
    alias: readText(attributes.get(IFLA.IFALIAS)),
    linkIndex: readNumber(attributes.get(IFLA.LINK)),
    linkNsid: attributes.get(IFLA.LINK_NETNSID)?.readInt32LE(0),
    vxlan: kind === 'vxlan' ? readVxlan(info.get(IFLA.INFO_DATA)) : undefined,
  }
}

/** Asks for one link by index or name. */
export function writeLinkQuestion(writer: MessageWriter, sequence: number, link: number | string): void {
  const body = writer.begin(RTM.GETLINK, 0, sequence, IFINFO_BYTES)
  if (typeof link === 'number') body.buffer.writeInt32LE(link, body.at + 4)
  writer.u32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)
  if (typeof link === 'string') writer.text(IFLA.IFNAME, link)
  writer.finish()
}

/** Asks for all links. */
export function writeLinkDump(writer: MessageWriter, flags: number): void {
  writer.begin(RTM.GETLINK, flags, 0, IFINFO_BYTES)
  writer.u32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)
  writer.finish()
}

/** Counters are half of a link's message, and gathering them costs the kernel a walk over all CPUs. */
const RTEXT_FILTER_SKIP_STATS = 8

function readVxlan(value: Buffer | undefined): VxlanInfo {
  const attributes = readNested(value)
  const local = attributes.get(IFLA_VXLAN.LOCAL) ?? attributes.get(IFLA_VXLAN.LOCAL6)
  return {
    vni: readNumber(attributes.get(IFLA_VXLAN.ID)) ?? 0,
    port: attributes.get(IFLA_VXLAN.PORT)?.readUInt16BE(0) ?? 0,
    local: local === undefined || local.every((byte) => byte === 0) ? undefined : ipFromBytes(local),
    uplinkIndex: readNumber(attributes.get(IFLA_VXLAN.LINK)) ?? 0,
    isLearning: readNumber(attributes.get(IFLA_VXLAN.LEARNING)) === 1,
    isExternal: readNumber(attributes.get(IFLA_VXLAN.COLLECT_METADATA)) === 1,
  }
}
