import { describeError, IpamError } from '../errors.ts'
import { FAMILIES, type Family, familyOf } from '../net/ip.ts'
import { assignFamily } from './assign-family.ts'
import { type Assignment, renewInBlock } from './block-writes.ts'
import type { IpamContext } from './context.ts'
import { findPool, gridOf, poolOf, qualifyPools, type Use } from './pools.ts'
import { heldByHolder, listOwnBlocks } from './queries.ts'
import { releaseIps } from './release.ts'
import { type Rules, readRules } from './rules.ts'
import type { AssignRequest } from './run.ts'
import { recallAddresses } from './sticky.ts'

/**
 * Gives out addresses: all that were asked for, or none. From this host's own blocks first, then from a block that it claims
 * (an empty one of another host where no block is left), then, unless affinity is strict, from other hosts' blocks.
 *
 * @throws {IpamError} `ipam-no-pool`, `ipam-unknown-pool`, `ipam-full`, `ipam-block-limit`, `ipam-strict-affinity`,
 * `ipam-no-auto-allocate`, `ipam-no-node`, `ipam-busy`
 */
export async function autoAssign(context: IpamContext, request: AssignRequest, signal: AbortSignal): Promise<readonly Assignment[]> {
  const [rules, own] = await Promise.all([readRules(context, signal), listOwnBlocks(context, context.node, signal)])
  const families = familiesOf(rules, request)
  const [held, sticky] =
    request.keepHeld === true
      ? await Promise.all([renewHeld(context, rules, request, signal), recallAddresses(context, request, signal)])
      : [[], []]
  const count = request.count ?? 1
  const fresh: Assignment[] = []
  const assignments: Assignment[] = []
  try {
    for (const family of families) {
      const kept = held.filter((assignment) => assignment.family === family).slice(0, count)
      const pools =
        kept.length === count ? [] : qualifyPools(rules.pools, rules.asker, family, { use: useOf(request), pools: request.pools })
      const found = { assignments: fresh, count: fresh.length + count - kept.length }
      const begin = fresh.length
      await assignFamily(
        { context, rules, request, family, own, sticky, grids: pools.map((pool) => gridOf(pool, context.node)), signal },
        found,
      )
      assignments.push(...kept, ...fresh.slice(begin))
    }
  } catch (error) {
    await giveBack(context, fresh, error, signal)
    throw error
  }
  return assignments
}

function useOf(request: AssignRequest): Use {
  return request.use ?? 'Workload'
}

/** The families to give an address of, when the request leaves it open. */
function familiesOf(rules: Rules, request: AssignRequest): readonly Family[] {
  if (request.families !== undefined) return request.families
  const poolRequest = { use: useOf(request), pools: request.pools }
  if (request.pools !== undefined && request.pools.length > 0) {
    const named = new Set(request.pools.map((text) => familyOf(findPool(rules.pools, text).spec.cidr)))
    return FAMILIES.filter((family) => named.has(family))
  }
  const refusals: unknown[] = []
  const families = FAMILIES.filter((family) => {
    try {
      return qualifyPools(rules.pools, rules.asker, family, poolRequest).length > 0
    } catch (error) {
      refusals.push(error)
      return false
    }
  })
  if (families.length > 0) return families
  throw new IpamError('ipam-no-pool', refusals.map(describeError).join(', and '))
}

/** What the holder has already, held anew: from now on nobody can take it for left over. */
async function renewHeld(context: IpamContext, rules: Rules, request: AssignRequest, signal: AbortSignal): Promise<readonly Assignment[]> {
  const held = await heldByHolder(context, request, signal)
  const pools = (request.pools ?? []).map((text) => findPool(rules.pools, text))
  const wanted = held.filter(({ ip }) => pools.length === 0 || poolOf(pools, ip) !== undefined)
  const renewed: Assignment[] = []
  for (const cidr of new Set(wanted.map(({ block }) => block))) {
    const ofBlock = wanted.filter(({ block }) => block === cidr)
    renewed.push(...(await renewInBlock(context, cidr, ofBlock, signal)))
  }
  return renewed
}

/** Nothing is to stay behind of a request that failed; where the store is away it stays under the handle. */
async function giveBack(context: IpamContext, fresh: readonly Assignment[], error: unknown, signal: AbortSignal): Promise<void> {
  if (fresh.length === 0) return
  try {
    if (!(error instanceof IpamError)) throw error
    await releaseIps(context, fresh, signal)
  } catch (err) {
    context.log.warn({ key: fresh[0]?.handleId ?? '', count: fresh.length, err }, 'addresses of a failed request stay under their handle')
  }
}
