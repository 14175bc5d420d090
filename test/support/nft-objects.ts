import type { NftChain, NftHook, NftRule, NftSet } from '../../src/kernel/objects.ts'

/** A set of IPv4 addresses, unless told otherwise. */
export function aSet(name: string, elements: Iterable<string>, more: Partial<NftSet> = {}): NftSet {
  return { kind: 'set', name, family: 4, isInterval: false, elements: new Set(elements), ...more }
}

/** A chain; with a hook a base chain. */
export function aChain(name: string, rules: readonly NftRule[], hook?: NftHook): NftChain {
  return hook ? { kind: 'chain', name, rules, hook } : { kind: 'chain', name, rules }
}
