import type { Cidr, InterfaceAddress } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'

/** The route protocol of every route of ours (rtnetlink(7), rtm_protocol; 80 is Calico's). */
export const ROUTE_PROTOCOL = 77

/** The main routing table (rtnetlink(7), RT_TABLE_MAIN). */
export const MAIN_TABLE = 254

/** Policy routing rules with a priority from the first to the last are ours. */
export const RULE_PRIORITIES = { first: 13_100, last: 13_199 } as const

/** A VXLAN device (RFC 7348) without learning: every peer's entries are written by us. */
export interface VxlanLink {
  readonly kind: 'vxlan'
  readonly name: string
  readonly mtuBytes: number
  readonly mac: Mac
  /** 24 bits. */
  readonly vni: number
  /** UDP, both ways. */
  readonly port: number
  /** The outer source address; its family is the underlay's. */
  readonly local: Ip
  /** The name of the interface that holds `local`. */
  readonly uplink: string
  /** Only in what was read from the kernel: what is not as it must be beyond the fields above (`is down`, `learns addresses`). */
  readonly faults?: readonly string[]
}

/** A pair of which one end stays with the host and the other is a workload's interface in a network namespace of its own. */
export interface VethLink {
  readonly kind: 'veth'
  readonly name: string
  readonly mtuBytes: number
  readonly mac: Mac
  readonly peer: VethPeer
  /** Only in what was read from the kernel: what is not as it must be beyond the fields above (`is down`, `peer: mtu is 1500`). */
  readonly faults?: readonly string[]
}

/** The workload's end, with all that is configured inside its network namespace. */
export interface VethPeer {
  /** Path of the network namespace (a pinned one, under /run/margay/netns). */
  readonly netns: string
  readonly name: string
  readonly mac?: Mac
  /** Its own addresses, /32 and /128. */
  readonly addresses: readonly InterfaceAddress[]
  /** One default gateway a family: reached on the link, then default routes through it. */
  readonly gateways: readonly Ip[]
}

/** A network device of ours. Later kinds: ipip, wireguard, tap. */
export type Link = VxlanLink | VethLink

/** An address of a link of ours. */
export interface Address {
  readonly link: string
  readonly address: InterfaceAddress
}

/** A permanent neighbour entry: the link-layer address for a next hop (ARP, ND), so that the kernel never asks the network. */
export interface Neighbour {
  readonly link: string
  readonly ip: Ip
  readonly mac: Mac
}

/** A permanent forwarding database entry of a VXLAN device (`bridge fdb`, self): the outer destination for an inner MAC. */
export interface FdbEntry {
  readonly link: string
  readonly mac: Mac
  readonly dst: Ip
}

/** A policy routing rule in our priority range. */
export interface Rule {
  readonly family: Family
  readonly priority: number
  readonly table: number
  readonly mark?: { readonly value: number; readonly mask: number; readonly negate: boolean }
}

/** A route with protocol 77. Key: table, destination, metric, TOS (always 0). */
export interface Route {
  readonly table: number
  readonly destination: Cidr
  /** 0 is "none given"; the kernel makes it 1024 for IPv6, so there the two are one and the same route. */
  readonly metric: number
  readonly type: 'unicast' | 'blackhole' | 'throw' | 'unreachable' | 'prohibit'
  /** Absent for all but unicast. */
  readonly link?: string
  readonly nextHop?: Ip
  /** The next hop is on this link although no address of the link says so. */
  readonly isOnlink?: boolean
  /** Preferred source address. */
  readonly source?: Ip
  readonly mtuBytes?: number
}

/** A kernel parameter: `key` is the path below /proc/sys (`net/ipv4/conf/margay.vxlan/rp_filter`), `value` without a newline. */
export interface Sysctl {
  readonly key: string
  readonly value: string
}

/**
 * What an element of a set is: an address, a port, an address with protocol and port, who sends what there, one direction of a connection,
 * or a family.
 */
export type NftKey = 'address' | 'port' | 'address-port' | SenderKey | 'connection' | 'family'

/** What of the sender of a packet is looked up: the interface by which it came, its MAC, its address. */
export type SenderKey = 'interface' | 'interface-mac' | 'interface-address' | 'interface-mac-address'

/** A named set in `inet margay`; with `isMap` a map that leads each element on to a chain. */
export interface NftSet {
  readonly kind: 'set'
  readonly name: string
  /** Absent: addresses. */
  readonly key?: NftKey
  /** Of its addresses; 4 where there are none. */
  readonly family: Family
  /** Prefixes and ranges of ports need intervals; all else is a hash. Covered prefixes must be removed by the planner. */
  readonly isInterval: boolean
  readonly isMap?: boolean
  /**
   * Its elements have timeouts and come and go beside the desired state: `elements` is empty, and those in the kernel are neither listed
   * nor compared nor removed (`kernel/nftables/timed`).
   */
  readonly isTimed?: boolean
  /**
   * Canonical addresses, or canonical prefixes with `isInterval`; ports `80` or `80-90`; `10.65.0.2,6,8080` with protocol and port;
   * names; `mgy1,02:00:5e:00:53:01,10.65.0.2`; `6,10.65.0.2,40000,192.0.2.1,80` of a connection: protocol, source and destination as a
   * packet has them; families `4`, `6`. In a map `<element> goto <chain>`.
   */
  readonly elements: ReadonlySet<string>
}

/** A chain in `inet margay`; a base chain has a hook. */
export interface NftChain {
  readonly kind: 'chain'
  readonly name: string
  readonly hook?: NftHook
  readonly rules: readonly NftRule[]
  /** Rules that stand in place of these where the kernel refuses them, and has no chain of this name that could stay as it is. */
  readonly otherwise?: readonly NftRule[]
  /** Only in what was read from the kernel, in place of its rules: the hash of each rule's body, empty for a rule that is not ours. */
  readonly ruleHashes?: readonly string[]
}

/** Where a base chain is called (nft(8), base chains). The policy is always accept: what must be dropped is dropped by a rule. */
export interface NftHook {
  readonly type: 'filter' | 'nat' | 'route'
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'
  readonly priority: number
}

/** A named counter in `inet margay`: what it has counted outlives the rules that count with it, and is nobody's wish. */
export interface NftCounter {
  readonly kind: 'counter'
  readonly name: string
}

/** So many a span of time, in seconds, and at once so many more. */
export interface NftLimit {
  readonly rate: number
  readonly seconds: 1 | 60 | 3600 | 86_400
  readonly burst: number
}

/** Matches, all of which must hold, then what is done. */
export interface NftRule {
  readonly matches: readonly NftMatch[]
  readonly verdict: NftVerdict
  /** What comes faster matches no more. */
  readonly limit?: NftLimit
  /** Count packets and bytes that reach the verdict. */
  readonly isCounted?: boolean
  /** Counts them with the counter of this name, which other rules may count with, too. */
  readonly counter?: string
  /** Sets these bits of the packet's mark before the verdict. */
  readonly setMark?: { readonly value: number; readonly mask: number }
  /** Sends the packet's head to this group of NFLOG, with a text of up to 127 bytes, before the verdict. */
  readonly log?: { readonly group: number; readonly prefix: string }
}

/** One condition. `negate` turns it round. */
export type NftMatch =
  /** Name of the in or out interface; a trailing `*` matches a prefix. */
  | { readonly on: 'iifname' | 'oifname'; readonly value: string; readonly negate?: boolean }
  | { readonly on: 'family'; readonly value: Family; readonly negate?: boolean }
  /** In a set of families. */
  | { readonly on: 'family'; readonly set: string; readonly negate?: boolean }
  /** IP protocol number of the transport header (meta l4proto). */
  | { readonly on: 'protocol'; readonly value: number; readonly negate?: boolean }
  /** Needs a `protocol` match before it. */
  | { readonly on: 'sport' | 'dport'; readonly value: number; readonly negate?: boolean }
  /** In a set of ports. */
  | { readonly on: 'sport' | 'dport'; readonly set: string; readonly negate?: boolean }
  /** Address, protocol and port of the source or the destination in a set of such. */
  | { readonly on: 'source' | 'destination'; readonly set: string; readonly family: Family; readonly negate?: boolean }
  /** By which interface the packet came, from which MAC, from which address, in a set of such; `family` is that of the address. */
  | { readonly on: 'sender'; readonly key: SenderKey; readonly set: string; readonly family: Family; readonly negate?: boolean }
  /**
   * The packet's protocol, addresses and ports in a set of connections, which has one direction as one element. With `refreshMs` the
   * element that is found, if all before matched, lives on for so long from now. Needs a `protocol` match before it.
   */
  | { readonly on: 'connection'; readonly set: string; readonly family: Family; readonly refreshMs?: number; readonly negate?: boolean }
  /** Of ICMP and ICMPv6; needs a `protocol` match before it. */
  | { readonly on: 'icmp-type' | 'icmp-code'; readonly value: number; readonly negate?: boolean }
  /** Of IPv6; needs a `family` match before it. */
  | { readonly on: 'hop-limit'; readonly value: number; readonly negate?: boolean }
  | { readonly on: 'saddr' | 'daddr'; readonly value: Cidr | Ip; readonly negate?: boolean }
  /** Membership in a named set of the same family. */
  | { readonly on: 'saddr' | 'daddr'; readonly set: string; readonly family: Family; readonly negate?: boolean }
  /** Any of these conntrack states. */
  | {
      readonly on: 'ct-state'
      readonly value: readonly ('new' | 'established' | 'related' | 'invalid' | 'untracked')[]
      readonly negate?: boolean
    }
  /** Connection tracking has given the packet's connection another destination. */
  | { readonly on: 'translated'; readonly value: 'destination'; readonly negate?: boolean }
  /** The host itself sent the packet. Only where packets leave. */
  | { readonly on: 'origin'; readonly value: 'host'; readonly negate?: boolean }
  /** The destination (source) address is one of the host's own (fib daddr type local). */
  | { readonly on: 'daddr-type' | 'saddr-type'; readonly value: 'local'; readonly negate?: boolean }
  | { readonly on: 'mark'; readonly value: number; readonly mask: number; readonly negate?: boolean }

/** What is done with a packet that matched. */
export type NftVerdict =
  /** `notrack` also accepts: an untracked packet has nothing more to be asked in its chain. */
  | { readonly do: 'accept' | 'drop' | 'return' | 'notrack' }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }
  /** What the map says; nothing, if it says nothing. A map of ports needs a `protocol` match. */
  | { readonly do: 'map'; readonly on: 'iifname' | 'oifname' | 'dport' | 'sport'; readonly map: string }
  /** Goes on to the next rule: for a rule that only marks, logs or counts. */
  | { readonly do: 'continue' }
  /** Drops, and tells the sender so: ICMP port unreachable, or TCP's RST (RFC 9293, 3.5.2), which needs a `protocol` match. */
  | { readonly do: 'reject'; readonly by?: 'reset' }
  /** The source becomes the address of the interface that the packet leaves by. Ports need a `protocol` match. */
  | { readonly do: 'masquerade'; readonly isRandom: boolean; readonly ports?: readonly [number, number] }
  /** The source becomes this address; needs a match that settles the family. */
  | { readonly do: 'snat'; readonly address: Ip; readonly isRandom: boolean; readonly ports?: readonly [number, number] }

/** A set, a chain or a counter of the table `inet margay`. */
export type NftObject = NftSet | NftChain | NftCounter

/** Each table of kernel objects with the type of its values. A key names one object within its table. */
export interface TableTypes {
  readonly policy: NftObject
  readonly links: Link
  readonly sysctls: Sysctl
  readonly addresses: Address
  readonly neighbours: Neighbour
  readonly fdb: FdbEntry
  readonly rules: Rule
  readonly routes: Route
}

/** The name of a table of kernel objects. */
export type TableName = keyof TableTypes

/** What must be there before what refers to it; removal runs the other way. */
export const APPLY_ORDER = [
  'policy',
  'links',
  'sysctls',
  'addresses',
  'neighbours',
  'fdb',
  'rules',
  'routes',
] as const satisfies readonly TableName[]

/** The kernel's own key of each object. */
export const keyOf: { readonly [T in TableName]: (value: TableTypes[T]) => string } = {
  policy: (object) => `${object.kind} ${object.name}`,
  links: (link) => link.name,
  sysctls: (sysctl) => sysctl.key,
  addresses: (address) => `${address.link} ${address.address}`,
  neighbours: (neighbour) => `${neighbour.link} ${neighbour.ip}`,
  fdb: (entry) => `${entry.link} ${entry.mac}`,
  rules: (rule) => `${rule.family} ${rule.priority}`,
  routes: (route) => `${route.table} ${route.destination} ${route.metric === 1024 && route.destination.includes(':') ? 0 : route.metric}`,
}

/** The whole state that we want in the kernel, or a part of it that one planner's group contributed: values by table. */
export type Desired = { readonly [T in TableName]?: readonly TableTypes[T][] }

/** One empty map a table. */
export function emptyTables(): { readonly [T in TableName]: Map<string, TableTypes[T]> } {
  return {
    policy: new Map(),
    links: new Map(),
    sysctls: new Map(),
    addresses: new Map(),
    neighbours: new Map(),
    fdb: new Map(),
    rules: new Map(),
    routes: new Map(),
  }
}
