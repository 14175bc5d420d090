import type * as z from 'zod'
import { isObject, type JsonObject } from './shape.ts'

/**
 * What is left of a document with faults for the rules between its fields to judge, so that a person is told everything at once.
 * A text or number that is wrong stays as it was given; what is of another type altogether is left out, in a list as a hole.
 */
export function soundParts(schema: z.ZodType, raw: JsonObject): JsonObject {
  const faults = schema.safeParse(raw).error?.issues ?? []
  return faults.reduce<JsonObject>((whole, { path, code }) => without(whole, path, code !== 'invalid_type') as JsonObject, raw)
}

/** The items of a list with their places, but for holes. */
export function soundEntries<Item>(items: readonly Item[] | undefined): readonly (readonly [number, Item])[] {
  return [...(items ?? []).entries()].filter(([, item]) => item !== undefined)
}

function without(value: unknown, [part, ...rest]: readonly PropertyKey[], isTextKept: boolean): unknown {
  if (part === undefined) return isTextKept && (typeof value === 'string' || typeof value === 'number') ? value : undefined
  if (Array.isArray(value)) return value.map((item, index) => (index === part ? without(item, rest, isTextKept) : item))
  if (!isObject(value) || !Object.hasOwn(value, part)) return value
  return { ...value, [part]: without(value[String(part)], rest, isTextKept) }
}
