import type * as z from 'zod'
import type { Issue } from '../errors.ts'
import { fieldRows, leafMeta } from './field-rows.ts'
import { type AnyResource, kindInfo } from './kinds.ts'
import { isArrayType, isObjectType, unwrap } from './schema-meta.ts'
import { isObject } from './shape.ts'
import type { FieldTag } from './tags.ts'

const REASONS: Readonly<Record<Exclude<FieldTag, 'enforced'>, string>> = {
  stored: 'is kept for Calico, margay does not act on it',
  later: 'is kept, this version of margay does not act on it yet',
}

/**
 * The fields that a person set in the spec and margay does not act on, each at the first place where it is set; one that says what
 * absent means too is left out. Of a kind none of whose fields is acted on there is one warning, of the whole resource.
 */
export function fieldWarnings(resource: AnyResource): readonly Issue[] {
  const { kind, spec } = resource
  const { specSchema } = kindInfo(kind)
  const rows = fieldRows(specSchema, 'spec')
  if (rows.every(({ tag }) => tag !== 'enforced')) {
    return [{ path: '', message: `${kind} ${REASONS[rows.every(({ tag }) => tag === 'stored') ? 'stored' : 'later']}` }]
  }
  const found = new Map<string, Issue>()
  collect(specSchema, spec, { shown: 'spec', field: 'spec' }, found)
  return [...found.values()]
}

/** Where the walk is: as a person finds it (`spec.ports[1].name`), and as the field is called (`spec.ports[].name`). */
interface Place {
  readonly shown: string
  readonly field: string
}

function collect(schema: z.core.$ZodType, value: unknown, { shown, field }: Place, found: Map<string, Issue>): void {
  const inner = unwrap(schema)
  if (isArrayType(inner) && Array.isArray(value) && isObjectType(unwrap(inner.element))) {
    for (const [index, item] of value.entries()) collect(inner.element, item, { shown: `${shown}[${index}]`, field: `${field}[]` }, found)
  } else if (isObjectType(inner) && isObject(value)) {
    for (const [name, member] of Object.entries(inner.shape)) {
      if (value[name] !== undefined) collect(member, value[name], { shown: `${shown}.${name}`, field: `${field}.${name}` }, found)
    }
  } else {
    const { tag, default: absent } = leafMeta(schema)
    if (tag === undefined || tag === 'enforced' || found.has(field) || isSame(value, absent)) return
    found.set(field, { path: shown, message: REASONS[tag] })
  }
}

function isSame(value: unknown, absent: unknown): boolean {
  return absent !== undefined && JSON.stringify(value) === JSON.stringify(absent)
}
