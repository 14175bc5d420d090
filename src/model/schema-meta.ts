import * as z from 'zod'
import type { FieldTag } from './tags.ts'

/** What a schema says of its field beside its shape. */
export interface SchemaMeta {
  /** What margay does with the field (tags.ts). */
  readonly tag?: FieldTag
  /** One sentence on the field. */
  readonly description?: string
  /** What a writer may give for it, in a few words: `IP address`. */
  readonly shown?: string
  /** More of it in the words of JSON Schema (draft 7). */
  readonly json?: Readonly<Record<string, unknown>>
  /** What a field that margay does not act on leads to all the same, in a warning's words. */
  readonly effect?: string
  /** What absent means. */
  readonly default?: unknown
  /** `omit`: Go's writer leaves out 0 and false. */
  readonly zero?: 'omit'
  /** `keep`: Go's writer writes an empty list. */
  readonly empty?: 'keep'
}

/** What a schema says of its field, wherever in the schema it stands: on what may be absent, on what is parsed, or within. */
export function metaOf(schema: z.core.$ZodType): SchemaMeta {
  const own = z.globalRegistry.get(schema) as SchemaMeta | undefined
  const inner = innerOf(schema)
  return inner === undefined ? (own ?? {}) : { ...metaOf(inner), ...own }
}

/** The schema of what is read, without what says that it may be absent or how it is transformed. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const inner = innerOf(schema)
  return inner === undefined ? schema : unwrap(inner)
}

/** By name and not by `instanceof`, which zod answers ten times as slowly: this runs for each member of each resource. */
export function typeOf(schema: z.core.$ZodType): z.core.$ZodTypeDef['type'] {
  return schema._zod.def.type
}

/** Whether the schema is of an object with named members. */
export function isObjectType(schema: z.core.$ZodType): schema is z.ZodObject {
  return typeOf(schema) === 'object'
}

/** Whether the schema is of a list. */
export function isArrayType(schema: z.core.$ZodType): schema is z.ZodArray {
  return typeOf(schema) === 'array'
}

function innerOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (typeOf(schema) === 'optional') return (schema as z.ZodOptional).def.innerType
  return typeOf(schema) === 'pipe' ? (schema as z.ZodPipe).def.in : undefined
}
