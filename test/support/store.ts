import { type EtcdStore, openEtcd } from '../../src/store/etcd.ts'
import type { EtcdOptions } from '../../src/store/etcd-client.ts'
import type { Entry, Store, WatchBatch } from '../../src/store/store.ts'

const never = new AbortController().signal

/** Opens etcd without TLS and password, unless given. */
export function plainEtcd(endpoints: readonly string[], options: Partial<EtcdOptions> = {}): EtcdStore {
  return openEtcd({ endpoints, caFile: '', certFile: '', keyFile: '', username: '', passwordFile: '', ...options })
}

/** Writes one key, whatever is there; gives its revision. */
export async function put(store: Store, key: string, value: string): Promise<number> {
  return (await store.commit([], [{ put: key, value }], never)).revision
}

/** All entries with this prefix. */
export async function listAll(store: Store, prefix: string, revision?: number): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of store.list(prefix, revision === undefined ? {} : { revision }, never)) entries.push(...page.entries)
  return entries
}

/** Watches until so many events came, and gives them. */
export async function collect(store: Store, prefix: string, from: number, count: number): Promise<WatchBatch['events'][number][]> {
  const stop = new AbortController()
  const events: WatchBatch['events'][number][] = []
  for await (const batch of store.watch(prefix, from, stop.signal)) {
    events.push(...batch.events)
    if (events.length >= count) stop.abort()
  }
  return events
}

/** The promise's value, or an error when it takes longer. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The stored text of a tier, the smallest resource there is. */
export function aTier(name: string, order: number): string {
  const metadata = { name, uid: '6a3e0a53-6b0d-4b1c-9a2c-8d7f6f0f7d11', creationTimestamp: '2026-08-02T09:15:04Z' }
  return JSON.stringify({ kind: 'Tier', apiVersion: 'projectcalico.org/v3', metadata, spec: { order, defaultAction: 'Deny' } })
}
