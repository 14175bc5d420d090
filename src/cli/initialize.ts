import { randomUUID } from 'node:crypto'
import { ConflictError, StoreError } from '../errors.ts'
import type { AnyResource } from '../model/kinds.ts'
import { API_VERSION } from '../model/resource.ts'
import { BUILT_IN_TIERS } from '../model/tier.ts'
import { createResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'

/**
 * Creates what calicoctl creates before it writes anything: what tells the cluster from others, and the built-in tiers. Who may not
 * write that may write something else. A host's daemon does the same and more, as its configuration says.
 */
export async function ensureInitialized(store: Store, signal: AbortSignal): Promise<void> {
  const spec = { clusterGUID: randomUUID().replaceAll('-', ''), datastoreReady: true }
  const resources = [
    { apiVersion: API_VERSION, kind: 'ClusterInformation', metadata: { name: 'default' }, spec } as const,
    ...Object.entries(BUILT_IN_TIERS).map(
      ([name, tier]) => ({ apiVersion: API_VERSION, kind: 'Tier', metadata: { name }, spec: tier }) as const,
    ),
  ]
  for (const resource of resources) {
    try {
      await createResource<AnyResource>(store, resource, signal)
    } catch (error) {
      const isFine = error instanceof ConflictError || (error instanceof StoreError && error.code === 'store-denied')
      if (!isFine) throw error
    }
  }
}
