import { missingFrom } from '../../net/shared-set.ts'
import type { NftChain, NftHook, NftObject, NftRule, NftSet } from '../objects.ts'
import { type ElementType, keyLayout } from './element-keys.ts'
import { encodeRule } from './expressions.ts'
import { hashRule } from './hash.ts'

/** A rule that is in the kernel: its body's hash (empty: not of our writing), and its handle as far as it was read. */
export interface KnownRule {
  readonly hash: string
  readonly handle: bigint | undefined
}

/** A chain that is in the kernel. */
export interface KnownChain {
  readonly hook: NftHook | undefined
  readonly isAccepting: boolean
  readonly rules: readonly KnownRule[]
}

/** A set that is in the kernel; without `type` it is one that we never make. */
export interface KnownSet {
  readonly type: ElementType | undefined
  readonly elements: ReadonlySet<string>
}

/** A set that is written in several transactions, with what of its elements comes and goes in this one. */
export interface SetStep extends NftSet {
  readonly fresh: readonly string[]
  readonly gone: readonly string[]
}

/** What is in the kernel under the name of our table at one generation of its rule set. */
export interface Known {
  readonly generation: number
  readonly exists: boolean
  /** Somebody switched the table off: everything is there and nothing is in force. */
  readonly isDormant: boolean
  readonly chains: Map<string, KnownChain>
  readonly sets: Map<string, KnownSet>
  readonly counters: Set<string>
}

/** Where each kind of object is remembered. */
export const HELD = { set: 'sets', chain: 'chains', counter: 'counters' } as const

/** A rule as it is written: its expressions, and their hash. */
export interface EncodedRule {
  readonly expressions: Buffer
  readonly hash: string
}

/** Texts of rules that an encoder remembers; about 1 kB each. */
const MOST_TEXTS = 5000

/**
 * Encodes rules and remembers them by identity, for planners that give the same object again, and by their text, for small chains
 * that are planned anew with every peer: that costs a tenth of encoding and hashing.
 */
export function createRuleEncoder(): (rule: NftRule) => EncodedRule {
  const byIdentity = new WeakMap<NftRule, EncodedRule>()
  const byText = new Map<string, EncodedRule>()
  return (rule) => {
    const known = byIdentity.get(rule)
    if (known) return known
    const text = JSON.stringify(rule)
    const encoded = byText.get(text) ?? encode(rule)
    if (byText.size >= MOST_TEXTS) byText.clear()
    byText.set(text, encoded)
    byIdentity.set(rule, encoded)
    return encoded
  }
}

function encode(rule: NftRule): EncodedRule {
  const expressions = encodeRule(rule)
  return { expressions, hash: hashRule(expressions) }
}

/** What was read, as the objects that a table lists: rules are not translated back, their hashes stand for them. */
export function listKnown(known: Known): Map<string, NftObject> {
  const objects = new Map<string, NftObject>()
  // Nothing of a dormant table is in force, so nothing is "there": everything is put again, which wakes it up.
  if (known.isDormant) return objects
  for (const [name, set] of known.sets) objects.set(`set ${name}`, listSet(name, set))
  for (const [name, chain] of known.chains) objects.set(`chain ${name}`, listChain(name, chain))
  for (const name of known.counters) objects.set(`counter ${name}`, { kind: 'counter', name })
  return objects
}

function listSet(name: string, set: KnownSet): NftSet {
  if (set.type === undefined) return { kind: 'set', name, family: 4, isInterval: false, elements: new Set(['of another type']) }
  return { kind: 'set', name, ...set.type, elements: set.elements }
}

function listChain(name: string, chain: KnownChain): NftChain {
  const ruleHashes = chain.rules.map(({ hash }) => hash)
  // A base chain that drops by policy is somebody else's doing: no hash fits it, so that it is put again.
  const read = { kind: 'chain', name, rules: [], ruleHashes: chain.isAccepting ? ruleHashes : ['policy drop', ...ruleHashes] } as const
  return chain.hook ? { ...read, hook: chain.hook } : read
}

/** Whether what was read, or was put earlier, is what is wanted. */
export function isSameObject(desired: NftObject, actual: NftObject, encode: (rule: NftRule) => EncodedRule): boolean {
  if (desired === actual) return true
  if (desired.kind === 'counter') return actual.kind === 'counter' && desired.name === actual.name
  if (desired.kind === 'set') return actual.kind === 'set' && isSameSet(desired, actual)
  return actual.kind === 'chain' && isSameChain(desired, actual, encode)
}

function isSameSet(a: NftSet, b: NftSet): boolean {
  if (a.name !== b.name || !isSameType(a, b)) return false
  return a.elements.size === b.elements.size && missingFrom(b.elements, a.elements, 1).length === 0
}

/** Whether elements of both sets are written alike. */
export function isSameType(a: ElementType, b: ElementType): boolean {
  const isSameFamily = a.family === b.family || keyLayout(a).type === keyLayout(b).type
  const isAlike = (a.isMap ?? false) === (b.isMap ?? false) && (a.isTimed ?? false) === (b.isTimed ?? false)
  return isSameFamily && isAlike && a.key === b.key && a.isInterval === b.isInterval
}

function isSameChain(a: NftChain, b: NftChain, encode: (rule: NftRule) => EncodedRule): boolean {
  if (a.name !== b.name || !isSameHook(a.hook, b.hook)) return false
  const [x, y] = [a, b].map((chain) => chain.ruleHashes ?? chain.rules.map((rule) => encode(rule).hash))
  return x?.length === y?.length && x?.every((hash, i) => hash === y?.[i]) === true
}

/** Whether two chains are called at the same place, or both are not base chains. */
export function isSameHook(a: NftHook | undefined, b: NftHook | undefined): boolean {
  return a?.type === b?.type && a?.hook === b?.hook && a?.priority === b?.priority
}
