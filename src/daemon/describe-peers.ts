import { underlayOf } from '../encap/peer.ts'
import type { PeerReport } from '../model/own/api.ts'
import { FAMILIES, type Family } from '../net/ip.ts'
import { blockRoutes } from '../routing/blocks.ts'
import type { Path } from '../routing/switch.ts'
import type { PlanContext, PoolPlan } from './plan-context.ts'
import { poolOf } from './plan-context.ts'
import { pathToPeer } from './plan-view.ts'

/**
 * How each peer is reached, one row for each family and way, by name: from the same functions that make the routes, at the time when
 * it is asked for. Pools of one family that use the same way share a row; a way by which nothing goes is left out beside one that is used.
 */
export function describePeers(context: PlanContext, lastSeen: ReadonlyMap<string, string>): readonly PeerReport[] {
  return [...describeEachPeer(context, lastSeen)].flat()
}

/** As `describePeers`, one peer at a time, for a caller that lets others run in between. */
export function* describeEachPeer(context: PlanContext, lastSeen: ReadonlyMap<string, string>): Generator<readonly PeerReport[]> {
  const blocks = countBlocks(context)
  const names = [...context.view.get('Node').keys()].filter((name) => name !== context.facts.node).sort()
  for (const name of names) yield FAMILIES.flatMap((family) => rowsOf(name, family, context, { blocks, lastSeen }))
}

interface Known {
  /** By `<node> <pool>`. */
  readonly blocks: ReadonlyMap<string, number>
  readonly lastSeen: ReadonlyMap<string, string>
}

function rowsOf(name: string, family: Family, context: PlanContext, known: Known): readonly PeerReport[] {
  const rows = new Map<string, PeerReport>()
  for (const pool of context.pools.filter((each) => each.family === family)) {
    const row = rowOf(name, pool, context, known)
    const key = `${row.mode} ${row.nextHop ?? ''} ${row.reason ?? ''}`
    const same = rows.get(key)
    rows.set(key, same === undefined ? row : { ...same, blocks: same.blocks + row.blocks })
  }
  const used = [...rows.values()].filter((row) => row.blocks > 0)
  return used.length > 0 ? used : [...rows.values()]
}

function rowOf(name: string, pool: PoolPlan, context: PlanContext, { blocks, lastSeen }: Known): PeerReport {
  const { view } = context
  const node = view.get('Node').get(name)
  const underlay = node === undefined ? [] : FAMILIES.flatMap((family) => underlayOf(node, family) ?? [])
  const seen = lastSeen.get(name)
  return {
    node: name,
    underlay,
    family: pool.family,
    blocks: blocks.get(`${name} ${pool.cidr}`) ?? 0,
    isAlive: view.get('Live').has(name),
    ...(seen === undefined ? {} : { lastSeen: seen }),
    ...pathColumns(pool, pathToPeer(context, name, pool)),
  }
}

function pathColumns(pool: PoolPlan, { reach, waitsFor }: Path) {
  const problem = pool.owner.problem
  if (problem !== undefined) return { mode: 'none', isReachable: false, reason: problem }
  if (reach.via === 'none') return { mode: 'none', isReachable: false, reason: reach.reason }
  return {
    mode: reach.via,
    ...(reach.via === 'vxlan' ? { tunnel: reach.link } : {}),
    nextHop: reach.nextHop,
    mtuBytes: reach.mtuBytes,
    isReachable: true,
    ...(waitsFor === undefined ? {} : { reason: `waits until it says that it receives ${waitsFor}` }),
  }
}

function countBlocks(context: PlanContext): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const block of context.view.get('IPAMBlock').values()) {
    const { owner } = blockRoutes(block)
    const pool = poolOf(context, block.cidr)
    if (owner === undefined || pool === undefined || block.deleted) continue
    const key = `${owner} ${pool.cidr}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}
