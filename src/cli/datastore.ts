import { ConflictError } from '../errors.ts'
import type { ClusterInformation } from '../model/cluster-information.ts'
import { getResource, updateResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'

/**
 * What etcd says of the cluster as a whole.
 *
 * @throws {ConflictError} `not-found` before the first host has written it
 */
export async function readClusterInformation(store: Store, signal: AbortSignal): Promise<ClusterInformation> {
  const found = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, signal)
  if (found === undefined) throw new ConflictError('not-found', 'there is no ClusterInformation "default": no host has used this etcd yet')
  return found
}

/** Says whether hosts and plug-ins may change what is stored. */
export async function setDatastoreReady(store: Store, isReady: boolean, signal: AbortSignal): Promise<void> {
  const stored = await readClusterInformation(store, signal)
  await updateResource(store, { ...stored, spec: { ...stored.spec, datastoreReady: isReady } }, signal)
}
