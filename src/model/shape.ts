import type * as z from 'zod'
import { isArrayType, isObjectType, metaOf, typeOf, unwrap } from './schema-meta.ts'

/** A JSON object as it was read. */
export type JsonObject = Readonly<Record<string, unknown>>

/** A member of a document that its schema does not have. */
export interface UnknownMember {
  readonly path: readonly PropertyKey[]
  /** The members that the schema has at this place. */
  readonly known: readonly string[]
}

/** Whether the value is an object with members: no array, no null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The value without the members that mean "absent" to Go's decoder: null, and an empty string where a member is optional.
 * Members that the schema does not know stay as they are. The same value where there is nothing to leave out: most have nothing,
 * and copies of each resource would be most of what reading many of them costs.
 */
export function withoutAbsent(schema: z.core.$ZodType, value: unknown): unknown {
  const inner = unwrap(schema)
  if (isArrayType(inner) && Array.isArray(value)) return mapChanged(value, (item) => withoutAbsent(inner.element, item))
  if (!isObjectType(inner) || !isObject(value)) return value
  let result: Record<string, unknown> | undefined
  for (const name of Object.keys(value)) {
    const member = value[name]
    const known = memberOf(inner, name)
    const isAbsent = known !== undefined && (member === null || (member === '' && mayBeEmptyText(known)))
    const left = known === undefined || typeof member !== 'object' || isAbsent ? member : withoutAbsent(known, member)
    if (!isAbsent && left === member) continue
    result ??= { ...value }
    if (isAbsent) delete result[name]
    else define(result, name, left)
  }
  return result ?? value
}

const NO_TEXTS: ReadonlySet<string> = new Set(['boolean', 'number', 'literal', 'array', 'object', 'record'])

/** Whether an empty text in the place of the member says nothing; in that of a number it is a fault, to Go as well. */
function mayBeEmptyText(schema: z.core.$ZodType): boolean {
  return typeOf(schema) === 'optional' && !NO_TEXTS.has(typeOf(unwrap(schema)))
}

/** Every member that the schema does not have, however deep. */
export function findUnknown(schema: z.core.$ZodType, value: unknown, path: readonly PropertyKey[] = []): readonly UnknownMember[] {
  const inner = unwrap(schema)
  if (isArrayType(inner) && Array.isArray(value)) {
    return value.flatMap((item, index) => findUnknown(inner.element, item, [...path, index]))
  }
  if (!isObjectType(inner) || !isObject(value)) return []
  return Object.entries(value).flatMap(([name, member]) => {
    const known = memberOf(inner, name)
    if (known) return findUnknown(known, member, [...path, name])
    return inner.def.catchall === undefined ? [{ path: [...path, name], known: Object.keys(inner.def.shape) }] : []
  })
}

/**
 * `into` with the members of `from` that the schema does not have; `into` itself where there are none. Items of lists belong together
 * by their place (`isSame`: both are one value, before and after parsing), else where all that the schema knows of them is equal.
 */
export function withUnknown(schema: z.core.$ZodType, from: unknown, into: unknown, isSame: boolean): unknown {
  const inner = unwrap(schema)
  if (isArrayType(inner) && Array.isArray(from) && Array.isArray(into)) {
    const partner = isSame ? (index: number) => from[index] : partners(inner.element, from, into)
    return mapChanged(into, (item, index) => withUnknown(inner.element, partner(index), item, isSame))
  }
  if (!isObjectType(inner) || !isObject(from) || !isObject(into)) return into
  let result: Record<string, unknown> | undefined
  for (const name of Object.keys(from)) {
    const known = memberOf(inner, name)
    if (known ? typeof from[name] !== 'object' : Object.hasOwn(into, name)) continue
    const whole = known ? withUnknown(known, from[name], into[name], isSame) : from[name]
    if (known && whole === into[name]) continue
    result ??= { ...into }
    define(result, name, whole)
  }
  return result ?? into
}

/** The value as Go writes it: members in the schema's order, then unknown ones; none that Go's `omitempty` leaves out. */
export function asGoWrites(schema: z.core.$ZodType, value: unknown): unknown {
  const inner = unwrap(schema)
  if (isArrayType(inner) && Array.isArray(value)) return value.map((item) => asGoWrites(inner.element, item))
  if (typeOf(inner) === 'record' && isObject(value)) {
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
  }
  if (!isObjectType(inner) || !isObject(value)) return value
  const result: Record<string, unknown> = {}
  for (const [name, known] of Object.entries(inner.def.shape)) {
    const member = value[name]
    if (!isOmitted(known, member)) define(result, name, asGoWrites(known, member))
  }
  for (const [name, member] of Object.entries(value)) {
    if (!memberOf(inner, name) && member !== undefined) define(result, name, member)
  }
  return result
}

function isOmitted(schema: z.core.$ZodType, value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (typeOf(schema) !== 'optional') return false
  const inner = unwrap(schema)
  if (value === '') return true
  if (value === false || value === 0) return metaOf(schema).zero === 'omit'
  if (Array.isArray(value)) return value.length === 0 && metaOf(schema).empty !== 'keep'
  return typeOf(inner) === 'record' && isObject(value) && Object.keys(value).length === 0
}

/** The schema of a member; nothing for what every JavaScript object has, such as `constructor`. */
function memberOf(schema: z.ZodObject, name: string): z.core.$ZodType | undefined {
  return Object.hasOwn(schema.def.shape, name) ? schema.def.shape[name] : undefined
}

/** `__proto__` is a member like any other here; plain assignment would set the prototype. */
function define(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') target[name] = value
  else Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true })
}

/** The list with its items changed; the same list where none was. */
function mapChanged(items: readonly unknown[], change: (item: unknown, index: number) => unknown): readonly unknown[] {
  let result: unknown[] | undefined
  for (let index = 0; index < items.length; index++) {
    const item = items[index]
    const changed = change(item, index)
    if (changed === item) continue
    result ??= [...items]
    result[index] = changed
  }
  return result ?? items
}

/** For each item of `into` one item of `from`, each at most once, of which all that the schema knows is equal. */
function partners(schema: z.core.$ZodType, from: readonly unknown[], into: readonly unknown[]): (index: number) => unknown {
  const byKnown = new Map<string, unknown[]>()
  for (const item of from) {
    const known = showKnown(schema, item)
    byKnown.set(known, [...(byKnown.get(known) ?? []), item])
  }
  const found = into.map((item) => byKnown.get(showKnown(schema, item))?.shift())
  return (index) => found[index]
}

function showKnown(schema: z.core.$ZodType, value: unknown): string {
  return JSON.stringify([onlyKnown(schema, value)], (_, member: unknown) => (typeof member === 'bigint' ? String(member) : member))
}

function onlyKnown(schema: z.core.$ZodType, value: unknown): unknown {
  const inner = unwrap(schema)
  if (isArrayType(inner) && Array.isArray(value)) return value.map((item) => onlyKnown(inner.element, item))
  if (!isObjectType(inner) || !isObject(value)) return value
  const known = Object.entries(inner.def.shape).map(([name, member]) => [name, onlyKnown(member, value[name])] as const)
  // An empty object says as little as none: older writers put `source: {}` into each rule.
  return Object.fromEntries(known.filter(([, member]) => member !== undefined && !isEmptyObject(member)))
}

function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0
}
