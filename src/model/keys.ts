import { type Cidr, parseCidr } from '../net/cidr.ts'
import { familyOf } from '../net/ip.ts'
import { kindInfo, type ModelKind, RESOURCE_KINDS, type ResourceKind } from './kinds.ts'

/** Where Calico's resources stand. */
export const RESOURCES_PREFIX = '/calico/resources/v3/projectcalico.org/'
/** Where the records of address management stand. */
export const IPAM_PREFIX = '/calico/ipam/v2/'
export const BLOCKS_PREFIX = `${IPAM_PREFIX}assignment/`
export const HANDLES_PREFIX = `${IPAM_PREFIX}handle/`
export const IPAM_CONFIG_KEY = `${IPAM_PREFIX}config`
/** Where our own records stand. */
export const MARGAY_PREFIX = '/margay/v1/'
export const LIVE_PREFIX = `${MARGAY_PREFIX}live/`
/** Where changes of policy stand that hosts try. */
export const TRIALS_PREFIX = `${MARGAY_PREFIX}trial/`
/** Services have no place in Calico's model for etcd. */
export const SERVICES_PREFIX = `${MARGAY_PREFIX}service/`

/** The prefixes that a host follows; each holds whole kinds. */
export const FOLLOWED_PREFIXES: readonly string[] = [RESOURCES_PREFIX, BLOCKS_PREFIX, LIVE_PREFIX, SERVICES_PREFIX, TRIALS_PREFIX]

/** What the keys of all workload endpoints begin with; their ids follow as they are. */
export const ENDPOINTS_PREFIX = `${RESOURCES_PREFIX}workloadendpoints/`

/** The key of a resource; names stand in it as they are. */
export function resourceKey(kind: ResourceKind, name: string, namespace?: string): string {
  return `${resourcePrefix(kind, namespace)}${name}`
}

/** What all keys of a kind (of one namespace, if given) begin with. */
export function resourcePrefix(kind: ResourceKind, namespace?: string): string {
  const prefix = kind === 'Service' ? SERVICES_PREFIX : `${RESOURCES_PREFIX}${kindInfo(kind).plural}/`
  return namespace === undefined ? prefix : `${prefix}${namespace}/`
}

/** The key of a block: `/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26`. */
export function blockKey(cidr: Cidr): string {
  return `${BLOCKS_PREFIX}ipv${familyOf(cidr)}/block/${cidrInKey(cidr)}`
}

/** What the keys of all affinities of a host, of both families, begin with. */
export function affinitiesPrefix(host: string): string {
  return `${IPAM_PREFIX}host/${host}/`
}

/** The key of a host's claim of a block. */
export function affinityKey(host: string, cidr: Cidr): string {
  return `${affinitiesPrefix(host)}ipv${familyOf(cidr)}/block/${cidrInKey(cidr)}`
}

/** The key of a handle; its id stands in it as it is. */
export function handleKey(handleId: string): string {
  return `${HANDLES_PREFIX}${handleId}`
}

/** The key under which a running daemon says that it lives. */
export function liveKey(node: string): string {
  return `${LIVE_PREFIX}${node}`
}

/** The key of a trial. */
export function trialKey(id: string): string {
  return `${TRIALS_PREFIX}${id}`
}

/** What the keys begin with under which hosts say how a trial goes with them. */
export function trialHostsPrefix(id: string): string {
  return `${MARGAY_PREFIX}trial-host/${id}/`
}

/** Written with each trial that begins, so that of two that begin at once one sees the other. */
export const TRIALS_GUARD_KEY = `${MARGAY_PREFIX}trial-guard`

/** The key under which the leader of a task says that it leads. */
export function leaderKey(task: string): string {
  return `${MARGAY_PREFIX}leader/${task}`
}

/** The key under which a host keeps which addresses a workload had that was removed; the handle's id stands in it as it is. */
export function stickyKey(node: string, handleId: string): string {
  return `${stickyPrefix(node)}${handleId}`
}

/** What the keys of a host's removed workloads begin with, or those of all hosts. */
export function stickyPrefix(node?: string): string {
  return `${MARGAY_PREFIX}sticky/${node === undefined ? '' : `${node}/`}`
}

/** The block of an affinity's key, or undefined if the key is something else. */
export function parseAffinityKey(key: string): { readonly host: string; readonly cidr: Cidr } | undefined {
  const match = /^\/calico\/ipam\/v2\/host\/([^/]+)\/ipv[46]\/block\/([^/]+)$/.exec(key)
  const cidr = cidrFromKey(match?.[2] ?? '')
  return match?.[1] === undefined || cidr === undefined ? undefined : { host: match[1], cidr }
}

/** The handle's id of a handle's key, or undefined if the key is something else. */
export function parseHandleKey(key: string): string | undefined {
  return key.startsWith(HANDLES_PREFIX) ? key.slice(HANDLES_PREFIX.length) : undefined
}

/** Which followed object a key holds (its id as store/view.ts says), or undefined for a key that nobody follows. */
export function parseKey(key: string): { readonly kind: ModelKind; readonly id: string } | undefined {
  if (key.startsWith(ENDPOINTS_PREFIX)) return parseEndpointKey(key)
  if (key.startsWith(RESOURCES_PREFIX)) return parseResourceKey(key.slice(RESOURCES_PREFIX.length))
  if (key.startsWith(SERVICES_PREFIX)) return parseNames('Service', key.slice(SERVICES_PREFIX.length).split('/'))
  if (key.startsWith(LIVE_PREFIX)) return { kind: 'Live', id: key.slice(LIVE_PREFIX.length) }
  if (key.startsWith(TRIALS_PREFIX)) return { kind: 'Trial', id: key.slice(TRIALS_PREFIX.length) }
  const block = /^\/calico\/ipam\/v2\/assignment\/ipv[46]\/block\/([^/]+)$/.exec(key)?.[1]
  const cidr = block === undefined ? undefined : cidrFromKey(block)
  return cidr === undefined ? undefined : { kind: 'IPAMBlock', id: cidr }
}

/** Escapes a name for the keys that want it (status keys, profile names in old records): `%` first, then `/`. */
export function escapeName(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2f')
}

/** Undoes escapeName, in the reverse order. */
export function unescapeName(name: string): string {
  return name.replaceAll('%2f', '/').replaceAll('%25', '%')
}

/** As `parseNames`, for the kind of which there are very many. */
function parseEndpointKey(key: string): { readonly kind: ModelKind; readonly id: string } | undefined {
  const slash = key.indexOf('/', ENDPOINTS_PREFIX.length)
  if (slash <= ENDPOINTS_PREFIX.length || slash === key.length - 1 || key.includes('/', slash + 1)) return undefined
  // Joined: V8 keeps the whole key with a part that is cut out of it, and both halves of a text that a template puts together.
  return { kind: 'WorkloadEndpoint', id: [key.slice(ENDPOINTS_PREFIX.length, slash), key.slice(slash + 1)].join('/') }
}

function parseResourceKey(rest: string): { readonly kind: ModelKind; readonly id: string } | undefined {
  const [plural, ...names] = rest.split('/')
  const kind = KINDS_BY_PLURAL.get(plural ?? '')
  return kind === undefined || kind === 'Service' ? undefined : parseNames(kind, names)
}

function parseNames(kind: ResourceKind, names: readonly string[]): { readonly kind: ModelKind; readonly id: string } | undefined {
  if (names.includes('') || names.length !== (kindInfo(kind).isNamespaced ? 2 : 1)) return undefined
  return { kind, id: names.join('/') }
}

const KINDS_BY_PLURAL: ReadonlyMap<string, ResourceKind> = new Map(RESOURCE_KINDS.map((kind) => [kindInfo(kind).plural, kind]))

function cidrInKey(cidr: Cidr): string {
  return cidr.replace('/', '-')
}

function cidrFromKey(text: string): Cidr | undefined {
  try {
    return parseCidr(text.replace(/-(?=\d+$)/, '/'))
  } catch {
    return undefined
  }
}
