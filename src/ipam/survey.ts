import type { Block } from '../model/ipam-block.ts'
import { decodeBlock } from '../model/ipam-block-codec.ts'
import { BLOCKS_PREFIX, parseKey } from '../model/keys.ts'
import { type Cidr, cidrContains, cidrsOverlap, lengthOf, rangeOf } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'
import { Slices } from '../store/slices.ts'
import type { Entry } from '../store/store.ts'
import type { IpamContext } from './context.ts'
import { type BlockGrid, indexOfBlock } from './ordinals.ts'
import type { PoolGrid } from './pools.ts'
import type { Stored } from './records.ts'
import { decodeOrWarn } from './rules.ts'

/** All blocks of a family as they were listed, not decoded yet: 5,000 of them take long to decode, and seldom all are needed. */
export interface Survey {
  readonly family: Family
  readonly entries: ReadonlyMap<Cidr, Entry>
}

/** Lists all blocks of a family. */
export async function surveyBlocks(context: IpamContext, family: Family, signal: AbortSignal): Promise<Survey> {
  const entries = new Map<Cidr, Entry>()
  const slices = new Slices()
  for await (const page of context.store.list(`${BLOCKS_PREFIX}ipv${family}/block/`, {}, signal)) {
    for (const entry of page.entries) {
      if (slices.isDue) await slices.giveWay()
      const parsed = parseKey(entry.key)
      if (parsed?.kind === 'IPAMBlock') entries.set(parsed.id as Cidr, entry)
    }
  }
  return { family, entries }
}

/**
 * The indexes of a pool's blocks that can't be claimed: there is a block, or one of another size (left by a pool that was
 * made anew) has addresses in it. To create that block too would give addresses out twice.
 */
export async function takenIndexes(survey: Survey, { pool, grid }: PoolGrid): Promise<Set<bigint>> {
  const taken = new Set<bigint>()
  const slices = new Slices()
  for (const cidr of survey.entries.keys()) {
    if (slices.isDue) await slices.giveWay()
    const index = indexOfBlock(grid, cidr)
    if (index !== undefined) taken.add(index)
    else if (cidrsOverlap(pool.spec.cidr, cidr)) for (const overlapped of indexesUnder(grid, cidr)) taken.add(overlapped)
  }
  return taken
}

/** The blocks of a pool in the order in which this host's walk meets them, whatever their size. */
export async function blocksInOrder(survey: Survey, { pool, grid, start }: PoolGrid): Promise<readonly Cidr[]> {
  const begin = grid.first + start * grid.step
  const size = grid.count * grid.step
  const found: { readonly cidr: Cidr; readonly distance: bigint }[] = []
  const slices = new Slices()
  for (const cidr of survey.entries.keys()) {
    if (slices.isDue) await slices.giveWay()
    if (!cidrContains(pool.spec.cidr, cidr)) continue
    found.push({ cidr, distance: (rangeOf(cidr).first - begin + size) % (size === 0n ? 1n : size) })
  }
  return found.sort((a, b) => (a.distance < b.distance ? -1 : 1)).map(({ cidr }) => cidr)
}

/** The blocks that lie in a prefix. */
export function blocksInPrefix(survey: Survey, prefix: Cidr): readonly Cidr[] {
  return [...survey.entries.keys()].filter((cidr) => cidrContains(prefix, cidr))
}

/** Decodes these blocks one after the other, and lets the event loop run between. A broken block is passed over. */
export async function* decodeBlocks(
  context: IpamContext,
  survey: Survey,
  cidrs: Iterable<Cidr>,
): AsyncGenerator<{ readonly cidr: Cidr; readonly stored: Stored<Block>; readonly block: Block }> {
  const slices = new Slices()
  for (const cidr of cidrs) {
    if (slices.isDue) await slices.giveWay()
    const entry = survey.entries.get(cidr)
    const block = entry && decodeOrWarn(context, entry.key, () => decodeBlock(entry.value))
    if (entry !== undefined && block !== undefined) yield { cidr, stored: { value: block, revision: entry.modRevision }, block }
  }
}

/**
 * Whether all addresses of a block are in use, by its text alone: of thousands of blocks most are full, and to decode each of
 * them to learn that takes seconds. False where the text leaves a doubt.
 */
export function isSurelyFull(survey: Survey, cidr: Cidr): boolean {
  const value = survey.entries.get(cidr)?.value ?? ''
  return /"unallocated"\s*:\s*(?:\[\s*\]|null)/.test(value) && !value.includes('"releasedAt"')
}

/** Whether a block may have no holders, or only such as cool down, by its text alone. */
export function maybeEmpty(survey: Survey, cidr: Cidr): boolean {
  const value = survey.entries.get(cidr)?.value ?? ''
  return /"attributes"\s*:\s*(?:\[\s*\]|null)/.test(value) || value.includes('"releasedAt"')
}

/** A block of an existing survey that has addresses in common with this prefix, if there is one. */
export function overlapping(survey: Survey, cidr: Cidr): Cidr | undefined {
  if (survey.entries.has(cidr)) return cidr
  return [...survey.entries.keys()].find((other) => lengthOf(other) !== lengthOf(cidr) && cidrsOverlap(other, cidr))
}

function* indexesUnder(grid: BlockGrid, cidr: Cidr): Generator<bigint> {
  const { first, last } = rangeOf(cidr)
  const end = grid.first + grid.count * grid.step - 1n
  const from = first < grid.first ? 0n : (first - grid.first) / grid.step
  const to = ((last > end ? end : last) - grid.first) / grid.step
  for (let index = from; index <= to; index++) yield index
}
