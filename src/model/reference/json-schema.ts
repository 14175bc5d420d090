import type * as z from 'zod'
import { isRequiredMember, leafMeta } from '../field-rows.ts'
import { kindInfo, RESOURCE_KINDS, type ResourceKind } from '../kinds.ts'
import { metadataSchema } from '../metadata.ts'
import { isArrayType, isObjectType, typeOf, unwrap } from '../schema-meta.ts'
import type { FieldTag } from '../tags.ts'
import { ABOUT } from './about.ts'

/** A JSON Schema, or a part of one. */
type JsonSchema = Readonly<Record<string, unknown>>

/** Draft 7 is what editors' YAML servers read best. */
const DRAFT = 'http://json-schema.org/draft-07/schema#'

/** The file of the schema that takes documents of every kind. */
export const SCHEMA_OF_ALL = 'resource.json'

/** The file of a kind's schema. */
export function schemaFile(kind: ResourceKind): string {
  return `${kind.toLowerCase()}.json`
}

/** The JSON Schemas of all kinds, and the one that chooses among them by `kind`, by file name. */
export function schemaFiles(): ReadonlyMap<string, JsonSchema> {
  const kinds = RESOURCE_KINDS.map((kind) => [schemaFile(kind), jsonSchemaOf(kind)] as const)
  return new Map([...kinds, [SCHEMA_OF_ALL, chooserOf(RESOURCE_KINDS)]])
}

/** The JSON Schema of the documents of a kind, as people write them. It is as strict as `margay apply` about fields, not about all rules. */
export function jsonSchemaOf(kind: ResourceKind): JsonSchema {
  const { apiVersion, isNamespaced, specSchema, statusSchema } = kindInfo(kind)
  const spec = partOf(specSchema)
  return {
    $schema: DRAFT,
    title: kind,
    description: ABOUT[kind],
    type: 'object',
    // The name of a workload endpoint follows from its spec.
    required: [
      'apiVersion',
      'kind',
      ...(kind === 'WorkloadEndpoint' ? [] : ['metadata']),
      ...(spec['required'] === undefined ? [] : ['spec']),
    ],
    additionalProperties: false,
    properties: {
      apiVersion: { const: apiVersion },
      kind: { const: kind },
      metadata: metadataOf(kind, isNamespaced),
      spec,
      status: partOf(statusSchema),
    },
  }
}

function chooserOf(kinds: readonly ResourceKind[]): JsonSchema {
  return {
    $schema: DRAFT,
    title: 'resources of margay',
    type: 'object',
    required: ['apiVersion', 'kind'],
    allOf: kinds.map((kind) => ({
      if: { properties: { apiVersion: { const: kindInfo(kind).apiVersion }, kind: { const: kind } } },
      // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
      then: { $ref: schemaFile(kind) },
    })),
  }
}

/** What people write of a resource's metadata; the rest is there when they apply what they exported. */
function metadataOf(kind: ResourceKind, isNamespaced: boolean): JsonSchema {
  const strings = { type: 'object', additionalProperties: { type: 'string' } }
  const name = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$', maxLength: 253 }
  const namespace = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63, default: 'default' }
  const others = Object.keys(metadataSchema.shape).filter((member) => !['name', 'namespace', 'labels', 'annotations'].includes(member))
  return {
    type: 'object',
    ...(kind === 'WorkloadEndpoint' ? {} : { required: ['name'] }),
    additionalProperties: false,
    properties: {
      name,
      ...(isNamespaced ? { namespace } : {}),
      labels: strings,
      annotations: strings,
      ...Object.fromEntries(others.map((other) => [other, {}])),
    },
  }
}

/** The schema of a field or of what holds fields. */
function partOf(schema: z.core.$ZodType): JsonSchema {
  const { tag, description, default: absent, json } = leafMeta(schema)
  const said = [description, tag === undefined ? undefined : NOTES[tag]].filter((text) => text !== undefined && text !== '').join(' ')
  return {
    ...shapeOf(unwrap(schema)),
    ...(isArrayType(unwrap(schema)) ? {} : json),
    ...(said === '' ? {} : { description: said }),
    ...(absent === undefined ? {} : { default: absent }),
  }
}

const NOTES: Readonly<Record<FieldTag, string>> = {
  enforced: '',
  stored: '(Kept for Calico; margay does not act on it.)',
  later: '(Kept; this version of margay does not act on it yet.)',
}

function shapeOf(schema: z.core.$ZodType): JsonSchema {
  if (isObjectType(schema)) return objectOf(schema)
  if (isArrayType(schema)) return { type: 'array', items: itemOf(schema.element) }
  switch (typeOf(schema)) {
    case 'record':
      return { type: 'object', additionalProperties: partOf((schema as z.ZodRecord).valueType) }
    case 'enum':
      return { enum: [...(schema as z.ZodEnum).options] }
    case 'literal':
      return { enum: [...(schema as z.ZodLiteral).values] }
    case 'union':
      return { anyOf: (schema as z.ZodUnion).options.map(partOf) }
    case 'number':
      return { type: (schema as z.ZodNumber).format === 'safeint' ? 'integer' : 'number' }
    case 'string':
    case 'boolean':
      return { type: typeOf(schema) }
    default:
      return {}
  }
}

function objectOf(schema: z.ZodObject): JsonSchema {
  const members = Object.entries(schema.shape)
  const required = members.filter(([, member]) => isRequiredMember(member)).map(([name]) => name)
  return {
    type: 'object',
    ...(required.length === 0 ? {} : { required }),
    ...(schema.def.catchall === undefined ? { additionalProperties: false } : {}),
    properties: Object.fromEntries(members.map(([name, member]) => [name, partOf(member)])),
  }
}

/** An item of a list, whose description stands at the list. */
function itemOf(schema: z.core.$ZodType): JsonSchema {
  const { description: _, default: __, ...item } = partOf(schema)
  return item
}
