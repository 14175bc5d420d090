import type * as z from 'zod'
import { isRequiredMember, leafMeta } from './field-rows.ts'
import { isArrayType, isObjectType, unwrap } from './schema-meta.ts'
import { isObject, type JsonObject } from './shape.ts'
import type { FieldTag } from './tags.ts'

/** A value that was taken out of a stored resource, and where it stood. */
interface Part {
  readonly path: readonly PropertyKey[]
  readonly value: unknown
}

/** A stored resource without what could not be read of it, and what that was. */
export interface SetAside {
  readonly rest: JsonObject
  readonly parts: readonly Part[]
}

/** With more it is no resource of another version, and each costs a copy of what is around it. */
const MOST_FAULTS = 1000

/**
 * Takes out of a stored resource the fields that are not as the schema wants them, if margay acts on none of them: a newer Calico may
 * know more words than this version, and a setting that is Calico's alone must not hide an endpoint or a host from us. Undefined
 * if there is another fault, or one in a field with another tag than these.
 */
export function setAside(schema: z.ZodObject, stored: JsonObject, tags: readonly FieldTag[]): SetAside | undefined {
  const faults = schema.safeParse(stored).error?.issues ?? []
  if (faults.length > MOST_FAULTS) return undefined
  const parts: Part[] = []
  let rest: unknown = stored
  for (const { path } of faults) {
    const at = unheededPart(schema, path, tags)
    if (at === undefined) return undefined
    const value = valueAt(rest, at)
    // Two faults of one part: it is out already.
    if (value === undefined) continue
    parts.push({ path: at, value })
    rest = withValue(rest, at, undefined)
  }
  return parts.length === 0 ? undefined : { rest: rest as JsonObject, parts }
}

/** The resource as it was read, with what was set aside where it stood: the last first, for it may be what an earlier one stood in. */
export function putBack(read: JsonObject, { parts }: SetAside): JsonObject {
  return parts.reduceRight<unknown>((whole, { path, value }) => withValue(whole, path, value), read) as JsonObject
}

/** The least part around a fault that may be absent, if margay acts on no field of it. */
function unheededPart(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
  tags: readonly FieldTag[],
): readonly PropertyKey[] | undefined {
  let least: readonly PropertyKey[] | undefined
  let at: z.core.$ZodType | undefined = schema
  for (let depth = 0; at !== undefined; depth++) {
    if (!isRequiredMember(at) && isUnheeded(at, tags)) least = path.slice(0, depth)
    const inner = unwrap(at)
    const part = path[depth]
    if (part === undefined) break
    at = isObjectType(inner) ? inner.shape[String(part)] : isArrayType(inner) ? inner.element : undefined
  }
  return least
}

function isUnheeded(schema: z.core.$ZodType, tags: readonly FieldTag[]): boolean {
  const inner = unwrap(schema)
  if (isArrayType(inner) && isObjectType(unwrap(inner.element))) return isUnheeded(inner.element, tags)
  if (isObjectType(inner)) return Object.values(inner.shape).every((member) => isUnheeded(member, tags))
  const { tag } = leafMeta(schema)
  return tag !== undefined && tags.includes(tag)
}

function valueAt(whole: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, part) => (typeof at === 'object' && at !== null ? Reflect.get(at, part) : undefined), whole)
}

/** The whole with this value at the path; without a member that would be undefined. */
function withValue(whole: unknown, [part, ...rest]: readonly PropertyKey[], value: unknown): unknown {
  if (part === undefined) return value
  if (Array.isArray(whole)) return whole.map((item, index) => (index === part ? withValue(item, rest, value) : item))
  if (!isObject(whole)) return whole
  const { [String(part)]: old, ...others } = whole
  const inner = withValue(old, rest, value)
  return inner === undefined ? others : { ...whole, [part]: inner }
}
