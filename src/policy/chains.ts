import type { NftChain, NftRule, NftSet } from '../kernel/objects.ts'
import type { Family } from '../net/ip.ts'
import type { AddressSet } from './address-set.ts'
import type { SetUse } from './rules.ts'
import { contentName, type IsInterval } from './set-names.ts'

/** A set that rules name and whose members come and go, in one family. */
export interface UsedSet {
  readonly set: AddressSet
  readonly family: Family
}

/** What a piece of the rule set consists of: chains and sets that are named by what is in them, so that equal pieces are one. */
export interface Pieces {
  readonly chains: ReadonlyMap<string, NftChain>
  /** Sets and maps that never change. */
  readonly fixed: ReadonlyMap<string, NftSet>
  /** By id and family. */
  readonly used: ReadonlyMap<string, UsedSet>
}

/** Collects pieces of the rule set. */
export class PieceCollector implements SetUse, Pieces {
  readonly chains = new Map<string, NftChain>()
  readonly fixed = new Map<string, NftSet>()
  readonly used = new Map<string, UsedSet>()
  readonly isInterval: IsInterval

  constructor(isInterval: IsInterval) {
    this.isInterval = isInterval
  }

  useFixed(set: NftSet): void {
    if (!this.fixed.has(set.name)) this.fixed.set(set.name, set)
  }

  use(set: AddressSet, family: Family): void {
    this.used.set(`${set.id} ${family}`, { set, family })
  }

  /** The name of the chain with these rules; it is made if there is none. */
  chain(prefix: string, rules: readonly NftRule[]): string {
    const name = contentName(prefix, JSON.stringify(rules))
    if (!this.chains.has(name)) this.chains.set(name, { kind: 'chain', name, rules })
    return name
  }

  /** Adds what another one collected; objects that are there already stay the same ones. */
  addAll({ chains, fixed, used }: Pieces): void {
    for (const [name, chain] of chains) if (!this.chains.has(name)) this.chains.set(name, chain)
    for (const [name, set] of fixed) if (!this.fixed.has(name)) this.fixed.set(name, set)
    for (const [key, one] of used) this.used.set(key, one)
  }
}
