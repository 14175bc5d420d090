import { RESOURCES_PREFIX } from '../model/keys.ts'
import type { Store } from '../store/store.ts'
import { forwardingStore } from './forwarding-store.ts'

/** A store that remembers the revision of the last resource that was written through it. */
export function notingStore(store: Store): { readonly store: Store; readonly lastRevision: () => number } {
  let last = 0
  const noting: Store = {
    ...forwardingStore(store),
    commit: async (compares, writes, signal) => {
      const result = await store.commit(compares, writes, signal)
      const isResource = writes.some((write) => ('put' in write ? write.put : write.remove).startsWith(RESOURCES_PREFIX))
      if (result.isDone && isResource) last = result.revision
      return result
    },
  }
  return { store: noting, lastRevision: () => last }
}
