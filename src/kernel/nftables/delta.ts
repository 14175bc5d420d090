import { missingFrom } from '../../net/shared-set.ts'
import { MessageWriter, NLM_F_APPEND, NLM_F_CREATE } from '../netlink/message.ts'
import type { NftChain, NftObject, NftRule, NftSet } from '../objects.ts'
import type { NftBatch } from './batch.ts'
import { type ElementType, keyLayout } from './element-keys.ts'
import { ELEMENTS_PER_MESSAGE, writeElements } from './elements.ts'
import { commentUserData, hashToUserData } from './hash.ts'
import * as nft from './protocol.ts'
import { type EncodedRule, HELD, isSameHook, isSameType, type Known, type KnownRule, type SetStep } from './state.ts'

/** What the writers of one transaction need: the table's name, what is there, and how rules are encoded. */
export interface DeltaContext {
  readonly table: string
  readonly known: Known
  readonly encode: (rule: NftRule) => EncodedRule
}

/**
 * Writes the changes that make these objects so, in an order in which nothing refers to what is not there yet: table, sets, counters,
 * chains, elements, rules (a jump to a chain that comes later in the batch is refused with ENOENT). What is there as it should be is not
 * written at all.
 */
export function writePuts(batch: NftBatch, context: DeltaContext, puts: ReadonlyMap<string, NftObject>): void {
  const { known } = context
  const sets = [...puts].flatMap(([key, object]) => (object.kind === 'set' ? [{ key, set: object }] : []))
  const chains = [...puts].flatMap(([key, object]) => (object.kind === 'chain' ? [{ key, chain: object }] : []))
  if (!known.exists || known.isDormant) writeTable(batch, context.table)
  for (const { key, set } of sets) writeSet(batch, context, key, set)
  for (const [key, object] of puts) if (object.kind === 'counter') writeNewCounter(batch, context, key, object.name)
  for (const { key, chain } of chains) writeChain(batch, context, key, chain)
  for (const { key, set } of sets) writeMembers(batch, context, key, set)
  for (const { key, chain } of chains) writeRules(batch, context, key, chain)
}

/**
 * Writes removals in an order in which nothing that goes is still referred to by what also goes: rules of all the chains, maps (they lead
 * to chains), chains, sets, counters. What is not there is not written.
 */
export function writeRemoves(batch: NftBatch, { table, known }: DeltaContext, removes: ReadonlyMap<string, NftObject>): void {
  const there = [...removes].filter(([, { kind, name }]) => known[HELD[kind]].has(name))
  const chains = there.filter(([, { kind }]) => kind === 'chain')
  const sets = there.filter(([, { kind }]) => kind === 'set')
  for (const [key, { name }] of chains) writeFlush(batch, table, key, name)
  const isMap = ({ name }: NftObject) => known.sets.get(name)?.type?.isMap === true
  for (const [key, set] of sets) if (isMap(set)) writeDeleteSet(batch, table, key, set.name)
  for (const [key, { name }] of chains) writeDeleteChain(batch, table, key, name)
  for (const [key, set] of sets) if (!isMap(set)) writeDeleteSet(batch, table, key, set.name)
  for (const [key, { kind, name }] of there) if (kind === 'counter') writeDeleteCounter(batch, table, key, name)
}

/** What is there after these changes were committed as the next generation. */
export function applyDelta(context: DeltaContext, puts: ReadonlyMap<string, NftObject>, removes: ReadonlyMap<string, NftObject>): Known {
  const { known, encode } = context
  for (const object of puts.values()) {
    if (object.kind === 'counter') known.counters.add(object.name)
    else if (object.kind === 'set') known.sets.set(object.name, { type: typeOf(object), elements: object.elements })
    else known.chains.set(object.name, { hook: object.hook, isAccepting: true, rules: rulesAfter(context, object, encode) })
  }
  for (const { kind, name } of removes.values()) known[HELD[kind]].delete(name)
  return { ...known, exists: known.exists || puts.size > 0, isDormant: known.isDormant && puts.size === 0 }
}

function typeOf({ key, family, isInterval, isMap, isTimed }: NftSet): ElementType {
  return { ...(key && { key }), family, isInterval, ...(isMap && { isMap }), ...(isTimed && { isTimed }) }
}

/** Unchanged chains keep the handles that are known of them; a changed one is read again before its next change. */
function rulesAfter({ known }: DeltaContext, chain: NftChain, encode: DeltaContext['encode']): readonly KnownRule[] {
  const before = known.chains.get(chain.name)?.rules ?? []
  const after = chain.rules.map((rule) => ({ hash: encode(rule).hash, handle: undefined }))
  return hasSameRules(before, after) ? before : after
}

function hasSameRules(before: readonly KnownRule[], after: readonly { readonly hash: string }[]): boolean {
  return before.length === after.length && before.every(({ hash }, i) => hash === after[i]?.hash)
}

/** Whether a chain's rules will be changed in part, which needs their handles. */
export function needsHandles({ known, encode }: DeltaContext, object: NftObject): boolean {
  if (object.kind !== 'chain') return false
  const rules = known.chains.get(object.name)?.rules ?? []
  if (rules.every(({ handle }) => handle !== undefined)) return false
  return !hasSameRules(rules, object.rules.map(encode))
}

function writeTable(batch: NftBatch, table: string): void {
  batch.add('', nft.MESSAGE.newTable, NLM_F_CREATE, (writer) => {
    writer.text(nft.TABLE.name, table)
    writer.u32be(nft.TABLE.flags, 0)
    writer.bytesOf(nft.TABLE.userData, commentUserData('kept by margayd, changes by others are undone'))
  })
}

function writeSet(batch: NftBatch, { table, known }: DeltaContext, key: string, set: NftSet): void {
  const present = known.sets.get(set.name)
  if (present?.type && isSameType(present.type, set)) return
  if (present) writeDeleteSet(batch, table, key, set.name)
  const { type, bytes } = keyLayout(set)
  batch.add(key, nft.MESSAGE.newSet, NLM_F_CREATE, (writer) => {
    writer.text(nft.SET.table, table)
    writer.text(nft.SET.name, set.name)
    writer.u32be(nft.SET.flags, setFlags(set))
    writer.u32be(nft.SET.keyType, type)
    writer.u32be(nft.SET.keyLength, bytes)
    if (set.isMap) writer.u32be(nft.SET.dataType, nft.DATA_VERDICT)
    // Else a set that a rule writes to gets 65,535 (nft_dynset, Linux 5.14 to 6.18).
    if (isWritten(set)) writer.nested(nft.SET.description, () => writer.u32be(nft.DESCRIPTION_SIZE, MOST_TIMED))
    // The kernel wants a number to refer to within the batch; we refer by name.
    writer.u32be(nft.SET.id, batch.size)
    if (set.key === 'interface') writer.bytesOf(nft.SET.userData, Buffer.from(nft.USER_DATA_CPU_ORDER))
  })
}

/** A counter that is there goes on counting. */
function writeNewCounter(batch: NftBatch, { table, known }: DeltaContext, key: string, name: string): void {
  if (known.counters.has(name)) return
  batch.add(key, nft.MESSAGE.newObject, NLM_F_CREATE, (writer) => {
    writer.text(nft.OBJECT.table, table)
    writer.text(nft.OBJECT.name, name)
    writer.u32be(nft.OBJECT.type, nft.OBJECT_COUNTER)
    writer.nested(nft.OBJECT.content, () => {
      writer.u64be(nft.COUNTER.bytes, 0n)
      writer.u64be(nft.COUNTER.packets, 0n)
    })
  })
}

function writeDeleteCounter(batch: NftBatch, table: string, key: string, name: string): void {
  batch.add(key, nft.MESSAGE.delObject, 0, (writer) => {
    writer.text(nft.OBJECT.table, table)
    writer.text(nft.OBJECT.name, name)
    writer.u32be(nft.OBJECT.type, nft.OBJECT_COUNTER)
  })
}

/** The kernel makes room for so many when the set is made: about 4 MB. */
export const MOST_TIMED = 262_144

function setFlags(set: NftSet): number {
  const { interval, map, timeout, dynamic } = nft.SET_FLAG
  return (set.isInterval ? interval : 0) | (set.isMap ? map : 0) | (set.isTimed ? timeout : 0) | (isWritten(set) ? dynamic : 0)
}

/** Whether rules may write to it (`refreshMs`). */
function isWritten({ key, isTimed }: NftSet): boolean {
  return isTimed === true && key === 'connection'
}

function isStep(set: NftSet): set is SetStep {
  return 'fresh' in set
}

function membersToWrite(known: Known, set: NftSet): Pick<SetStep, 'fresh' | 'gone'> {
  const present = known.sets.get(set.name)
  const before = present?.type && isSameType(present.type, set) ? present.elements : new Set<string>()
  if (before === set.elements) return { fresh: [], gone: [] }
  const fresh = missingFrom(before, set.elements)
  return { fresh, gone: missingFrom(set.elements, before, before.size + fresh.length - set.elements.size) }
}

/** Only members that come or go. Those that go are first: two halves can take the place of a prefix in one transaction. */
function writeMembers(batch: NftBatch, { table, known }: DeltaContext, key: string, set: NftSet): void {
  if (set.isTimed) return
  const { fresh, gone } = isStep(set) ? set : membersToWrite(known, set)
  for (const [type, elements] of [
    [nft.MESSAGE.delElement, gone],
    [nft.MESSAGE.newElement, fresh],
  ] as const) {
    for (let start = 0; start < elements.length; start += ELEMENTS_PER_MESSAGE) {
      batch.add(key, type, type === nft.MESSAGE.newElement ? NLM_F_CREATE : 0, (writer) => {
        writer.text(nft.ELEMENT_LIST.table, table)
        writer.text(nft.ELEMENT_LIST.set, set.name)
        writer.nested(nft.ELEMENT_LIST.elements, () => writeElements(writer, set, elements.slice(start, start + ELEMENTS_PER_MESSAGE)))
      })
    }
  }
}

function writeChain(batch: NftBatch, { table, known }: DeltaContext, key: string, chain: NftChain): void {
  const present = known.chains.get(chain.name)
  const isSamePlace = present !== undefined && isSameHook(present.hook, chain.hook)
  if (isSamePlace && present.isAccepting) return
  if (present && !isSamePlace) {
    // A chain can't move to another hook or priority: in one transaction no packet sees it missing.
    writeFlush(batch, table, key, chain.name)
    writeDeleteChain(batch, table, key, chain.name)
  }
  const { hook } = chain
  batch.add(key, nft.MESSAGE.newChain, NLM_F_CREATE, (writer) => {
    writer.text(nft.CHAIN.table, table)
    writer.text(nft.CHAIN.name, chain.name)
    if (!hook) return
    writer.nested(nft.CHAIN.hook, () => {
      writer.u32be(nft.HOOK.number, nft.HOOK_NUMBERS[hook.hook])
      writer.u32be(nft.HOOK.priority, hook.priority)
    })
    writer.u32be(nft.CHAIN.policy, nft.POLICY_ACCEPT)
    writer.text(nft.CHAIN.type, hook.type)
  })
}

/** Replaces what differs between the rules that are the same at the start and at the end, so that the others keep their counters. */
function writeRules(batch: NftBatch, { table, known, encode }: DeltaContext, key: string, chain: NftChain): void {
  const present = known.chains.get(chain.name)
  const before = present && isSameHook(present.hook, chain.hook) ? present.rules : []
  const after = chain.rules.map(encode)
  if (hasSameRules(before, after)) return
  const place = placeOfRules(table, chain.name)
  if (before.some(({ handle }) => handle === undefined)) {
    writeFlush(batch, table, key, chain.name)
    writeNewRules(batch, { key, place, rules: after, next: undefined })
    return
  }
  const shorter = Math.min(before.length, after.length)
  let head = 0
  while (head < shorter && before[head]?.hash === after[head]?.hash) head++
  let tail = 0
  while (tail < shorter - head && before.at(-1 - tail)?.hash === after.at(-1 - tail)?.hash) tail++
  for (const rule of before.slice(head, before.length - tail)) writeDeleteRule(batch, table, key, chain.name, rule)
  const next = tail > 0 ? before.at(-tail)?.handle : undefined
  writeNewRules(batch, { key, place, rules: after.slice(head, after.length - tail), next })
}

/** Before the rule with handle `next`, or at the end. */
function writeNewRules(
  batch: NftBatch,
  { key, place, rules, next }: { key: string; place: Uint8Array; rules: readonly EncodedRule[]; next: bigint | undefined },
): void {
  const flags = NLM_F_CREATE | (next === undefined ? NLM_F_APPEND : 0)
  for (const { expressions, hash } of rules) {
    batch.add(key, nft.MESSAGE.newRule, flags, (writer) => {
      writer.attributes(place)
      writer.bytesOf(nft.RULE.expressions | NESTED, expressions)
      if (next !== undefined) writer.u64be(nft.RULE.position, next)
      writer.bytesOf(nft.RULE.userData, hashToUserData(hash))
    })
  }
}

/** The attributes that say in which chain a rule stands: a chain's rules have them in common. */
function placeOfRules(table: string, chain: string): Uint8Array {
  const writer = new MessageWriter(PLACE_BYTES)
  writer.text(nft.RULE.table, table)
  writer.text(nft.RULE.chain, chain)
  return writer.bytes()
}

/** The writer grows where names are longer. */
const PLACE_BYTES = 64

const NESTED = 0x8000

function writeDeleteRule(batch: NftBatch, table: string, key: string, chain: string, rule: KnownRule): void {
  batch.add(key, nft.MESSAGE.delRule, 0, (writer) => {
    writer.text(nft.RULE.table, table)
    writer.text(nft.RULE.chain, chain)
    if (rule.handle !== undefined) writer.u64be(nft.RULE.handle, rule.handle)
  })
}

function writeFlush(batch: NftBatch, table: string, key: string, chain: string): void {
  batch.add(key, nft.MESSAGE.delRule, 0, (writer) => {
    writer.text(nft.RULE.table, table)
    writer.text(nft.RULE.chain, chain)
  })
}

function writeDeleteChain(batch: NftBatch, table: string, key: string, name: string): void {
  batch.add(key, nft.MESSAGE.delChain, 0, named(nft.CHAIN, table, name))
}

function writeDeleteSet(batch: NftBatch, table: string, key: string, name: string): void {
  batch.add(key, nft.MESSAGE.delSet, 0, named(nft.SET, table, name))
}

function named(attributes: { readonly table: number; readonly name: number }, table: string, name: string) {
  return (writer: MessageWriter) => {
    writer.text(attributes.table, table)
    writer.text(attributes.name, name)
  }
}
