import { missingFrom } from '../../net/shared-set.ts'
import type { NftObject, NftSet } from '../objects.ts'
import { referencesOf } from './references.ts'
import { isSameType, type Known, type SetStep } from './state.ts'

/**
 * So much is written in one transaction, in elements of a set: the kernel works on it while nothing else of this process runs (some
 * milliseconds).
 */
const MOST_AT_ONCE = 4096
const RULE_WEIGHT = 12
const OBJECT_WEIGHT = 4

/**
 * Cuts large puts into parts that are to be put one after another; small ones are one part. What is not there yet nothing refers to, so
 * it can come in pieces, each after what it refers to. All else is in the last part: what is in force becomes another in one transaction.
 * Only where no rule that is in force changes, addresses come to sets and leave them in pieces, too, as if they had been told one after
 * another. `known` may change between two parts, by them.
 *
 * New sets of intervals always come ahead of what refers to them: in Linux 6.18 a look-up finds nothing in them until the transaction that
 * brought them has come to its end, some hundred microseconds after its rules are in force.
 */
export function* cutPuts(wanted: ReadonlyMap<string, NftObject>, known: Known): Generator<ReadonlyMap<string, NftObject>> {
  if (weightOfAll(wanted.values(), known) <= MOST_AT_ONCE && !hasNewIntervals(wanted, known)) {
    yield wanted
    return
  }
  const rest = new Map(wanted)
  let part = new Map<string, NftObject>()
  let weight = 0
  for (const key of inOrder(wanted, known)) {
    const object = wanted.get(key)
    if (object === undefined) continue
    rest.delete(key)
    const own = weightOf(object, known)
    if (weight > 0 && weight + own > MOST_AT_ONCE) {
      yield part
      part = new Map()
      weight = 0
    }
    if (object.kind === 'set' && own > MOST_AT_ONCE) {
      for (const step of stepsTo(object, known)) yield new Map([[key, step]])
      continue
    }
    part.set(key, object)
    weight += own
  }
  if (part.size > 0) yield part
  if (rest.size > 0) yield rest
}

/** The keys of what can come ahead, each after those that it refers to. */
function inOrder(wanted: ReadonlyMap<string, NftObject>, known: Known): Iterable<string> {
  const ordered = new Set<string>()
  const begun = new Set<string>()
  const areRulesSame = [...wanted.values()].every((object) => isNew(object, known) || isPlainSet(object))
  const visit = (key: string): void => {
    const object = wanted.get(key)
    if (object === undefined || begun.has(key)) return
    begun.add(key)
    if (!isNew(object, known) && !(areRulesSame && canGrow(object, known))) return
    for (const reference of referencesOf(object)) visit(reference)
    ordered.add(key)
  }
  for (const key of wanted.keys()) visit(key)
  return ordered
}

/** Whether nothing that is in force can know of it. */
function isNew(object: NftObject, known: Known): boolean {
  switch (object.kind) {
    case 'counter':
      return !known.counters.has(object.name)
    case 'chain':
      return object.hook === undefined && !known.chains.has(object.name)
    case 'set':
      return !known.sets.has(object.name)
  }
}

function hasNewIntervals(wanted: ReadonlyMap<string, NftObject>, known: Known): boolean {
  if (!known.exists || known.isDormant) return false
  for (const object of wanted.values()) if (object.kind === 'set' && object.isInterval && isNew(object, known)) return true
  return false
}

function isPlainSet(object: NftObject): object is NftSet {
  return object.kind === 'set' && object.isMap !== true
}

/** Of intervals one may take the place of others: that must be in one transaction. */
function canGrow(object: NftObject, known: Known): boolean {
  const type = known.sets.get(object.name)?.type
  return isPlainSet(object) && !object.isInterval && type !== undefined && isSameType(type, object)
}

function weightOfAll(objects: Iterable<NftObject>, known: Known): number {
  let sum = 0
  for (const object of objects) sum += weightOf(object, known)
  return sum
}

function weightOf(object: NftObject, known: Known): number {
  if (object.kind === 'counter') return OBJECT_WEIGHT
  if (object.kind === 'chain') return OBJECT_WEIGHT + RULE_WEIGHT * object.rules.length
  const there = known.sets.get(object.name)?.elements
  if (there === undefined) return OBJECT_WEIGHT + object.elements.size
  // As many as come and go; it would take long to count more than matter.
  const fresh = missingFrom(there, object.elements, MOST_AT_ONCE + 1).length
  return OBJECT_WEIGHT + fresh + Math.max(0, there.size - object.elements.size + fresh)
}

/** The set on its way from what is there to what is wanted; the last step has it as it was given. */
function* stepsTo(set: NftSet, known: Known): Generator<SetStep> {
  const there = known.sets.get(set.name)?.elements ?? NOTHING
  const fresh = missingFrom(there, set.elements)
  const gone = missingFrom(set.elements, there)
  const most = Math.max(fresh.length, gone.length)
  for (let from = 0; from < most; from += HALF) {
    yield { ...set, fresh: fresh.slice(from, from + HALF), gone: gone.slice(from, from + HALF) }
  }
}

const HALF = MOST_AT_ONCE / 2
const NOTHING: ReadonlySet<string> = new Set()
