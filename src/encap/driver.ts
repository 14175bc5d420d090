import type { FdbEntry, Link, Neighbour } from '../kernel/objects.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'

/** One underlay address of this host, with the interface that carries it. */
export interface Underlay {
  readonly ip: Ip
  /** The subnet as the Node record states it; a /32 or /128 makes nobody "on our subnet". */
  readonly subnet: Cidr
  /** Name of the interface. */
  readonly uplink: string
  readonly mtuBytes: number
}

/** What a driver needs to know of this host. */
export interface Local {
  readonly node: string
  /** By family of the underlay; absent where this host has none. */
  readonly underlay: { readonly 4?: Underlay; readonly 6?: Underlay }
  /** This host's VXLAN tunnel addresses and MACs by family. */
  readonly vtep: { readonly 4?: { readonly ip: Ip; readonly mac: Mac }; readonly 6?: { readonly ip: Ip; readonly mac: Mac } }
  readonly vxlan: { readonly vni: number; readonly port: number }
}

/** Another host of the network, as its Node record says. */
export interface Peer {
  readonly node: string
  readonly underlay: { readonly 4?: Ip; readonly 6?: Ip }
  readonly vtep: { readonly 4?: { readonly ip: Ip; readonly mac: Mac }; readonly 6?: { readonly ip: Ip; readonly mac: Mac } }
}

/** How packets of one family get to a peer: what a route to any of its blocks carries, and what must stand beside it. */
export interface Reach {
  readonly via: 'direct' | 'vxlan'
  readonly link: string
  readonly nextHop: Ip
  readonly isOnlink: boolean
  readonly mtuBytes: number
  readonly neighbours: readonly Neighbour[]
  readonly fdb: readonly FdbEntry[]
}

/** Why packets of one family can't get to a peer, for status. */
export interface Unreachable {
  readonly via: 'none'
  readonly reason: string
}

/** One way to carry packets between hosts. Pure. */
export interface EncapDriver {
  readonly name: string
  /** Bytes the driver adds to a packet over an underlay of this family; the uplink's MTU less this is the workloads'. */
  overhead(family: Family): number
  /** The devices that this host needs for it, for workloads of this family. */
  devices(local: Local, family: Family): readonly Link[]
  /** How packets of this family get to the peer, or why they can't. */
  reach(local: Local, peer: Peer, family: Family): Reach | Unreachable
}
