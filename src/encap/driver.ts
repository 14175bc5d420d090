import type { FdbEntry, Link, Neighbour } from '../kernel/objects.ts'
import type { Receive } from '../model/own/live.ts'
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

/** A VXLAN tunnel endpoint of one family: its address in the overlay, and the MAC of its device. */
export interface Vtep {
  readonly ip: Ip
  readonly mac: Mac
}

/** What a driver needs to know of this host. */
export interface Local {
  readonly node: string
  /** By family of the underlay; absent where this host has none. */
  readonly underlay: { readonly 4?: Underlay; readonly 6?: Underlay }
  /** This host's VXLAN tunnel addresses and MACs by family. */
  readonly vtep: { readonly 4?: Vtep; readonly 6?: Vtep }
  readonly vxlan: {
    readonly vni: number
    readonly port: number
    /** The device's MTU by family where somebody set one (FelixConfiguration vxlanMTU, vxlanMTUV6); else the uplink's less the overhead. */
    readonly mtuBytes?: { readonly 4?: number | undefined; readonly 6?: number | undefined } | undefined
  }
}

/** Another host of the network, as its Node record says. */
export interface Peer {
  readonly node: string
  readonly underlay: { readonly 4?: Ip; readonly 6?: Ip }
  readonly vtep: { readonly 4?: Vtep; readonly 6?: Vtep }
  /** Why a VTEP must not be used, by family: another host has its address or MAC and came first. */
  readonly conflict?: { readonly 4?: string | undefined; readonly 6?: string | undefined } | undefined
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
  /** It is on its way: a tunnel address is being taken. What led there before may be kept until then. */
  readonly isPending?: true
}

/** One way to carry packets between hosts. Pure. */
export interface EncapDriver {
  readonly name: string
  /** The ways in which packets arrive where this driver is used. */
  readonly receives: readonly Receive[]
  /** Bytes the driver adds to a packet over an underlay of this family; the uplink's MTU less this is the workloads'. */
  overhead(family: Family): number
  /** The devices that this host needs for it, for workloads of this family. */
  devices(local: Local, family: Family): readonly Link[]
  /** How packets of this family get to the peer, or why they can't. */
  reach(local: Local, peer: Peer, family: Family): Reach | Unreachable
}
