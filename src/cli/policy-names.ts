import { describeError, StoreError } from '../errors.ts'
import { decodeResource, encodeResource } from '../model/codec.ts'
import { resourceKey, resourcePrefix } from '../model/keys.ts'
import { RESOURCE_KINDS, type ResourceKind } from '../model/kinds.ts'
import { isTieredPolicy } from '../model/policy-storage.ts'
import type { Entry, Store } from '../store/store.ts'
import { nameOf } from './kind.ts'

/** What became of the policies whose key is not their name, in words. */
export interface MigratedNames {
  readonly renamed: readonly string[]
  readonly failed: readonly string[]
}

/**
 * Stores each policy under the key of its name: Calico before 3.32 put `default.` before it. The old key goes in the same
 * transaction. One that stands under both is left for a person.
 */
export async function migratePolicyNames(store: Store, signal: AbortSignal): Promise<MigratedNames> {
  const renamed: string[] = []
  const failed: string[] = []
  for (const kind of RESOURCE_KINDS.filter(isTieredPolicy)) {
    for await (const page of store.list(resourcePrefix(kind), {}, signal)) {
      for (const entry of page.entries) {
        try {
          const done = await renameOne(store, kind, entry, signal)
          if (done !== undefined) renamed.push(done)
        } catch (error) {
          if (error instanceof StoreError) throw error
          failed.push(`${entry.key}: ${describeError(error)}`)
        }
      }
    }
  }
  return { renamed, failed }
}

async function renameOne(store: Store, kind: ResourceKind, entry: Entry, signal: AbortSignal): Promise<string | undefined> {
  const policy = decodeResource(kind, entry.value, entry.modRevision)
  const { name, namespace } = policy.metadata
  const key = resourceKey(kind, name, namespace)
  if (key === entry.key) return undefined
  const compares = [
    { key: entry.key, modRevision: entry.modRevision },
    { key, modRevision: 0 },
  ]
  const result = await store.commit(compares, [{ put: key, value: encodeResource(policy) }, { remove: entry.key }], signal)
  if (result.isDone) return `${nameOf(kind, name, namespace)} renamed`
  throw new Error(
    result.current.get(key) === undefined ? 'it was changed meanwhile, try again' : `there is also ${key}: delete one of them`,
  )
}
