import { parseInterfaceAddress } from '../net/cidr.ts'
import { parseMac } from '../net/mac.ts'
import type { Metadata } from './resource.ts'
import { API_VERSION } from './resource.ts'
import { isObject, type JsonObject } from './shape.ts'
import type { SharedParts } from './shared-parts.ts'
import type { WorkloadEndpoint } from './workload-endpoint.ts'

/**
 * A workload endpoint as most are: with members that everybody knows, each in the form in which it is kept. It is made of what was read,
 * which is changed, and not of a copy; whatever is otherwise gives undefined, and the schema says what it is. There may be a hundred
 * thousand, and the schema takes ten times as long for each.
 */
export function plainEndpoint(raw: unknown, modRevision: number, shared: SharedParts): WorkloadEndpoint | undefined {
  if (!isObject(raw) || raw['kind'] !== 'WorkloadEndpoint' || !hasOnly(raw, TOP)) return undefined
  const { apiVersion, metadata, spec } = raw
  if (apiVersion !== API_VERSION || !isPlainMetadata(metadata) || !isPlainSpec(spec)) return undefined
  if (spec.node !== undefined) spec.node = shared.text(spec.node)
  if (spec.profiles !== undefined) spec.profiles = shared.part(spec.profiles)
  if (spec.ports !== undefined) spec.ports = shared.part(spec.ports)
  return { apiVersion: API_VERSION, kind: 'WorkloadEndpoint', metadata: withRevision(metadata, modRevision, shared), spec }
}

type PlainSpec = { -readonly [Name in keyof WorkloadEndpoint['spec']]: WorkloadEndpoint['spec'][Name] }

const TOP: ReadonlySet<string> = new Set(['kind', 'apiVersion', 'metadata', 'spec'])
const METADATA: ReadonlySet<string> = new Set(['name', 'namespace', 'uid', 'creationTimestamp'])
const TEXTS: ReadonlySet<string> = new Set([
  ...['orchestrator', 'workload', 'node', 'containerID', 'pod', 'endpoint', 'serviceAccountName', 'interfaceName'],
])
const PROTOCOLS: ReadonlySet<unknown> = new Set(['TCP', 'UDP', 'SCTP'])

/** In one order for all, so that V8 has one hidden class for them. */
function withRevision(metadata: Metadata, modRevision: number, shared: SharedParts): Metadata {
  const { name, uid, labels } = metadata
  const [namespace, creationTimestamp] = [shared.text(metadata.namespace), shared.text(metadata.creationTimestamp)]
  const resourceVersion = String(modRevision)
  if (namespace === undefined || uid === undefined || creationTimestamp === undefined || labels === undefined)
    return { ...metadata, ...(labels && { labels: shared.part(labels) }), resourceVersion }
  return { name, namespace, uid, creationTimestamp, labels: shared.part(labels), resourceVersion }
}

function isPlainMetadata(metadata: unknown): metadata is Metadata {
  if (!isObject(metadata) || typeof metadata['name'] !== 'string') return false
  for (const name in metadata) {
    const member = metadata[name]
    if (name === 'labels' ? !isPlainLabels(member) : !METADATA.has(name) || !isText(member)) return false
  }
  return true
}

function isPlainLabels(labels: unknown): boolean {
  if (!isObject(labels) || Object.hasOwn(labels, '__proto__')) return false
  for (const name in labels) if (typeof labels[name] !== 'string') return false
  return true
}

function isPlainSpec(spec: unknown): spec is PlainSpec {
  if (!isObject(spec)) return false
  for (const name in spec) if (!isPlainField(name, spec[name])) return false
  return true
}

function isPlainField(name: string, member: unknown): boolean {
  if (TEXTS.has(name)) return isText(member)
  if (name === 'ipNetworks') return isListOf(member, (item) => isKept(item, parseInterfaceAddress))
  if (name === 'profiles') return isListOf(member, isText)
  if (name === 'mac') return isKept(member, parseMac)
  return name === 'ports' && isListOf(member, isPlainPort)
}

function isPlainPort(port: unknown): boolean {
  if (!isObject(port) || !hasOnly(port, PORT) || !isText(port['name']) || !PROTOCOLS.has(port['protocol'])) return false
  const number = port['port']
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 65_535
}

const PORT: ReadonlySet<string> = new Set(['name', 'protocol', 'port'])

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem)
}

/** Whether the text is in its canonical form. */
function isKept(value: unknown, parse: (text: string) => string): boolean {
  try {
    return typeof value === 'string' && parse(value) === value
  } catch {
    return false
  }
}

function hasOnly(object: JsonObject, names: ReadonlySet<string>): boolean {
  for (const name in object) if (!names.has(name)) return false
  return true
}
