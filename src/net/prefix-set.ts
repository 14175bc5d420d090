import { type Cidr, cidrContains, lengthOf, rangeOf } from './cidr.ts'

/** The prefixes without those that another of them covers, in order of family and address: what an nftables interval set accepts. */
export function withoutCovered(cidrs: Iterable<Cidr>): Cidr[] {
  const kept: Cidr[] = []
  for (const cidr of [...cidrs].toSorted(compareCidrs)) {
    const last = kept.at(-1)
    // In this order a prefix that covers others stands before them, and all that it covers follows it at once.
    if (last === undefined || !cidrContains(last, cidr)) kept.push(cidr)
  }
  return kept
}

/** Orders by family, then first address, then the wider prefix first. */
export function compareCidrs(a: Cidr, b: Cidr): number {
  const [x, y] = [rangeOf(a), rangeOf(b)]
  if (x.family !== y.family) return x.family - y.family
  if (x.first !== y.first) return x.first < y.first ? -1 : 1
  return lengthOf(a) - lengthOf(b)
}
