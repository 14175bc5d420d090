import { StoreError } from '../errors.ts'
import { MemoryHistory } from './memory-history.ts'
import {
  type CommitResult,
  CompactedError,
  type Compare,
  type Connection,
  type Entry,
  type Lease,
  type Page,
  type Store,
  type WatchBatch,
  type Write,
} from './store.ts'
import { checkTransaction } from './transaction.ts'

/**
 * A store in memory with etcd's behaviour: revisions, compaction, leases. Each object is one connection; `another` gives a second
 * one to the same content, as another host would have.
 */
export class MemoryStore implements Store {
  readonly #history: MemoryHistory
  readonly #held = new Set<HeldLease>()
  readonly #listeners = new Set<(connection: Connection) => void>()
  #isConnected = true
  #isClosed = false

  /** @param now the clock of leases, in milliseconds */
  constructor(now: () => number = Date.now, history = new MemoryHistory(now)) {
    this.#history = history
    this.#history.onRenewal(() => this.#renewLeases())
  }

  /** A second connection to the same content. */
  another(): MemoryStore {
    return new MemoryStore(this.#history.now, this.#history)
  }

  /** The newest revision. */
  get revision(): number {
    return this.#history.revision
  }

  async get(key: string, signal: AbortSignal): Promise<Entry | undefined> {
    await this.#answer(signal)
    return this.#history.at(key)
  }

  async *list(
    prefix: string,
    options: { readonly pageSize?: number; readonly revision?: number },
    signal: AbortSignal,
  ): AsyncGenerator<Page> {
    await this.#answer(signal)
    const revision = options.revision || this.#history.revision
    const size = options.pageSize ?? 500
    let after = ''
    for (;;) {
      const found = this.#history.list(prefix, revision).filter((entry) => entry.key > after)
      yield { revision, entries: found.slice(0, size) }
      if (found.length <= size) return
      after = found[size - 1]?.key ?? ''
      await this.#answer(signal)
    }
  }

  async commit(compares: readonly Compare[], writes: readonly Write[], signal: AbortSignal): Promise<CommitResult> {
    checkTransaction(compares, writes)
    await this.#answer(signal)
    const isDone = compares.every(({ key, modRevision }) => (this.#history.at(key)?.modRevision ?? 0) === modRevision)
    if (isDone) this.#history.write(writes)
    const current = isDone ? [] : compares.map(({ key }) => [key, this.#history.at(key)] as const)
    return { isDone, revision: this.#history.revision, current: new Map(current) }
  }

  async *watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    let next = fromRevision || this.#history.revision + 1
    const life = this.#history.life
    while (!signal.aborted && !this.#isClosed) {
      const changed = this.#history.changed(signal)
      if (this.#isConnected) {
        if (this.#history.revision + 1 < next || this.#history.life !== life)
          throw new CompactedError(this.#history.revision, 'the store was made anew')
        const batch = this.#history.since(prefix, next)
        next = this.#history.revision + 1
        if (batch) yield batch
      }
      await changed
    }
  }

  async lease(ttlSeconds: number, signal: AbortSignal): Promise<Lease> {
    await this.#answer(signal)
    const id = this.#history.grant(ttlSeconds)
    const held: HeldLease = { id, lose: () => {} }
    const lost = new Promise<void>((resolve) => {
      held.lose = resolve
    })
    this.#held.add(held)
    return {
      id,
      lost,
      revoke: async () => {
        this.#held.delete(held)
        await this.#answer(new AbortController().signal)
        this.#history.revoke(id)
      },
    }
  }

  async expiringLease(ttlSeconds: number, signal: AbortSignal): Promise<bigint> {
    await this.#answer(signal)
    return this.#history.grant(ttlSeconds)
  }

  async leaseSeconds(id: bigint, signal: AbortSignal): Promise<number | undefined> {
    await this.#answer(signal)
    return this.#history.leaseSeconds(id)
  }

  onConnection(listener: (connection: Connection) => void, signal: AbortSignal): void {
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
    listener(this.#connection())
  }

  close(): void {
    this.#isClosed = true
    this.#held.clear()
    this.#history.wake()
  }

  /** For tests: this connection is cut. Calls fail, watches and the renewal of leases stand still. */
  disconnect(): void {
    this.#isConnected = false
    this.#tell()
  }

  /** For tests: ends `disconnect`. */
  reconnect(): void {
    // What ran out in the meantime is gone before it can be renewed.
    this.#history.expire()
    this.#isConnected = true
    this.#tell()
    this.#renewLeases()
    this.#history.wake()
  }

  /** For tests: forgets the history before this revision. */
  compact(revision: number): void {
    this.#history.compact(revision)
  }

  /** For tests: looks at the clock, and ends the leases whose time is over because nobody connected renews them. */
  expireLeases(): void {
    this.#history.expire()
  }

  /** For tests: loses everything, as an etcd whose folder was removed. */
  wipe(): void {
    this.#history.wipe()
  }

  #connection(): Connection {
    return this.#isConnected ? { isConnected: true } : { isConnected: false, reason: 'disconnected' }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#connection())
  }

  #renewLeases(): void {
    for (const held of this.#held) {
      if (this.#isConnected && this.#history.renew(held.id)) continue
      if (!this.#isConnected) continue
      this.#held.delete(held)
      held.lose()
    }
  }

  /** Every call takes a turn of the loop, so that calls made at once are interleaved as over a network. */
  async #answer(signal: AbortSignal): Promise<void> {
    await Promise.resolve()
    signal.throwIfAborted()
    if (this.#isClosed) throw new StoreError('the connection to the store was closed', { code: 'store-closed', isTransient: false })
    if (!this.#isConnected)
      throw new StoreError('the store did not answer (disconnected)', { code: 'store-unreachable', isTransient: true })
    this.#history.expire()
  }
}

interface HeldLease {
  readonly id: bigint
  lose: () => void
}
