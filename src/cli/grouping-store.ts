import { StoreError } from '../errors.ts'
import type { CommitResult, Compare, Entry, Store, Write } from '../store/store.ts'
import { MOST_OPERATIONS } from '../store/transaction.ts'
import { forwardingStore } from './forwarding-store.ts'

/** etcd takes requests of 1.5 MiB, and keys and values are not all of one. Bytes. */
const MOST_BYTES = 1 << 20

/**
 * Stores, by their place in the order, for what is done at once and does not depend on each other: all that is written goes in one
 * transaction as soon as nobody reads any more, and who wrote learns of the own part only. A transaction that is under way is not
 * broken off, because nobody would know whether it was done.
 */
export function groupingStore(store: Store): (place: number) => Store {
  let reading = 0
  let waiting: Waiting[] = []
  let last = Promise.resolve()
  // Until somebody writes. Who writes relies on what was read, so that what is old by then is refused.
  const known = new Map<string, Promise<Entry | undefined>>()

  const flush = () => {
    if (reading > 0 || waiting.length === 0) return
    const groups = groupsThatFit(waiting.sort((a, b) => a.place - b.place))
    waiting = []
    last = last.then(async () => {
      for (const group of groups) {
        const answers = await commitGroup(store, group)
        known.clear()
        for (const answer of answers) answer()
      }
    })
  }
  const read = async (key: string, signal: AbortSignal) => {
    reading++
    try {
      return await store.get(key, signal)
    } finally {
      reading--
      // Not at once: who waited for this may read on.
      setImmediate(flush)
    }
  }
  return (place) => ({
    ...forwardingStore(store),
    get: (key, signal) => {
      const found = known.get(key) ?? read(key, signal)
      known.set(key, found)
      return found
    },
    commit: (compares, writes) =>
      new Promise((resolve, reject) => {
        waiting.push({ place, compares, writes, resolve, reject })
        setImmediate(flush)
      }),
  })
}

/** Somebody who wants to write. */
interface Waiting {
  readonly place: number
  readonly compares: readonly Compare[]
  readonly writes: readonly Write[]
  resolve(result: CommitResult): void
  reject(error: unknown): void
}

/** In their order; whoever relies on what another writes comes in a later group. */
function groupsThatFit(waiting: readonly Waiting[]): readonly (readonly Waiting[])[] {
  const groups: Waiting[][] = []
  let size = { compares: 0, writes: 0, bytes: 0 }
  let keys = new Set<string>()
  for (const one of waiting) {
    const own = [...one.compares.map(({ key }) => key), ...one.writes.map(keyOf)]
    const next = {
      compares: size.compares + one.compares.length,
      writes: size.writes + one.writes.length,
      bytes: size.bytes + bytesOf(one),
    }
    const isFitting = next.compares <= MOST_OPERATIONS && next.writes <= MOST_OPERATIONS && next.bytes <= MOST_BYTES
    const group = groups.at(-1)
    if (group !== undefined && isFitting && !own.some((key) => keys.has(key))) {
      group.push(one)
      size = next
      for (const key of own) keys.add(key)
    } else {
      groups.push([one])
      size = { compares: one.compares.length, writes: one.writes.length, bytes: bytesOf(one) }
      keys = new Set(own)
    }
  }
  return groups
}

function keyOf(write: Write): string {
  return 'put' in write ? write.put : write.remove
}

function bytesOf({ compares, writes }: Waiting): number {
  const ofCompares = compares.reduce((sum, { key }) => sum + 2 * key.length, 0)
  return writes.reduce((sum, write) => sum + keyOf(write).length + ('put' in write ? Buffer.byteLength(write.value) : 0), ofCompares)
}

/** Writes all of it in one transaction. If that can't be, each is written alone, so that each fails by itself. Gives how each is told. */
async function commitGroup(store: Store, group: readonly Waiting[]): Promise<readonly (() => void)[]> {
  const signal = new AbortController().signal
  const alone = (one: Waiting) =>
    store.commit(one.compares, one.writes, signal).then(
      (result) => () => one.resolve(result),
      (error: unknown) => () => one.reject(error),
    )
  const [only] = group
  if (group.length === 1 && only !== undefined) return [await alone(only)]
  try {
    const result = await store.commit(
      group.flatMap(({ compares }) => compares),
      group.flatMap(({ writes }) => writes),
      signal,
    )
    if (result.isDone) return group.map((one) => () => one.resolve(result))
  } catch (error) {
    // Whether it was done is not known, or nobody answers: that is so for each of them.
    if (!(error instanceof StoreError) || error.isTransient) return group.map((one) => () => one.reject(error))
  }
  return Promise.all(group.map(alone))
}
