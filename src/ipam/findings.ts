import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'

/**
 * What is wrong with one thing:
 *
 * | kind | subject | means |
 * |---|---|---|
 * | `leaked-address` | address | allocated, and nothing uses it |
 * | `missing-address` | address | used, lies in a pool, and is not allocated: it may be given out a second time |
 * | `foreign-address` | address | used on one host, allocated to another |
 * | `shared-address` | address | used by several |
 * | `outside-address` | address | used, and lies in no pool and no block |
 * | `invalid-block` | block | its members contradict each other |
 * | `overlapping-block` | block | it has addresses in common with another block |
 * | `idle-block` | block | empty and nobody's |
 * | `orphan-block` | block | it lies in no pool |
 * | `stale-block` | block | its host is gone |
 * | `stale-affinity` | block | a host claims it that doesn't own it |
 * | `missing-affinity` | block | its host has no affinity that says so |
 * | `empty-handle` | handle | it holds nothing |
 * | `miscounted-handle` | handle | it counts more or fewer addresses than the block says |
 * | `missing-handle` | handle | it holds addresses and has no record |
 * | `unreadable` | key | the value does not parse |
 */
export type FindingKind =
  | 'leaked-address'
  | 'missing-address'
  | 'foreign-address'
  | 'shared-address'
  | 'outside-address'
  | 'invalid-block'
  | 'overlapping-block'
  | 'idle-block'
  | 'orphan-block'
  | 'stale-block'
  | 'stale-affinity'
  | 'missing-affinity'
  | 'empty-handle'
  | 'miscounted-handle'
  | 'missing-handle'
  | 'unreadable'

/** Gives back what was found, provided that it still is what was found. */
export type Repair =
  | {
      readonly action: 'release-address'
      readonly ip: Ip
      readonly block: Cidr
      readonly handleId?: string
      readonly sequenceNumber: bigint
    }
  /** Gives a host's block back: deleted if it is empty, else, unless it has to be empty, left to its addresses. */
  | { readonly action: 'release-block'; readonly block: Cidr; readonly host: string; readonly mustBeEmpty: boolean }
  /** Removes a block that is nobody's and empty. */
  | { readonly action: 'delete-block'; readonly block: Cidr; readonly sequenceNumber: bigint }
  | { readonly action: 'delete-handle'; readonly handleId: string; readonly revision: number }

/**
 * Whose task it is to collect: the host's own daemon, the one daemon that leads (for a host that is gone, or what is nobody's),
 * or nobody's by itself: a person's.
 */
export type Collector =
  | { readonly by: 'host'; readonly node: string }
  | { readonly by: 'leader'; readonly gone?: string }
  | { readonly by: 'nobody' }

/** One thing that is wrong. */
export interface Finding {
  readonly kind: FindingKind
  readonly subject: string
  /** Why, in words. */
  readonly reason: string
  /** What would put it right; absent where only a person can say. */
  readonly repair?: Repair
  readonly collector: Collector
}

/** One address that is allocated, with who has it. */
export interface CheckedAllocation {
  readonly ip: Ip
  readonly block: Cidr
  readonly handleId: string | undefined
  readonly sequenceNumber: bigint
  /** The holder's facts as the block has them. */
  readonly attributes: Readonly<Record<string, string>>
  /** The host that has it, as far as is known. */
  readonly node: string | undefined
  /** In a block of another host. */
  readonly isBorrowed: boolean
  /** Who uses it. */
  readonly users: readonly string[]
  /** False only where nobody can be using it. */
  readonly isInUse: boolean
}
