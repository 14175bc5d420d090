import type * as z from 'zod'
import { isArrayType, isObjectType, metaOf, typeOf, unwrap } from './schema-meta.ts'
import type { FieldTag } from './tags.ts'

/** One field of a schema: what a person may give for it, and what margay does with it. */
export interface FieldRow {
  /** `spec.ports[].name`: the items of a list are `[]`. */
  readonly path: string
  /** What may stand there, in a few words. */
  readonly type: string
  readonly isRequired: boolean
  /** What absent means, where that is more than nothing. */
  readonly default: unknown
  readonly tag: FieldTag | undefined
  readonly description: string | undefined
}

/** Every leaf of a schema in its order: all fields but those that only hold others. */
export function fieldRows(schema: z.core.$ZodType, path: string, isRequired = true): readonly FieldRow[] {
  const inner = unwrap(schema)
  if (isArrayType(inner) && isObjectType(unwrap(inner.element))) return fieldRows(inner.element, `${path}[]`, isRequired)
  if (isObjectType(inner)) {
    return Object.entries(inner.shape).flatMap(([name, member]) => fieldRows(member, `${path}.${name}`, isRequiredMember(member)))
  }
  const { tag, description, default: value } = leafMeta(schema)
  return [{ path, type: describeType(schema), isRequired, default: value, tag, description }]
}

/** What is said of a leaf; of a list, what its items say too. */
export function leafMeta(schema: z.core.$ZodType) {
  const inner = unwrap(schema)
  return isArrayType(inner) ? { ...metaOf(inner.element), ...metaOf(schema) } : metaOf(schema)
}

/** Whether a member must be there. */
export function isRequiredMember(schema: z.core.$ZodType): boolean {
  return typeOf(schema) !== 'optional'
}

/** What a person may give, in a few words: `IP address`, or the words to choose from. */
export function describeType(schema: z.core.$ZodType): string {
  const { shown } = metaOf(schema)
  if (shown !== undefined) return shown
  const inner = unwrap(schema)
  if (isArrayType(inner)) return `list of ${describeType(inner.element)}`
  switch (typeOf(inner)) {
    case 'enum':
      return (inner as z.ZodEnum).options.map((word) => `\`${word}\``).join(', ')
    case 'literal':
      return [...(inner as z.ZodLiteral).values].map((value) => `\`${String(value)}\``).join(', ')
    case 'union':
      return (inner as z.ZodUnion).options.map((option) => describeType(option)).join(' or ')
    case 'record':
      return 'names with strings'
    case 'number':
      return (inner as z.ZodNumber).format === 'safeint' ? 'whole number' : 'number'
    case 'boolean':
      return 'true or false'
    case 'unknown':
      return 'anything'
    default:
      return typeOf(inner)
  }
}
