import type { Entry, Store } from '../store/store.ts'

/** A store that reads each key once: for whoever writes nothing, and wants what was read to stay so. Lists are read anew. */
export function readOnce(store: Store): Store {
  const known = new Map<string, Promise<Entry | undefined>>()
  return {
    get: (key, signal) => {
      const found = known.get(key) ?? store.get(key, signal)
      known.set(key, found)
      return found
    },
    list: (prefix, options, signal) => store.list(prefix, options, signal),
    commit: (compares, writes, signal) => store.commit(compares, writes, signal),
    watch: (prefix, from, signal) => store.watch(prefix, from, signal),
    lease: (ttlSeconds, signal) => store.lease(ttlSeconds, signal),
    expiringLease: (ttlSeconds, signal) => store.expiringLease(ttlSeconds, signal),
    leaseSeconds: (id, signal) => store.leaseSeconds(id, signal),
    close: () => store.close(),
  }
}
