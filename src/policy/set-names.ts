import { createHash } from 'node:crypto'
import type { NftSet } from '../kernel/objects.ts'
import type { Cidr } from '../net/cidr.ts'
import { type Family, familyOf } from '../net/ip.ts'
import type { PortRange } from '../net/port.ts'
import { withoutCovered } from '../net/prefix-set.ts'
import type { AddressSet } from './address-set.ts'

/** A short name for a content: equal contents have one name, and a content that changes gets another. */
export function contentName(prefix: string, content: string): string {
  return `${prefix}${createHash('sha1').update(content).digest('hex').slice(0, 20)}`
}

/** Whether a name is that of a content. */
export function isContentName(name: string): boolean {
  return /_[0-9a-f]{20}$/.test(name)
}

/**
 * What a set has in a family: nothing, single addresses, or prefixes too, for which it must be a set of intervals and of another name. Of
 * an empty set no rule says anything: most have nobody in one of the families, and each rule less is one that no packet walks through.
 */
export type Shape = 'empty' | 'hash' | 'intervals'

/** Tells the shape of a set by its id. */
export type ShapeOf = (id: string, family: Family) => Shape

/** What the kernel calls a set whose members come and go. */
export function addressSetName(set: AddressSet, family: Family, shape: Shape): string {
  const kind = hasPorts(set) ? 'p' : shape === 'intervals' ? 'n' : 's'
  // The id is a hash already.
  return `${kind}${family}_${set.id.slice(set.id.indexOf(':') + 1, set.id.indexOf(':') + 1 + ID_CHARACTERS)}`
}

/** Whether a set has members that come and go, by its name. */
export function isMemberSet(name: string): boolean {
  return /^[pns][46]_/.test(name)
}

/** 144 bits of a set's id. */
const ID_CHARACTERS = 24

/** Whether a member is an address with protocol and port. */
export function hasPorts(set: AddressSet): boolean {
  return set.kind === 'named-port' || (set.kind === 'service' && set.hasPorts)
}

/** The prefixes of one family as a set that never changes. */
export function netSet(nets: readonly Cidr[], family: Family): NftSet {
  const elements = new Set<string>(withoutCovered(nets.filter((net) => familyOf(net) === family)))
  return { kind: 'set', name: contentName(`c${family}_`, [...elements].join()), family, isInterval: true, elements }
}

/** Ports and ranges as a set that never changes. */
export function portSet(ranges: readonly PortRange[]): NftSet {
  const elements = new Set(joinRanges(ranges).map(formatRange))
  return { kind: 'set', key: 'port', name: contentName('d_', [...elements].join()), family: 4, isInterval: true, elements }
}

/** As the elements of sets of ports are written. */
export function formatRange({ low, high }: PortRange): string {
  return low === high ? `${low}` : `${low}-${high}`
}

/** The same ports in the fewest ranges, in order. */
export function joinRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const joined: { low: number; high: number }[] = []
  for (const { low, high } of ranges.toSorted((a, b) => a.low - b.low)) {
    const last = joined.at(-1)
    if (last !== undefined && low <= last.high + 1) last.high = Math.max(last.high, high)
    else joined.push({ low, high })
  }
  return joined
}
