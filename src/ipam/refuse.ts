import { IpamError } from '../errors.ts'
import { rangeOf, sizeOf } from '../net/cidr.ts'
import { countBlock } from './block.ts'
import { describePool, type PoolGrid } from './pools.ts'
import type { FamilyRun } from './run.ts'
import { blocksInOrder, decodeBlocks, isSurelyFull, type Survey, surveyBlocks } from './survey.ts'

/**
 * Says why there is no address: each pool with what is used of it.
 *
 * @throws {IpamError} always: `ipam-full`, or `ipam-strict-affinity` where only other hosts' blocks have free addresses
 */
export async function refuseFull(run: FamilyRun): Promise<never> {
  const { context, rules, family, grids, signal } = run
  const survey = await surveyBlocks(context, family, signal)
  const told: string[] = []
  let spare = 0
  for (const grid of grids) {
    const { text, free } = await describeUse(run, survey, grid)
    told.push(text)
    spare += free
  }
  const pools = `${grids.length === 1 ? 'the pool is' : `all ${grids.length} pools are`} full: ${told.join('; ')}`
  const what = `no IPv${family} address for node ${JSON.stringify(context.node)}`
  if (spare === 0 || !rules.config.strictAffinity) throw new IpamError('ipam-full', `${what}, ${pools}`)
  const reason = 'strict affinity forbids to take addresses of other hosts, and no block is left'
  throw new IpamError('ipam-strict-affinity', `${what}, ${reason}: ${told.join('; ')}`)
}

async function describeUse(run: FamilyRun, survey: Survey, grid: PoolGrid): Promise<{ readonly text: string; readonly free: number }> {
  const { first, last } = rangeOf(grid.pool.spec.cidr)
  const reserved = run.rules.reserved.countWithin(run.family, first, last)
  const cidrs = await blocksInOrder(survey, grid)
  const full = cidrs.filter((cidr) => isSurelyFull(survey, cidr))
  const others = cidrs.filter((cidr) => !isSurelyFull(survey, cidr))
  let [used, cooling, free] = [full.reduce((sum, cidr) => sum + Number(sizeOf(cidr)), 0), 0, 0]
  for await (const { block } of decodeBlocks(run.context, survey, others)) {
    const counts = countBlock(block)
    used += counts.used
    cooling += counts.cooling
    free += counts.free
  }
  const notes = [reserved > 0n ? `${reserved} reserved` : '', cooling > 0 ? `${cooling} cooling down` : ''].filter((note) => note !== '')
  const also = notes.length === 0 ? '' : `, ${notes.join(', ')}`
  return { text: `${describePool(grid.pool)} has ${used} of ${last - first + 1n} addresses in use${also}`, free }
}
