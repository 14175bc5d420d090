import { ConflictError, IpamError, ValidationError } from '../errors.ts'
import { workloadHandle } from '../ipam/handle.ts'
import type { Ipam } from '../ipam/ipam.ts'
import type { Logger } from '../log.ts'
import { handleKey } from '../model/keys.ts'
import { namespaceProfile, namespaceProfileName } from '../model/namespace.ts'
import type { AttachRequest } from '../model/own/api.ts'
import { API_VERSION } from '../model/resource.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { workloadEndpointName } from '../model/workload-endpoint-name.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { withDeadline } from '../store/deadline.ts'
import { createResource, createResourceIf, getResource, removeResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'

/** The orchestrator of workloads that are attached by hand. */
export const ORCHESTRATOR = 'margay'
/** The one interface of such a workload. */
const ENDPOINT = 'eth0'
/** How long attaching waits for the pass that sets the endpoint up, beside the store's own limits. Milliseconds. */
const APPLY_LIMIT_MS = 10_000

/** So often an endpoint is tried to be written while others change the handle that it shares. */
const MOST_TRIES = 5

/** How long the undoing of a failed attachment may take: its own wait for the pass, and several requests to the store. Milliseconds. */
const UNDO_LIMIT_MS = 20_000

/** What this plug-in needs of the host: it writes resources and waits, and has no way into the kernel of its own. */
export interface WorkloadHost {
  readonly node: string
  readonly store: Store
  readonly ipam: Ipam
  readonly log: Logger
  /** The name of the workload's interface on the host. */
  interfaceName(namespace: string, name: string): string
  /** The MAC of the workload's own end. */
  mac(namespace: string, name: string): Mac
  /** Keeps hold of a network namespace for an endpoint. */
  attach(endpoint: string, given: { readonly path: string } | { readonly pid: number }): void
  detach(endpoint: string): void
  /** The endpoint that holds this network namespace already. */
  holderOf(given: { readonly path: string } | { readonly pid: number }): string | undefined
  /** Resolves when a pass has set up what the revision says of the endpoint; rejects with the reason if it can't. */
  applied(endpoint: string, revision: number, signal: AbortSignal): Promise<void>
  /** Resolves when nothing of the endpoint is left in the kernel. */
  removed(endpoint: string, signal: AbortSignal): Promise<void>
}

/** The id of the endpoint of a workload that was attached by hand: `<namespace>/<name of the WorkloadEndpoint>`. */
export function endpointId(node: string, namespace: string, name: string): string {
  return `${namespace}/${workloadEndpointName({ node, orchestrator: ORCHESTRATOR, workload: name, endpoint: ENDPOINT })}`
}

/**
 * Attaches a network namespace: addresses, then the WorkloadEndpoint, then the wait for the pass. What fails half-way is undone;
 * what a killed daemon left half-way is taken up by the same request, because the handle says which addresses are its own.
 *
 * @throws {ValidationError | ConflictError | IpamError | StoreError} and whatever the pass says
 */
export async function attachWorkload(host: WorkloadHost, request: AttachRequest, signal: AbortSignal): Promise<WorkloadEndpoint> {
  const { name, namespace } = request
  checkNames(request)
  const id = endpointId(host.node, namespace, name)
  const given = request.netns === undefined ? { pid: request.pid ?? 0 } : { path: request.netns }
  await refuseTaken(host, id, request, given, signal)
  await ensureNamespace(host.store, namespace, signal)
  host.attach(id, given)
  try {
    const addresses = await takeAddresses(host, request, signal)
    const endpoint = await writeEndpoint(host, request, addresses, signal)
    const revision = Number(endpoint.metadata.resourceVersion)
    await withDeadline(APPLY_LIMIT_MS, signal, (limited) => host.applied(id, revision, limited))
    return endpoint
  } catch (error) {
    await undo(host, request, id)
    throw error
  }
}

/** Detaches a workload of this host: the WorkloadEndpoint first, its addresses when nothing of it is left here. False if there was none. */
export async function detachWorkload(host: WorkloadHost, namespace: string, name: string, signal: AbortSignal): Promise<boolean> {
  return takeDown(host, { namespace, name }, { mayReturn: true }, signal)
}

/** The workload of an endpoint that was attached here by hand, by namespace and name; undefined for others. */
export function workloadOf(node: string, id: string): { readonly namespace: string; readonly name: string } | undefined {
  const [namespace = '', endpoint = ''] = id.split('/')
  const [head, tail] = [`${node.replaceAll('-', '--')}-${ORCHESTRATOR}-`, `-${ENDPOINT}`]
  if (!endpoint.startsWith(head) || !endpoint.endsWith(tail)) return undefined
  return { namespace, name: endpoint.slice(head.length, -tail.length).replaceAll('--', '-') }
}

async function takeDown(
  host: WorkloadHost,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  options: { readonly mayReturn: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const id = endpointId(host.node, namespace, name)
  const ref = { kind: 'WorkloadEndpoint', namespace, name: id.slice(namespace.length + 1) } as const
  const stored = await getResource(host.store, ref, signal)
  if (stored !== undefined) await removeResource(host.store, ref, signal).catch(ignoreGone)
  await withDeadline(APPLY_LIMIT_MS, signal, (limited) => host.removed(id, limited))
  const released = await host.ipam.releaseHolder(holderOf(namespace, name), options, signal)
  host.detach(id)
  return stored !== undefined || released.length > 0
}

function showHolder(id: string, node: string): string {
  const workload = workloadOf(node, id)
  return workload === undefined ? id : `${workload.namespace}/${workload.name}`
}

/** Who holds the addresses: the handle's id names no host, so the facts beside it tell workloads of one name apart. */
function holderOf(namespace: string, name: string) {
  return { handleId: workloadHandle(namespace, name), attributes: { namespace, workload: name } }
}

/** Somebody else removed it between our look and our removal. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof ConflictError) || error.code !== 'not-found') throw error
}

function checkNames({ name, namespace }: AttachRequest): void {
  for (const [field, value] of [
    ['name', name],
    ['namespace', namespace],
  ] as const) {
    if (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(value) && value.length <= 63) continue
    throw new ValidationError(
      `${field} ${JSON.stringify(value)} of a workload must be at most 63 lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit`,
    )
  }
}

async function refuseTaken(
  host: WorkloadHost,
  id: string,
  { name, namespace }: AttachRequest,
  given: { readonly path: string } | { readonly pid: number },
  signal: AbortSignal,
): Promise<void> {
  const stored = await getResource(host.store, { kind: 'WorkloadEndpoint', namespace, name: id.slice(namespace.length + 1) }, signal)
  if (stored !== undefined) {
    const addresses = stored.spec.ipNetworks?.join(', ') ?? 'no address'
    throw new ConflictError(
      'exists',
      `workload ${namespace}/${name} exists on this host with ${addresses}; margay workload rm ${name} removes it`,
    )
  }
  const holder = host.holderOf(given)
  if (holder !== undefined && holder !== id) {
    throw new ConflictError(
      'exists',
      `the network namespace ${'path' in given ? given.path : `of process ${given.pid}`} is attached already, as workload ${showHolder(holder, host.node)}`,
    )
  }
}

/** A namespace is made with its first endpoint, as `margay apply` does: without its Profile its workloads would be closed. */
async function ensureNamespace(store: Store, namespace: string, signal: AbortSignal): Promise<void> {
  const profile = await getResource(store, { kind: 'Profile', name: namespaceProfileName(namespace) }, signal)
  if (profile !== undefined) return
  try {
    await createResource(store, namespaceProfile(namespace), signal)
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error
  }
}

async function takeAddresses(host: WorkloadHost, request: AttachRequest, signal: AbortSignal): Promise<readonly Ip[]> {
  const { name, namespace, ips = [], pools } = request
  const holder = holderOf(namespace, name)
  if (ips.length === 0) {
    const automatic = { ...holder, keepHeld: true, ...(pools === undefined ? {} : { pools }) }
    return (await host.ipam.autoAssign(automatic, signal)).map(({ ip }) => ip)
  }
  const wanted = ips.map(parseIp)
  // What is left over from a request that was broken off may be other addresses, or these: given out anew it is the same.
  await host.ipam.releaseHolder(holder, { mayReturn: false }, signal)
  for (const ip of wanted) await host.ipam.assignIp({ ip, ...holder }, signal)
  return wanted
}

/**
 * Written only if the addresses still are the workload's. A daemon that stood still for long while its host was deleted has lost
 * them meanwhile, and another may have them.
 *
 * @throws {IpamError} `ipam-busy` when they are lost
 */
async function writeEndpoint(
  host: WorkloadHost,
  request: AttachRequest,
  addresses: readonly Ip[],
  signal: AbortSignal,
): Promise<WorkloadEndpoint> {
  const { name, namespace } = request
  const { handleId } = holderOf(namespace, name)
  const key = handleKey(handleId)
  for (let tries = 1; ; tries++) {
    // Read before what it holds: whatever is released afterwards changes it.
    const modRevision = (await host.store.get(key, signal))?.modRevision ?? 0
    const held = (await host.ipam.heldBy(handleId, signal)).filter(({ attributes }) => attributes['node'] === host.node)
    const lost = addresses.filter((ip) => !held.some((one) => one.ip === ip))
    if (lost.length > 0) {
      throw new IpamError('ipam-busy', `${lost.join(', ')} of workload ${namespace}/${name} was released while it was attached; try again`)
    }
    try {
      return await createResourceIf(host.store, describeEndpoint(host, request, addresses), [{ key, modRevision }], signal)
    } catch (error) {
      // A workload of the same name on another host shares the handle.
      if (!(error instanceof ConflictError) || error.code !== 'conflict' || tries === MOST_TRIES) throw error
    }
  }
}

function describeEndpoint(host: WorkloadHost, { name, namespace, labels = {} }: AttachRequest, addresses: readonly Ip[]): WorkloadEndpoint {
  return {
    apiVersion: API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: { name: '', namespace, labels },
    spec: {
      orchestrator: ORCHESTRATOR,
      workload: name,
      node: host.node,
      endpoint: ENDPOINT,
      interfaceName: host.interfaceName(namespace, name),
      mac: host.mac(namespace, name),
      ipNetworks: addresses.map((ip) => parseInterfaceAddress(ip)),
      profiles: [namespaceProfileName(namespace)],
    },
  }
}

/**
 * Gives back what was taken, in the order of detaching. Not bound to the caller's signal: who hangs up must not leave addresses
 * behind. What can't be given back now is taken up by the next request for this workload.
 */
async function undo(host: WorkloadHost, request: AttachRequest, id: string): Promise<void> {
  try {
    await withDeadline(UNDO_LIMIT_MS, new AbortController().signal, (limited) => takeDown(host, request, { mayReturn: false }, limited))
  } catch (error) {
    host.log.warn({ endpoint: id, err: error }, 'a failed attachment could not be undone; attaching or removing the workload again does')
  }
}
