import type { Store } from '../store/store.ts'

/** A store that hands on everything to another: for whoever does some of it otherwise. Whether etcd answers is not told on. */
export function forwardingStore(store: Store): Store {
  return {
    get: (key, signal) => store.get(key, signal),
    list: (prefix, options, signal) => store.list(prefix, options, signal),
    commit: (compares, writes, signal) => store.commit(compares, writes, signal),
    watch: (prefix, from, signal) => store.watch(prefix, from, signal),
    lease: (ttlSeconds, signal) => store.lease(ttlSeconds, signal),
    expiringLease: (ttlSeconds, signal) => store.expiringLease(ttlSeconds, signal),
    leaseSeconds: (id, signal) => store.leaseSeconds(id, signal),
    close: () => store.close(),
  }
}
