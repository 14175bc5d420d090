import type { CommitResult, Compare, Entry, Page, Store, Write } from '../store/store.ts'
import { forwardingStore } from './forwarding-store.ts'
import { readOnce } from './read-once.ts'

/**
 * A store that keeps what is written to itself: reads see it, the real one never does. Compares are made as etcd makes them, so a
 * change that would be refused is refused here too.
 */
export function dryRunStore(store: Store): Store {
  const written = new Map<string, Entry | undefined>()
  const before = readOnce(store)
  const read = async (key: string, signal: AbortSignal) => (written.has(key) ? written.get(key) : before.get(key, signal))
  return {
    ...forwardingStore(store),
    get: read,
    list: (prefix, options, signal) => listWith(written, store, { prefix, ...options }, signal),
    commit: (compares, writes, signal) => commitInto(written, read, { compares, writes }, signal),
  }
}

/** Revisions of what is not really written; above all that etcd will give in our time, so that it counts as newest. */
const FIRST_REVISION = 2 ** 52

async function commitInto(
  written: Map<string, Entry | undefined>,
  read: (key: string, signal: AbortSignal) => Promise<Entry | undefined>,
  { compares, writes }: { readonly compares: readonly Compare[]; readonly writes: readonly Write[] },
  signal: AbortSignal,
): Promise<CommitResult> {
  const revision = FIRST_REVISION + written.size
  const current = await Promise.all(compares.map(async ({ key }) => [key, await read(key, signal)] as const))
  const isDone = compares.every(({ modRevision }, index) => (current[index]?.[1]?.modRevision ?? 0) === modRevision)
  if (!isDone) return { isDone, revision, current: new Map(current) }
  for (const write of writes) {
    if ('remove' in write) written.set(write.remove, undefined)
    else written.set(write.put, { key: write.put, value: write.value, modRevision: revision, lease: write.lease ?? 0n })
  }
  return { isDone, revision, current: new Map() }
}

/** One page with everything: what is written here stands between what etcd has. */
async function* listWith(
  written: ReadonlyMap<string, Entry | undefined>,
  store: Store,
  { prefix, ...options }: { readonly prefix: string; readonly pageSize?: number; readonly revision?: number },
  signal: AbortSignal,
): AsyncGenerator<Page> {
  const entries = new Map<string, Entry>()
  let revision = 0
  for await (const page of store.list(prefix, options, signal)) {
    revision = page.revision
    for (const entry of page.entries) entries.set(entry.key, entry)
  }
  for (const [key, entry] of written) {
    if (!key.startsWith(prefix)) continue
    if (entry === undefined) entries.delete(key)
    else entries.set(key, entry)
  }
  yield { revision, entries: [...entries.values()].sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))) }
}
