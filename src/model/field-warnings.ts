import type * as z from 'zod'
import type { Issue } from '../errors.ts'
import { fieldRows, leafMeta } from './field-rows.ts'
import { type AnyResource, kindInfo, RESOURCE_KINDS, type ResourceKind } from './kinds.ts'
import { isArrayType, isObjectType, metaOf, type SchemaMeta, unwrap } from './schema-meta.ts'
import { isObject } from './shape.ts'
import type { FieldTag } from './tags.ts'

type UnheededTag = Exclude<FieldTag, 'enforced'>

const REASONS: Readonly<Record<UnheededTag, string>> = {
  stored: 'is kept for Calico, margay does not act on it',
  later: 'is kept, this version of margay does not act on it yet',
}

/** A field that is set, and what becomes of it. */
export interface FieldWarning extends Issue {
  /** `stored` is worth a warning; `later` only a note, because nothing is wrong with it. */
  readonly tag: UnheededTag
}

/**
 * The fields that a person set in the spec and margay does not act on, each at the first place where it is set; one that says what
 * absent means too is left out, and what holds such fields only is named as one. Of a kind none of whose fields is acted on the
 * whole resource is named, once.
 */
export function fieldWarnings({ kind, spec }: AnyResource): readonly FieldWarning[] {
  const { watch, tags } = WATCHED[kind]
  const found = new Map<Watch, FieldWarning>()
  if (watch !== undefined) collect(watch, spec, 'spec', found)
  const fields = [...found.values()]
  if (tags.has('enforced')) return fields
  const whole = (tag: UnheededTag) => ({ path: '', message: `${kind} ${metaOf(kindInfo(kind).specSchema).effect ?? REASONS[tag]}`, tag })
  if (!tags.has('later')) return [whole('stored')]
  const stored = fields.filter(({ tag }) => tag === 'stored')
  return !tags.has('stored') || stored.length < fields.length ? [whole('later'), ...stored] : stored
}

/** The part of a schema in which there are fields that margay does not act on; nothing else is looked at. */
interface Watch {
  readonly field?: { readonly tag: UnheededTag; readonly message: string; readonly absent: unknown }
  readonly item?: Watch
  readonly members?: readonly (readonly [string, Watch])[]
}

function collect(watch: Watch, value: unknown, path: string, found: Map<Watch, FieldWarning>): void {
  const { field, item, members } = watch
  if (field !== undefined && !found.has(watch) && !isSame(value, field.absent)) {
    found.set(watch, { path, message: field.message, tag: field.tag })
  }
  if (item !== undefined && Array.isArray(value)) {
    for (const [index, each] of value.entries()) collect(item, each, `${path}[${index}]`, found)
  }
  if (members === undefined || !isObject(value)) return
  for (const [name, member] of members) {
    if (value[name] !== undefined) collect(member, value[name], `${path}.${name}`, found)
  }
}

function isSame(value: unknown, absent: unknown): boolean {
  return absent !== undefined && JSON.stringify(value) === JSON.stringify(absent)
}

/** What is looked at of each kind, and which tags its fields have. */
const WATCHED = Object.fromEntries(RESOURCE_KINDS.map((kind) => [kind, watchKind(kind)])) as Readonly<
  Record<ResourceKind, ReturnType<typeof watchKind>>
>

function watchKind(kind: ResourceKind): { readonly watch: Watch | undefined; readonly tags: ReadonlySet<FieldTag | undefined> } {
  const { specSchema } = kindInfo(kind)
  return { watch: watchIn(specSchema), tags: new Set(fieldRows(specSchema, 'spec').map(({ tag }) => tag)) }
}

function watchIn(schema: z.core.$ZodType): Watch | undefined {
  const inner = unwrap(schema)
  const isList = isArrayType(inner) && isObjectType(unwrap(inner.element))
  if (!isList && !isObjectType(inner)) return watchLeaf(leafMeta(schema))
  const tag = tagOfAll(schema)
  if (tag !== undefined) return { field: { tag, message: metaOf(schema).effect ?? REASONS[tag], absent: undefined } }
  if (isList) {
    const item = watchIn(inner.element)
    return item === undefined ? undefined : { item }
  }
  const members = Object.entries((inner as z.ZodObject).shape).flatMap(([name, member]) => {
    const watch = watchIn(member)
    return watch === undefined ? [] : [[name, watch] as const]
  })
  return members.length === 0 ? undefined : { members }
}

function watchLeaf({ tag, effect, default: absent }: SchemaMeta): Watch | undefined {
  return tag === undefined || tag === 'enforced' ? undefined : { field: { tag, message: effect ?? REASONS[tag], absent } }
}

/** The tag of all fields in an object or a list of objects, if none of them is acted on: then one warning says it of all. */
function tagOfAll(schema: z.core.$ZodType): UnheededTag | undefined {
  const rows = fieldRows(schema, '')
  const tag = rows[0]?.tag
  if (tag === undefined || tag === 'enforced') return undefined
  return rows.every((row) => row.tag === tag && row.default === undefined) ? tag : undefined
}
