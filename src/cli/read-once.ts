import type { Entry, Store } from '../store/store.ts'
import { forwardingStore } from './forwarding-store.ts'

/** A store that reads each key once: for whoever writes nothing, and wants what was read to stay so. Lists are read anew. */
export function readOnce(store: Store): Store {
  const known = new Map<string, Promise<Entry | undefined>>()
  return {
    ...forwardingStore(store),
    get: (key, signal) => {
      const found = known.get(key) ?? store.get(key, signal)
      known.set(key, found)
      return found
    },
  }
}
