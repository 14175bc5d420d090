import { ConflictError, StoreError, ValidationError } from '../errors.ts'
import { parseJson } from '../model/json.ts'
import { liveKey, RESOURCES_PREFIX, resourceKey } from '../model/keys.ts'
import { isObject } from '../model/shape.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { ipOf } from '../net/cidr.ts'
import { listResources } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import type { Session } from './session.ts'

/** Calico's kinds that may belong to one node by `spec.node`, whether this version knows them or not. */
const KINDS_OF_A_NODE = ['bgppeers', 'hostendpoints']

/**
 * Removes all that a node leaves behind, as calicoctl does: its workload endpoints and their addresses, its tunnel addresses and blocks,
 * its own configuration, BGP peers and host endpoints. The Node itself is the caller's. Gives what was removed, in words.
 *
 * @throws {ConflictError} when the node's daemon is alive: it would write everything again
 */
export async function removeNodeLeftovers({ store, ipam }: Session, node: string, signal: AbortSignal): Promise<readonly string[]> {
  await refuseAlive(store, node, signal)
  const endpoints = await endpointsOf(store, node, signal)
  for (const endpoint of endpoints) await removeEndpoint({ store, ipam }, endpoint, node, signal)
  const leaks = await ipam.releaseLeaks(node, signal)
  const blocks = await ipam.removeHost(node, signal)
  const others = await removeOthers(store, node, signal)
  return [
    ...(endpoints.length > 0 ? [`${endpoints.length} workload endpoints`] : []),
    ...(leaks > 0 ? [`${leaks} leaked addresses`] : []),
    ...(blocks.size > 0 ? [`${blocks.size} blocks`] : []),
    ...(others > 0 ? [`${others} records of the node`] : []),
  ]
}

async function refuseAlive(store: Store, node: string, signal: AbortSignal): Promise<void> {
  if ((await store.get(liveKey(node), signal)) === undefined) return
  throw new ConflictError('conflict', `node ${JSON.stringify(node)} is alive: stop margayd there first, else it writes everything again`)
}

async function endpointsOf(store: Store, node: string, signal: AbortSignal): Promise<readonly WorkloadEndpoint[]> {
  const { resources } = await listResources(store, { kind: 'WorkloadEndpoint' }, signal)
  // Not by the name's beginning: `h1-` also begins `h1--x-margay-web-eth0`, which is of the node h1-x.
  return resources.filter(({ spec }) => spec.node === node)
}

/** Addresses first: an endpoint without its addresses can be deleted again, addresses without their endpoint are lost. */
async function removeEndpoint({ store, ipam }: Session, endpoint: WorkloadEndpoint, node: string, signal: AbortSignal): Promise<void> {
  for (const network of endpoint.spec.ipNetworks ?? []) {
    const use = await ipam.lookUp(ipOf(network), signal)
    // An address that was released and given to another host since is not ours to release.
    if (use.state !== 'used' || (use.attributes['node'] ?? node) !== node) continue
    await ipam.releaseIps([{ ip: use.ip, handleId: use.handleId, sequenceNumber: use.sequenceNumber }], signal)
  }
  const { name, namespace } = endpoint.metadata
  await removeKey(store, resourceKey('WorkloadEndpoint', name, namespace), signal)
}

async function removeOthers(store: Store, node: string, signal: AbortSignal): Promise<number> {
  const keys = [resourceKey('FelixConfiguration', `node.${node}`), resourceKey('BGPConfiguration', `node.${node}`)]
  for (const plural of KINDS_OF_A_NODE) {
    for await (const page of store.list(`${RESOURCES_PREFIX}${plural}/`, {}, signal)) {
      keys.push(...page.entries.filter(({ value }) => nodeOf(value) === node).map(({ key }) => key))
    }
  }
  const removed = await Promise.all(keys.map((key) => removeKey(store, key, signal)))
  return removed.filter((wasThere) => wasThere).length
}

/** `spec.node` of a stored resource; a value that is not JSON belongs to nobody. */
function nodeOf(value: string): unknown {
  try {
    const raw = parseJson(value)
    return isObject(raw) && isObject(raw['spec']) ? raw['spec']['node'] : undefined
  } catch (error) {
    if (error instanceof ValidationError) return undefined
    throw error
  }
}

/** Removes a key, whatever its revision; gives whether it was there. */
async function removeKey(store: Store, key: string, signal: AbortSignal): Promise<boolean> {
  const entry = await store.get(key, signal)
  if (entry === undefined) return false
  const result = await store.commit([], [{ remove: key }], signal)
  if (!result.isDone) throw new StoreError(`could not remove ${key}`, { isTransient: true })
  return true
}
