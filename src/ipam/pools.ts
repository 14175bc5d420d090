import { IpamError } from '../errors.ts'
import { allowsUse, blockSizeOf, type IPPool, isUsable } from '../model/ip-pool.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import { parseSelector } from '../model/selector-parse.ts'
import { type Cidr, cidrContains } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import { type BlockGrid, blocksOf, startOf } from './ordinals.ts'

/** What addresses are for. */
export type Use = 'Workload' | 'Tunnel'

/** The host that asks. */
export interface Asker {
  readonly node: string
  readonly labels: Readonly<Record<string, string>> | undefined
}

/** What is asked of the pools. */
export interface PoolRequest {
  readonly use: Use
  /** Names or prefixes of pools; those of the other family are passed over. None: every automatic pool that selects the host. */
  readonly pools?: readonly string[] | undefined
}

/** A pool with its blocks, and where this host begins to look in it. */
export interface PoolGrid {
  readonly pool: IPPool
  readonly grid: BlockGrid
  readonly start: bigint
}

/**
 * The pools of a family that may give this host an address, by name. Naming a pool stands above its nodeSelector and its
 * assignmentMode, but not above its being disabled nor its uses.
 *
 * @throws {IpamError} `ipam-no-pool`, with each pool of the family and why it may not; `ipam-unknown-pool`
 */
export function qualifyPools(pools: readonly IPPool[], asker: Asker, family: Family, request: PoolRequest): readonly IPPool[] {
  const named = request.pools === undefined || request.pools.length === 0 ? undefined : request.pools.map((text) => findPool(pools, text))
  const candidates = sortByName(named ?? pools).filter((pool) => familyOf(pool.spec.cidr) === family)
  const reasons = candidates.map((pool) => ({ pool, reason: whyNot(pool, asker, request.use, named !== undefined) }))
  const qualified = reasons.filter(({ reason }) => reason === undefined).map(({ pool }) => pool)
  if (qualified.length > 0) return qualified
  const told = reasons.map(({ pool, reason }) => `${describePool(pool)} ${reason}`)
  const why = told.length === 0 ? `there is no ${named === undefined ? '' : 'requested '}IPv${family} pool` : told.join('; ')
  throw new IpamError('ipam-no-pool', `no pool gives node ${JSON.stringify(asker.node)} an IPv${family} ${USE_WORDS[request.use]}: ${why}`)
}

/** Whether the pool may serve this host by itself. A pool without a selector, or with an empty one, selects every host. */
export function selectsNode(pool: IPPool, labels: Asker['labels']): boolean {
  const selector = pool.spec.nodeSelector ?? ''
  return selector === '' || matchesSelector(parseSelector(selector), lookupIn(labels))
}

/** The pool that holds an address or a block. Pools don't overlap. */
export function poolOf(pools: readonly IPPool[], inner: Ip | Cidr): IPPool | undefined {
  return pools.find((pool) => cidrContains(pool.spec.cidr, inner))
}

/** The pool as a message names it: `pool "a" (10.65.0.0/16)`. */
export function describePool(pool: IPPool): string {
  return `pool ${JSON.stringify(pool.metadata.name)} (${pool.spec.cidr})`
}

/** The pool's blocks as this host walks them. */
export function gridOf(pool: IPPool, node: string): PoolGrid {
  const grid = blocksOf(pool.spec.cidr, blockSizeOf(pool))
  return { pool, grid, start: startOf(grid, `${node} ${pool.spec.cidr}`) }
}

/** Names or prefixes of pools that are asked for, of any family. */
export function findPool(pools: readonly IPPool[], text: string): IPPool {
  const pool = pools.find(({ metadata, spec }) => metadata.name === text || spec.cidr === text)
  if (pool !== undefined) return pool
  const names = sortByName(pools).map(({ metadata }) => metadata.name)
  const known = names.length === 0 ? 'there are no pools' : `there are: ${names.join(', ')}`
  throw new IpamError('ipam-unknown-pool', `there is no pool ${JSON.stringify(text)}; ${known}`)
}

const USE_WORDS: Readonly<Record<Use, string>> = { Workload: 'address for a workload', Tunnel: 'tunnel address' }

function whyNot(pool: IPPool, { labels }: Asker, use: Use, isNamed: boolean): string | undefined {
  if (pool.spec.disabled === true) return 'is disabled'
  if (!isUsable(pool)) return 'is being deleted, or is marked as not allocatable'
  if (!allowsUse(pool, use)) return `does not allow the use ${use}`
  if (isNamed) return undefined
  if (pool.spec.assignmentMode === 'Manual') return 'has the assignmentMode Manual: it has to be named'
  return selectsNode(pool, labels) ? undefined : `does not select the node: nodeSelector ${JSON.stringify(pool.spec.nodeSelector)}`
}

function sortByName(pools: readonly IPPool[]): readonly IPPool[] {
  return [...new Set(pools)].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
}
