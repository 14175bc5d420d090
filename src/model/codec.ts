import * as z from 'zod'
import { type Issue, ValidationError } from '../errors.ts'
import { decodeBlock } from './ipam-block-codec.ts'
import { describeIssues, faultsOf, parseAs } from './issues.ts'
import { parseJson, stringifyJson } from './json.ts'
import { parseKey } from './keys.ts'
import {
  type AnyResource,
  kindInfo,
  type ModelKind,
  type ModelTypes,
  RESOURCE_KINDS,
  type ResourceKind,
  type ResourceTypes,
} from './kinds.ts'
import { metadataSchema } from './metadata.ts'
import { type LiveRecord, liveRecordSchema } from './own/live.ts'
import { decodeTrial } from './own/trial.ts'
import { plainEndpoint } from './plain-endpoint.ts'
import { asRead, asStored, newerStorageName } from './policy-storage.ts'
import { putBack, setAside } from './set-aside.ts'
import { asGoWrites, isObject, type JsonObject, withoutAbsent, withUnknown } from './shape.ts'
import { SharedParts } from './shared-parts.ts'
import { isGoverning } from './unreadable.ts'

export { decodeBlock, encodeBlock } from './ipam-block-codec.ts'
export {
  decodeAffinity,
  decodeHandle,
  decodeIpamConfig,
  encodeAffinity,
  encodeHandle,
  encodeIpamConfig,
} from './ipam-record-codec.ts'

/** One followed object with its kind and id (as in store/view.ts). */
export type DecodedEntry = {
  readonly [K in ModelKind]: { readonly kind: K; readonly id: string; readonly value: ModelTypes[K] }
}[ModelKind]

/**
 * What a key of the store holds, or undefined for a key that nobody follows.
 * A resource gets the key's mod revision as its resourceVersion; members that this version does not know are kept. Equal parts of
 * endpoints are those that `shared` has.
 *
 * @throws {ValidationError} with every issue, if the value is not what its key says
 */
export function decodeEntry(key: string, value: string, modRevision: number, shared?: SharedParts): DecodedEntry | undefined {
  const parsed = parseKey(key)
  if (parsed === undefined) return undefined
  const { kind, id } = parsed
  if (kind === 'IPAMBlock') return { kind, id, value: decodeBlock(value) }
  if (kind === 'Trial') return { kind, id, value: decodeTrial(value, modRevision) }
  if (kind === 'Live') return { kind, id, value: decodeLive(value) }
  const raw = parseJson(value)
  // Judged before it is made: what is not plain is left as it was read.
  const plain = kind === 'WorkloadEndpoint' ? plainEndpoint(raw, modRevision, shared ?? new SharedParts()) : undefined
  if (plain !== undefined) return { kind: 'WorkloadEndpoint', id, value: plain }
  const resource = readRaw(kind, raw, modRevision)
  return { kind, id: idOf(id, resource), value: resource } as DecodedEntry
}

/** A policy's id is made of its name, also where it stands under an older form of that. */
function idOf(keyId: string, { kind, metadata }: AnyResource): string {
  const slash = keyId.lastIndexOf('/') + 1
  return newerStorageName(kind, keyId.slice(slash)) === metadata.name ? `${keyId.slice(0, slash)}${metadata.name}` : keyId
}

/**
 * A resource as it stands in the store. Fields that margay does not act on are read whatever they say.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeResource<K extends ResourceKind>(kind: K, value: string, modRevision: number): ResourceTypes[K] {
  return readRaw(kind, parseJson(value), modRevision)
}

function readRaw<K extends ResourceKind>(kind: K, raw: unknown, modRevision: number): ResourceTypes[K] {
  const read = readStored(kind, isObject(raw) ? withRevision(raw, modRevision) : {})
  if (read.issues.length > 0 || read.resource === undefined) {
    throw new ValidationError(`not ${article(kind)} ${kind}: ${describeIssues(read.issues)}`, read.issues)
  }
  return asRead<AnyResource>(read.resource as AnyResource) as ResourceTypes[K]
}

/** Before it is parsed: V8 gives each copy of parsed metadata a hidden class of its own, which takes more memory than the metadata. */
function withRevision(raw: JsonObject, modRevision: number): JsonObject {
  const { metadata } = raw
  return isObject(metadata) ? { ...raw, metadata: { ...metadata, resourceVersion: String(modRevision) } } : raw
}

function article(kind: ResourceKind): 'a' | 'an' {
  return kind.startsWith('IP') ? 'an' : 'a'
}

function readStored<K extends ResourceKind>(kind: K, raw: JsonObject): Read<K> {
  const read = readResource(kind, raw)
  if (read.resource !== undefined) return read
  const schema = resourceSchema(kind)
  // A policy of which a part is not understood must not be taken for one without that part.
  const tags = isGoverning(kind) ? (['stored'] as const) : (['stored', 'later'] as const)
  const aside = setAside(schema, withoutAbsent(schema, raw) as JsonObject, tags)
  const rest = aside && readResource(kind, aside.rest)
  if (aside === undefined || rest?.resource === undefined) return read
  return { resource: putBack(rest.resource as unknown as JsonObject, aside) as unknown as ResourceTypes[K], issues: [] }
}

/** What was read: a resource, or every issue. */
interface Read<K extends ResourceKind> {
  readonly resource?: ResourceTypes[K]
  readonly issues: readonly Issue[]
}

/** A resource of which every field has its shape, or every issue. Unknown members are kept; defaults and cross-field rules are not looked at. */
export function readResource<K extends ResourceKind>(kind: K, raw: JsonObject): Read<K> {
  const schema = resourceSchema(kind)
  const cleaned = withoutAbsent(schema, isObject(raw['spec']) ? raw : { ...raw, spec: raw['spec'] ?? {} })
  const result = schema.safeParse(cleaned)
  if (!result.success) return { issues: faultsOf(schema, cleaned) }
  const value = withUnknown(schema, cleaned, result.data, true) as JsonObject
  return { resource: { ...value, apiVersion: kindInfo(kind).apiVersion, kind } as unknown as ResourceTypes[K], issues: [] }
}

/** The JSON text of a resource as Calico's writers make it: members in Go's order, none that Go leaves out, no resourceVersion. */
export function encodeResource(resource: AnyResource): string {
  const stored = asStored(resource)
  const { resourceVersion: _, ...metadata } = stored.metadata
  return stringifyJson(asGoWrites(resourceSchema(resource.kind), { ...stored, metadata }))
}

/** `given` with the members of `stored` that this version does not know, so that an update does not strip them. */
export function mergeUnknown<R extends AnyResource>(stored: R, given: R): R {
  return withUnknown(resourceSchema(given.kind), stored, given, false) as R
}

/** The value of `/margay/v1/live/<node>`. */
export function encodeLive(record: LiveRecord): string {
  return JSON.stringify(record)
}

/**
 * What a host says of itself.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeLive(value: string): LiveRecord {
  return parseAs('a live record', liveRecordSchema, parseJson(value))
}

/** The whole of a resource of this kind in Go's order. */
export function resourceSchema(kind: ResourceKind): z.ZodObject {
  return SCHEMAS[kind]
}

const SCHEMAS = Object.fromEntries(
  RESOURCE_KINDS.map((kind) => {
    const { specSchema: spec, statusSchema } = kindInfo(kind)
    const text = z.string().optional()
    return [kind, z.object({ kind: text, apiVersion: text, metadata: metadataSchema, spec, status: statusSchema.optional() })]
  }),
) as unknown as Readonly<Record<ResourceKind, z.ZodObject>>
