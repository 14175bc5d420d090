import { type Issue, ValidationError } from '../errors.ts'
import { checkResource } from './check.ts'
import { readResource, resourceSchema } from './codec.ts'
import { documentKind } from './document-kind.ts'
import { type FieldWarning, fieldWarnings } from './field-warnings.ts'
import { nearest, showPath } from './issues.ts'
import { type AnyResource, kindInfo, type ResourceKind } from './kinds.ts'
import { kubernetesPolicyFields } from './kubernetes/network-policy.ts'
import { type KUBERNETES_KINDS, readNamespace, readNetworkPolicy, withoutClusterMembers } from './kubernetes/read.ts'
import { checkMetadata, metadataSchema } from './metadata.ts'
import { policyHints } from './policy-hints.ts'
import { findUnknown, isObject, type JsonObject, type UnknownMember, withoutAbsent } from './shape.ts'
import { soundParts } from './sound-parts.ts'
import { workloadEndpointName } from './workload-endpoint-name.ts'
import { type Place, readSource, type SourceDocument, showPlace } from './yaml-source.ts'

/** An issue with the place in the text where it is. */
export interface DocumentIssue extends Issue, Place {
  /** For a member that does not exist: what its writer probably meant. */
  readonly unknown?: { readonly meant: string }
}

/** One document: the resource, if there are no issues. */
export interface ParsedDocument {
  readonly place: Place
  /** `IPPool p`, as far as that can be read. */
  readonly title: string
  readonly resource?: AnyResource
  readonly issues: readonly DocumentIssue[]
  readonly warnings: readonly DocumentIssue[]
  /** What it sets without effect: fields that margay does not act on, rules that are never reached. For those who write it. */
  readonly unheeded: readonly (FieldWarning & Place)[]
  /** Where a document of Kubernetes became something else: what is stored, in words. */
  readonly note?: string
  /** Whether it was a Namespace: its labels are given, the rules of the profile that it is are not. */
  readonly isNamespace?: true
}

/**
 * Reads what a person applies: YAML or JSON, several documents, lists. Strict: a field that does not exist is an issue.
 * Each document has all its issues; defaults are not filled in yet, but a namespaced resource without a namespace gets the given one.
 *
 * @throws {ValidationError} if the text is no YAML at all
 */
export function parseDocuments(text: string, namespace = 'default'): readonly ParsedDocument[] {
  return readSource(text).map((source) => parseDocument(source, namespace))
}

/** `spec.cidr (line 7, column 9): what is wrong`, as a person is shown it. */
export function describeIssue(issue: DocumentIssue): string {
  const place = `(${showPlace(issue)})`
  if (issue.unknown !== undefined) return `unknown field ${JSON.stringify(issue.path)} ${place}${issue.unknown.meant}`
  return issue.path === '' ? `${place.slice(1, -1)}: ${issue.message}` : `${issue.path} ${place}: ${issue.message}`
}

/** Strict parse of one document to a resource, or all that is wrong with it. */
export function parseDocument(source: SourceDocument, namespace: string): ParsedDocument {
  const raw = isObject(source.value) ? source.value : undefined
  const warnings = source.warnings.map(({ path, message }) => ({ path: showPath(path), message, ...source.placeOf(path) }))
  const base = { place: source.placeOf([]), title: titleOf(raw), warnings, unheeded: [] }
  const what = documentKind(source.value)
  if (raw === undefined || 'issues' in what) return { ...base, issues: 'issues' in what ? what.issues.map(withPlace(source)) : [] }
  if ('kubernetes' in what) return { ...base, ...parseKubernetes(what.kubernetes, source, raw, { namespace, warnings }) }
  const given = what.kind === 'Service' ? withoutClusterMembers(raw) : raw
  const read = parseOfKind(what.kind, named(what.kind, given, namespace))
  const specMembers = Object.keys(kindInfo(what.kind).specSchema.shape)
  const issues = [
    ...describeUnknowns(findUnknown(resourceSchema(what.kind), raw), specMembers, source),
    ...read.issues.map(withPlace(source)),
  ]
  if (issues.length > 0 || read.resource === undefined) return { ...base, issues }
  const unheeded = [...fieldWarnings(read.resource), ...policyHints(read.resource)]
  return {
    ...base,
    resource: read.resource,
    issues,
    unheeded: unheeded.map((warning) => ({ ...warning, ...source.placeOf(parsePath(warning.path)) })),
  }
}

/** The resource that a document of Kubernetes becomes, with a note of that. */
function parseKubernetes(
  kind: keyof typeof KUBERNETES_KINDS,
  source: SourceDocument,
  raw: JsonObject,
  given: { readonly namespace: string; readonly warnings: readonly DocumentIssue[] },
): Omit<ParsedDocument, 'place' | 'title' | 'unheeded'> {
  const read = kind === 'Namespace' ? readNamespace(raw) : readNetworkPolicy(raw, given.namespace)
  const specMembers = Object.keys(kind === 'Namespace' ? {} : kubernetesPolicyFields)
  const issues = [...describeUnknowns(read.unknown, specMembers, source), ...read.issues.map(withPlace(source))]
  const warnings = [...given.warnings, ...read.warnings.map(withPlace(source))]
  const { resource, note } = read
  if (issues.length > 0 || resource === undefined) return { issues, warnings }
  return { resource, issues, warnings, ...(note === undefined ? {} : { note }), ...(kind === 'Namespace' ? { isNamespace: true } : {}) }
}

type Read = { readonly resource?: AnyResource; readonly issues: readonly Issue[] }

function parseOfKind(kind: ResourceKind, raw: JsonObject): Read {
  const read = readResource(kind, raw)
  if (read.resource !== undefined) return { resource: read.resource, issues: checkResource(read.resource) }
  const metadata = metadataSchema.safeParse(withoutAbsent(metadataSchema, raw['metadata']))
  const others = metadata.success ? checkMetadata(metadata.data, kindInfo(kind).isNamespaced) : []
  return { issues: [...others, ...read.issues, ...judgeParts(kind, raw, read.issues)] }
}

/** The rules between fields, for a document whose fields are not all right; what is told already is not told again. */
function judgeParts(kind: ResourceKind, raw: JsonObject, told: readonly Issue[]): readonly Issue[] {
  const { judgesParts, validate } = kindInfo(kind)
  const schema = resourceSchema(kind)
  const parts = soundParts(schema, { spec: {}, ...(withoutAbsent(schema, raw) as JsonObject) })
  if (!judgesParts || !isObject(parts['metadata']) || typeof parts['metadata']['name'] !== 'string' || !isObject(parts['spec'])) return []
  const known = toldPlaces(told)
  // Kinds that say so take holes where their types promise members.
  return validate(parts as unknown as AnyResource).filter(({ path }) => !known.has(path))
}

/** The places of faults that are told, and what each is within: what lacks a wrong member may look empty. The spec itself is no such place. */
function toldPlaces(told: readonly Issue[]): ReadonlySet<string> {
  const places = new Set<string>()
  for (const { path } of told) {
    places.add(path)
    for (let dot = path.indexOf('.', 'spec.'.length); dot >= 0; dot = path.indexOf('.', dot + 1)) places.add(path.slice(0, dot))
  }
  return places
}

/** The document with the namespace and, for a workload endpoint, the name that it gets where it says none. */
function named(kind: ResourceKind, raw: JsonObject, namespace: string): JsonObject {
  const metadata = isObject(raw['metadata']) ? raw['metadata'] : undefined
  if (raw['metadata'] !== undefined && metadata === undefined) return raw
  const added: Record<string, unknown> = {}
  if (kindInfo(kind).isNamespaced && !metadata?.['namespace']) added['namespace'] = namespace
  if (kind === 'WorkloadEndpoint' && !metadata?.['name']) added['name'] = endpointName(raw)
  return Object.keys(added).length === 0 ? raw : { ...raw, metadata: { ...metadata, ...added } }
}

/** Any name, where none can be made of the spec: what is missing is told with all that is wrong (checkWorkloadEndpoint). */
function endpointName(raw: JsonObject): string {
  try {
    return workloadEndpointName(identityOf(raw))
  } catch {
    return 'unnamed'
  }
}

function identityOf(raw: JsonObject): Readonly<Record<string, string>> {
  const spec = isObject(raw['spec']) ? raw['spec'] : {}
  return Object.fromEntries(Object.entries(spec).filter((member): member is [string, string] => typeof member[1] === 'string'))
}

function titleOf(raw: JsonObject | undefined): string {
  const name = isObject(raw?.['metadata']) ? raw['metadata']['name'] : undefined
  return [raw?.['kind'], name].filter((part) => typeof part === 'string').join(' ') || 'document'
}

/** Of so many unknown fields of a document it is said what was probably meant: to find that is work. */
const MOST_HINTS = 50

function describeUnknowns(
  members: readonly UnknownMember[],
  specMembers: readonly string[],
  source: SourceDocument,
): readonly DocumentIssue[] {
  return members.map((member, index) =>
    index < MOST_HINTS ? describeUnknown(member, specMembers, source) : describeUnknown({ ...member, known: [] }, [], source),
  )
}

function describeUnknown(member: UnknownMember, specMembers: readonly string[], source: SourceDocument): DocumentIssue {
  const path = showPath(member.path)
  const name = String(member.path.at(-1))
  const near = nearest(name, member.known)
  const inSpec = member.path.length === 1 ? nearest(name, specMembers) : undefined
  const place =
    near === undefined && inSpec !== undefined ? ['spec', inSpec] : near === undefined ? undefined : [...member.path.slice(0, -1), near]
  const meant = place === undefined ? '' : `: did you mean ${JSON.stringify(showPath(place))}?`
  return { path, message: `unknown field ${JSON.stringify(path)}${meant}`, unknown: { meant }, ...source.placeOf(member.path) }
}

function withPlace(source: SourceDocument): (issue: Issue) => DocumentIssue {
  return (issue) => ({ ...issue, ...source.placeOf(parsePath(issue.path)) })
}

/** The parts of a shown path. Names with dots (labels) stand last and are tried whole. */
function parsePath(path: string): readonly PropertyKey[] {
  const map = /^(metadata\.(?:labels|annotations)|.*\.labelsToApply)\.(.+)$/.exec(path)
  if (map?.[1] !== undefined && map[2] !== undefined) return [...parsePath(map[1]), map[2]]
  return [...path.matchAll(/([^.[\]]+)|\[(\d+)\]/g)].map((match) => (match[2] === undefined ? (match[1] ?? '') : Number(match[2])))
}

/** A ValidationError of everything that is wrong with some documents of one file. */
export function documentsError(file: string, documents: readonly ParsedDocument[]): ValidationError {
  const issues = documents.flatMap((document) => document.issues)
  const lines = documents.flatMap((document) => document.issues.map((issue) => `${file}: ${document.title}: ${describeIssue(issue)}`))
  return new ValidationError(lines.join('\n'), issues)
}
