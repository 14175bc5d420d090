import type { Family } from '../net/ip.ts'
import type { Assignment } from './block-writes.ts'
import type { IpamContext } from './context.ts'
import type { PoolGrid, Use } from './pools.ts'
import type { OwnBlock } from './queries.ts'
import type { Rules } from './rules.ts'
import type { StickyAddress } from './sticky.ts'

/** Automatic addresses for one holder. */
export interface AssignRequest {
  readonly handleId: string
  /** Facts about the holder; `node` is added. */
  readonly attributes: Readonly<Record<string, string>>
  /** Workload unless given. */
  readonly use?: Use | undefined
  /** Unless given: each family of which a pool qualifies (of the named pools: each of theirs), at least one. */
  readonly families?: readonly Family[] | undefined
  /** Addresses of each family, 1 unless given. */
  readonly count?: number | undefined
  /** Names or prefixes of the pools to take from. */
  readonly pools?: readonly string[] | undefined
  readonly maxBlocksPerHost?: number | undefined
  /**
   * Addresses that the handle holds already, on this host and with the same attributes, count: a request that is repeated after a
   * crash gets what it had. And what it had a short while ago is given again where it is free.
   */
  readonly keepHeld?: boolean | undefined
}

/** One family's part of a request. */
export interface FamilyRun {
  readonly context: IpamContext
  readonly rules: Rules
  readonly request: AssignRequest
  readonly family: Family
  /** The blocks that this host claims, of both families. */
  readonly own: readonly OwnBlock[]
  /** What this holder had a short while ago. */
  readonly sticky: readonly StickyAddress[]
  /** The pools that may serve it, in the order in which they are used. */
  readonly grids: readonly PoolGrid[]
  readonly signal: AbortSignal
}

/** What was found so far, and how many it has to be in the end. */
export interface Found {
  readonly assignments: Assignment[]
  readonly count: number
}
