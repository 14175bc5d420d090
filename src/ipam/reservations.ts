import { type Cidr, rangeOf } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'

/** Addresses that are never given out by themselves (Calico's IPReservation); asked for by name they may be had. */
export interface RangeSet {
  has(family: Family, address: bigint): boolean
  /** The last address of the reserved range that holds all of first to last; undefined where one of these is not reserved. */
  coveredUntil(family: Family, first: bigint, last: bigint): bigint | undefined
  /** How many addresses from first to last are reserved. */
  countWithin(family: Family, first: bigint, last: bigint): bigint
}

interface Range {
  readonly first: bigint
  readonly last: bigint
}

/** A set of addresses from prefixes, which may overlap. */
export function createRangeSet(cidrs: Iterable<Cidr>): RangeSet {
  const all = [...cidrs].map(rangeOf)
  const merged = { 4: mergeRanges(all.filter((range) => range.family === 4)), 6: mergeRanges(all.filter((range) => range.family === 6)) }
  return {
    has: (family, address) => findRange(merged[family], address) !== undefined,
    coveredUntil(family, first, last) {
      const range = findRange(merged[family], first)
      return range !== undefined && range.last >= last ? range.last : undefined
    },
    countWithin: (family, first, last) => merged[family].reduce((sum, range) => sum + overlap(range, { first, last }), 0n),
  }
}

/** Nothing is reserved. */
export const NO_RESERVATIONS: RangeSet = createRangeSet([])

/** Sorted, without overlaps; neighbours become one, so that a block over both counts as covered. */
function mergeRanges(ranges: readonly Range[]): readonly Range[] {
  const merged: Range[] = []
  for (const range of [...ranges].sort((a, b) => (a.first < b.first ? -1 : 1))) {
    const before = merged.at(-1)
    if (before === undefined || range.first > before.last + 1n) merged.push({ first: range.first, last: range.last })
    else if (range.last > before.last) merged[merged.length - 1] = { first: before.first, last: range.last }
  }
  return merged
}

function findRange(ranges: readonly Range[], address: bigint): Range | undefined {
  let [low, high] = [0, ranges.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const range = ranges[middle]
    if (range === undefined) return undefined
    if (address < range.first) high = middle - 1
    else if (address > range.last) low = middle + 1
    else return range
  }
  return undefined
}

function overlap(a: Range, b: Range): bigint {
  let { first, last } = a
  if (b.first > first) first = b.first
  if (b.last < last) last = b.last
  return last < first ? 0n : last - first + 1n
}
