import type { NftChain, NftRule, NftSet } from '../kernel/objects.ts'
import type { Family } from '../net/ip.ts'
import type { AddressSet } from './address-set.ts'
import type { RuleCounter } from './counted-rule.ts'
import type { SetUse } from './rules.ts'
import { contentName, type ShapeOf } from './set-names.ts'

/** A set that rules name and whose members come and go, in one family. */
export interface UsedSet {
  readonly set: AddressSet
  readonly family: Family
}

/** What a piece of the rule set consists of: chains and sets that are named by what is in them, so that equal pieces are one. */
export interface Pieces {
  /** What they were made of; empty for those that are nobody's part. */
  readonly key: string
  readonly chains: ReadonlyMap<string, NftChain>
  /** Sets and maps that never change. */
  readonly fixed: ReadonlyMap<string, NftSet>
  /** Counters that rules count with, by name. */
  readonly counters: ReadonlyMap<string, RuleCounter>
  /** By id and family. */
  readonly used: ReadonlyMap<string, UsedSet>
  /** Others that these refer to. */
  readonly parts: ReadonlySet<Pieces>
}

/** For what has none of them; nothing is ever put into these. */
export const NO_PIECES = {
  key: '',
  chains: new Map<string, NftChain>(),
  fixed: new Map<string, NftSet>(),
  counters: new Map<string, RuleCounter>(),
  used: new Map<string, UsedSet>(),
  parts: new Set<Pieces>(),
} satisfies Pieces

/** The chains that were made of lists of rules: the same list gives the same object, so that nobody has to compare it. */
export type ChainPool = WeakMap<readonly NftRule[], NftChain>

/** Names rules by what they say, once: those of policies stand in many chains. */
export function nameOfAll(list: { readonly rules: readonly NftRule[] }): string {
  return remembered(NAMES_OF_ALL, list, () => contentName('', list.rules.map(nameOf).join()))
}

/** Long chains have most of their rules in common with others. */
function contentOf(rules: readonly NftRule[]): string {
  return rules.length > FEW_RULES ? rules.map(nameOf).join() : JSON.stringify(rules)
}

/** So few rules are sooner written out than named one by one. */
const FEW_RULES = 8

function nameOf(rule: NftRule): string {
  return remembered(NAMES, rule, () => contentName('', JSON.stringify(rule)))
}

function remembered<T extends object>(names: WeakMap<T, string>, one: T, make: () => string): string {
  const known = names.get(one)
  if (known !== undefined) return known
  const name = make()
  names.set(one, name)
  return name
}

const NAMES = new WeakMap<NftRule, string>()
const NAMES_OF_ALL = new WeakMap<object, string>()

/** Collects pieces of the rule set. Most have few kinds of them, and there are thousands: what stays empty is shared. */
export class PieceCollector implements SetUse, Pieces {
  readonly key: string
  chains = NO_PIECES.chains
  fixed = NO_PIECES.fixed
  counters = NO_PIECES.counters
  used = NO_PIECES.used
  parts = NO_PIECES.parts
  readonly shapeOf: ShapeOf
  readonly #pool: ChainPool

  constructor(shapeOf: ShapeOf, pool: ChainPool = new WeakMap(), key = '') {
    this.key = key
    this.#pool = pool
    this.shapeOf = shapeOf
  }

  useFixed(set: NftSet): void {
    if (!this.fixed.has(set.name)) this.fixed = added(this.fixed, set.name, set)
  }

  use(set: AddressSet, family: Family): void {
    this.used = added(this.used, `${set.id} ${family}`, { set, family })
  }

  /** Takes note of a counter that rules count with. */
  count(counter: RuleCounter): void {
    this.counters = added(this.counters, counter.object.name, counter)
  }

  /** The name of the chain with these rules; it is made if there is none. */
  chain(prefix: string, rules: readonly NftRule[]): string {
    const known = this.#pool.get(rules)
    const chain: NftChain = known?.name.startsWith(prefix) ? known : { kind: 'chain', name: contentName(prefix, contentOf(rules)), rules }
    this.#pool.set(rules, chain)
    if (!this.chains.has(chain.name)) this.chains = added(this.chains, chain.name, chain)
    return chain.name
  }

  /** What was collected. */
  taken(): Pieces {
    const { key, chains, fixed, counters, used, parts } = this
    return { key, chains, fixed, counters, used, parts }
  }

  /** Takes note of others that these refer to. */
  include(part: Pieces): void {
    this.parts = this.parts.size === 0 ? new Set([part]) : this.parts.add(part)
  }
}

/** With the first entry it is a map of its own. */
function added<V>(map: Map<string, V>, key: string, value: V): Map<string, V> {
  return map.size === 0 ? new Map([[key, value]]) : map.set(key, value)
}
