import type * as z from 'zod'
import { isObject, type JsonObject } from './shape.ts'

/**
 * What is left of a document with faults for the rules between its fields to judge, so that a person is told everything at once.
 * A text or number that is wrong stays as it was given; what is of another type altogether is left out, in a list as a hole.
 */
export function soundParts(schema: z.ZodType, raw: JsonObject): JsonObject {
  const root: Faults = { below: new Map(), isTextKept: undefined }
  for (const { path, code } of schema.safeParse(raw).error?.issues ?? []) note(root, path, code !== 'invalid_type')
  return without(raw, root) as JsonObject
}

/** The items of a list with their places, but for holes; none of what is no list (what nobody here acts on may be anything). */
export function soundEntries<Item>(items: readonly Item[] | undefined): readonly (readonly [number, Item])[] {
  return Array.isArray(items) ? [...items.entries()].filter(([, item]) => item !== undefined && item !== null) : []
}

/** The faults at one place and below it: all are taken out in one walk, for a hostile document has a hundred thousand. */
interface Faults {
  readonly below: Map<PropertyKey, Faults>
  /** Whether a text or a number may stay at this place; undefined without a fault there. */
  isTextKept: boolean | undefined
}

function note(root: Faults, path: readonly PropertyKey[], isTextKept: boolean): void {
  let at = root
  for (const part of path) {
    const next: Faults = at.below.get(part) ?? { below: new Map(), isTextKept: undefined }
    at.below.set(part, next)
    at = next
  }
  at.isTextKept = isTextKept && at.isTextKept !== false
}

function without(value: unknown, { below, isTextKept }: Faults): unknown {
  if (isTextKept !== undefined) return isTextKept && (typeof value === 'string' || typeof value === 'number') ? value : undefined
  const partOf = (part: PropertyKey, member: unknown) => {
    const faults = below.get(part)
    return faults === undefined ? member : without(member, faults)
  }
  if (Array.isArray(value)) return value.map((item, index) => partOf(index, item))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, partOf(name, member)]))
}
