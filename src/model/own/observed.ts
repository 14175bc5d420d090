import type { SentChange } from './questions.ts'

/** `POST /v1/observe`: what would host endpoints that are not there yet drop of the traffic of the next while? */
export interface ObserveRequest {
  /** Host endpoints of this host, and whatever else would be written with them. */
  readonly changes: readonly SentChange[]
  readonly seconds: number
}

/** Connections that are alike. */
export interface ObservedGroup {
  readonly verdict: 'allow' | 'deny'
  /** Seen from the host; `forwarded`: neither from it nor for it. */
  readonly direction: 'in' | 'out' | 'forwarded'
  readonly interface: string
  /** Number of the protocol. */
  readonly protocol: number
  /** Of the destination; of ICMP the type. */
  readonly port?: number
  /** The other end, or its network where there are many. */
  readonly peer: string
  readonly count: number
  /** What decides. */
  readonly because: string
}

/** The answer. */
export interface ObservedReport {
  readonly node: string
  readonly seconds: number
  /** By the host endpoint, the interfaces for which it would be. */
  readonly endpoints: Readonly<Record<string, readonly string[]>>
  readonly denied: number
  readonly allowed: number
  /** The denied ones first, the many before the few. */
  readonly groups: readonly ObservedGroup[]
  /** Of how many groups `groups` shows the first. */
  readonly groupsTotal: number
}
