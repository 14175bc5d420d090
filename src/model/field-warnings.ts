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

/**
 * The fields that a person set in the spec and margay does not act on, each at the first place where it is set; one that says what
 * absent means too is left out, and what holds such fields only is named as one. Of a kind none of whose fields is acted on there is one warning, of the whole resource.
 */
export function fieldWarnings({ kind, spec }: AnyResource): readonly Issue[] {
  const watch = WATCHED[kind]
  if (typeof watch === 'string') return [{ path: '', message: `${kind} ${REASONS[watch]}` }]
  const found = new Map<Watch, Issue>()
  if (watch !== undefined) collect(watch, spec, 'spec', found)
  return [...found.values()]
}

/** The part of a schema in which there are fields that margay does not act on; nothing else is looked at. */
interface Watch {
  readonly field?: { readonly message: string; readonly absent: unknown }
  readonly item?: Watch
  readonly members?: readonly (readonly [string, Watch])[]
}

function collect(watch: Watch, value: unknown, path: string, found: Map<Watch, Issue>): void {
  const { field, item, members } = watch
  if (field !== undefined && !found.has(watch) && !isSame(value, field.absent)) found.set(watch, { path, message: field.message })
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

/** What is looked at of each kind: the tag of all its fields, where margay acts on none. */
const WATCHED = Object.fromEntries(RESOURCE_KINDS.map((kind) => [kind, watchKind(kind)])) as Readonly<
  Record<ResourceKind, Watch | UnheededTag | undefined>
>

function watchKind(kind: ResourceKind): Watch | UnheededTag | undefined {
  const { specSchema } = kindInfo(kind)
  const tags = fieldRows(specSchema, 'spec').map(({ tag }) => tag)
  if (tags.includes('enforced')) return watchIn(specSchema)
  return tags.includes('later') ? 'later' : 'stored'
}

function watchIn(schema: z.core.$ZodType): Watch | undefined {
  const inner = unwrap(schema)
  const isList = isArrayType(inner) && isObjectType(unwrap(inner.element))
  if (!isList && !isObjectType(inner)) return watchLeaf(leafMeta(schema))
  const tag = tagOfAll(schema)
  if (tag !== undefined) return { field: { message: metaOf(schema).effect ?? REASONS[tag], absent: undefined } }
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
  return tag === undefined || tag === 'enforced' ? undefined : { field: { message: effect ?? REASONS[tag], absent } }
}

/** The tag of all fields in an object or a list of objects, if none of them is acted on: then one warning says it of all. */
function tagOfAll(schema: z.core.$ZodType): UnheededTag | undefined {
  const rows = fieldRows(schema, '')
  const tag = rows[0]?.tag
  if (tag === undefined || tag === 'enforced') return undefined
  return rows.every((row) => row.tag === tag && row.default === undefined) ? tag : undefined
}
