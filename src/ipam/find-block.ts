import type { Block } from '../model/ipam-block.ts'
import { type Cidr, rangeOf } from '../net/cidr.ts'
import { claimBlock, takeOverBlock } from './affinity.ts'
import { collectGarbage, isEmpty } from './block.ts'
import { hostAffinity, ownerOf } from './context.ts'
import { freeBlocks, indexOfBlock } from './ordinals.ts'
import type { PoolGrid } from './pools.ts'
import type { FamilyRun } from './run.ts'
import { blocksInOrder, decodeBlocks, maybeEmpty, type Survey, takenIndexes } from './survey.ts'

/** How long an empty block stays with its host before another one may take it: whoever just claimed it is about to use it. */
export const EMPTY_BLOCK_RECLAIM_MS = 60_000

/**
 * Gives this host one more block of the run's pools, in their order: one that doesn't exist yet, else one that is its own
 * without an affinity that says so, else one that has been standing empty with another host. Undefined: there is none.
 */
export async function claimAnotherBlock(run: FamilyRun, survey: Survey, owned: ReadonlySet<Cidr>): Promise<Cidr | undefined> {
  for (const grid of run.grids) {
    const cidr = await claimNewBlock(run, grid, await takenIndexes(survey, grid))
    if (cidr !== undefined) return cidr
  }
  for (const grid of run.grids) {
    const cidr = await claimSparedBlock(run, grid, survey, owned)
    if (cidr !== undefined) return cidr
  }
  return undefined
}

/** Others may be claiming in the same pool at once: what was taken since the listing is passed over. */
async function claimNewBlock(run: FamilyRun, { grid, start }: PoolGrid, taken: Set<bigint>): Promise<Cidr | undefined> {
  const { context, rules, signal } = run
  for (const cidr of freeBlocks(grid, start, (index) => taken.has(index), rules.reserved)) {
    if ((await claimBlock(context, cidr, signal)) === 'claimed') return cidr
    const index = indexOfBlock(grid, cidr)
    if (index !== undefined) taken.add(index)
  }
  return undefined
}

async function claimSparedBlock(run: FamilyRun, grid: PoolGrid, survey: Survey, owned: ReadonlySet<Cidr>): Promise<Cidr | undefined> {
  const { context, signal } = run
  const ours = `"${hostAffinity(context.node)}"`
  const isCandidate = (cidr: Cidr) =>
    !owned.has(cidr) && (maybeEmpty(survey, cidr) || survey.entries.get(cidr)?.value.includes(ours) === true)
  const candidates = (await blocksInOrder(survey, grid)).filter(isCandidate)
  for await (const { cidr, stored, block } of decodeBlocks(context, survey, candidates)) {
    if (block.affinity === hostAffinity(context.node)) {
      if (block.unallocated.length > 0 && (await claimBlock(context, cidr, signal)) === 'claimed') return cidr
    } else if (isSpared(run, block) && (await takeOverBlock(context, cidr, stored, signal)) === 'claimed') return cidr
  }
  return undefined
}

function isSpared({ context, rules }: FamilyRun, block: Block): boolean {
  const isNobodys = block.affinity === undefined
  if (!isNobodys && ownerOf(block.affinity) === undefined) return false
  if (!isEmpty(collectGarbage(block, context.now(), rules.config.ipCooldownSeconds))) return false
  const { family, first, last } = rangeOf(block.cidr)
  if (rules.reserved.coveredUntil(family, first, last) !== undefined) return false
  const claimedAt = Date.parse(block.affinityClaimTime ?? '')
  return Number.isNaN(claimedAt) || context.now().getTime() - claimedAt >= EMPTY_BLOCK_RECLAIM_MS
}
