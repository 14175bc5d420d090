import { createHash } from 'node:crypto'
import { type Cidr, lengthOf, rangeOf } from '../net/cidr.ts'
import { addressBits, type Family, familyOf, formatIp, type Ip, ipToNumber } from '../net/ip.ts'
import type { RangeSet } from './reservations.ts'

/** A pool cut into its blocks; a block is named by its index, 0 for the first. */
export interface BlockGrid {
  readonly family: Family
  /** The pool's first address as a number. */
  readonly first: bigint
  /** The prefix length of a block. */
  readonly blockSize: number
  /** Addresses in a block. */
  readonly step: bigint
  /** Blocks in the pool: 2^74 in an IPv6 /48. */
  readonly count: bigint
}

/** The blocks of a pool. A pool smaller than one block has none. */
export function blocksOf(pool: Cidr, blockSize: number): BlockGrid {
  const { family, first } = rangeOf(pool)
  const bits = blockSize - lengthOf(pool)
  return { family, first, blockSize, step: 1n << BigInt(addressBits(family) - blockSize), count: bits < 0 ? 0n : 1n << BigInt(bits) }
}

/** The block with this index. */
export function blockAt(grid: BlockGrid, index: bigint): Cidr {
  return `${formatIp(grid.family, grid.first + index * grid.step)}/${grid.blockSize}` as Cidr
}

/** The index of a block, or undefined if it isn't one of this pool: outside, or of another size. */
export function indexOfBlock(grid: BlockGrid, block: Cidr): bigint | undefined {
  if (familyOf(block) !== grid.family || lengthOf(block) !== grid.blockSize) return undefined
  const distance = rangeOf(block).first - grid.first
  const isInside = distance >= 0n && distance < grid.count * grid.step
  return isInside ? distance / grid.step : undefined
}

/**
 * Where a host begins to look for blocks in a pool. Hosts begin far from each other, so that they seldom reach for the same
 * block at once, and a host begins at the same place each time. Calico takes another hash; any free block is fine for both.
 */
export function startOf(grid: BlockGrid, seed: string): bigint {
  if (grid.count === 0n) return 0n
  const digest = createHash('sha256').update(seed).digest('hex')
  return BigInt(`0x${digest}`) % grid.count
}

/**
 * Walks all blocks once round from the start and gives those that are not taken and have an address that is not reserved.
 * A reserved range is stepped over at once: it may hold more blocks than can be counted.
 */
export function* freeBlocks(grid: BlockGrid, start: bigint, isTaken: (index: bigint) => boolean, reserved: RangeSet): Generator<Cidr> {
  yield* freeBetween(grid, start, grid.count, isTaken, reserved)
  yield* freeBetween(grid, 0n, start, isTaken, reserved)
}

/** How far a block is from the start of the walk: the order in which the walk meets the blocks. */
export function distanceFrom(grid: BlockGrid, start: bigint, index: bigint): bigint {
  return index >= start ? index - start : index + grid.count - start
}

/** The place of an address in its block, 0 for the first. */
export function ordinalOf(block: Cidr, ip: Ip): number {
  return Number(ipToNumber(ip) - rangeOf(block).first)
}

/** The address at this place of a block. All of them are usable, also the first and the last: a block is no subnet. */
export function addressAt(block: Cidr, ordinal: number): Ip {
  const { family, first } = rangeOf(block)
  return formatIp(family, first + BigInt(ordinal))
}

function* freeBetween(grid: BlockGrid, from: bigint, to: bigint, isTaken: (index: bigint) => boolean, reserved: RangeSet): Generator<Cidr> {
  let index = from
  while (index < to) {
    const first = grid.first + index * grid.step
    const reservedUntil = reserved.coveredUntil(grid.family, first, first + grid.step - 1n)
    if (reservedUntil !== undefined) {
      index = (reservedUntil + 1n - grid.first) / grid.step
      continue
    }
    if (!isTaken(index)) yield blockAt(grid, index)
    index++
  }
}
