import { StoreError } from '../errors.ts'
import { CompactedError, type Entry, type WatchBatch, type Write } from './store.ts'

interface Change {
  readonly revision: number
  readonly key: string
  readonly entry: Entry | undefined
}

interface Expiry {
  readonly ttlMs: number
  endsAt: number
}

/** The content of a store in memory with its history, shared by its connections. */
export class MemoryHistory {
  /** Milliseconds. */
  readonly now: () => number
  /** etcd begins at 1, too: the first write is revision 2. */
  revision = 1
  /** How often everything was lost. */
  life = 0
  readonly #entries = new Map<string, Entry>()
  readonly #leases = new Map<bigint, Expiry>()
  readonly #wakers = new Set<() => void>()
  readonly #connections: (() => void)[] = []
  #changes: Change[] = []
  #compacted = 0
  #nextLease = 1n

  constructor(now: () => number) {
    this.now = now
  }

  at(key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  /** All entries with this prefix as they were at this revision, in key order. */
  list(prefix: string, revision: number): Entry[] {
    if (revision < this.#compacted) throw new CompactedError(this.#compacted)
    if (revision > this.revision) throw new StoreError(`the store refused: revision ${revision} is not there yet`, { isTransient: false })
    const found = new Map<string, Entry>()
    for (const entry of this.#entries.values()) if (entry.key.startsWith(prefix)) found.set(entry.key, entry)
    // Backwards from now: each later change is undone with what stood there before.
    for (const { key } of this.#changes.filter((change) => change.revision > revision && change.key.startsWith(prefix))) {
      const before = this.#changes.findLast((change) => change.key === key && change.revision <= revision)?.entry
      if (before) found.set(key, before)
      else found.delete(key)
    }
    return [...found.values()].sort((a, b) => compareKeys(a.key, b.key))
  }

  /** What changed under a prefix from this revision on, or undefined if nothing did. */
  since(prefix: string, revision: number): WatchBatch | undefined {
    if (revision < this.#compacted) throw new CompactedError(this.#compacted)
    const changes = this.#changes.filter((change) => change.revision >= revision && change.key.startsWith(prefix))
    const last = changes.at(-1)
    return last && { revision: last.revision, events: changes.map(({ key, entry }) => ({ key, entry })) }
  }

  /** Does all writes as one revision. */
  write(writes: readonly Write[]): void {
    for (const write of writes) {
      const lease = 'put' in write ? (write.lease ?? 0n) : 0n
      if (lease !== 0n && !this.#leases.has(lease))
        throw new StoreError('the store refused: requested lease not found', { isTransient: false })
    }
    const isChange = (write: Write): boolean => 'put' in write || this.#entries.has(write.remove)
    const effective = writes.filter(isChange)
    if (effective.length === 0) return
    this.revision++
    for (const write of effective) this.#writeOne(write)
    this.wake()
  }

  grant(ttlSeconds: number): bigint {
    const id = this.#nextLease++
    this.#leases.set(id, { ttlMs: ttlSeconds * 1000, endsAt: this.now() + ttlSeconds * 1000 })
    return id
  }

  /** Whether the lease was still there; it then has its whole time again. */
  renew(id: bigint): boolean {
    const lease = this.#leases.get(id)
    if (lease) lease.endsAt = this.now() + lease.ttlMs
    return lease !== undefined
  }

  /** What is left of a lease. */
  leaseSeconds(id: bigint): number | undefined {
    const lease = this.#leases.get(id)
    return lease && Math.floor((lease.endsAt - this.now()) / 1000)
  }

  revoke(id: bigint): void {
    if (!this.#leases.delete(id)) return
    this.write([...this.#entries.values()].filter((entry) => entry.lease === id).map(({ key }) => ({ remove: key })))
  }

  /** Ends leases whose time is over; those of connected holders are renewed first, as they would have been all the time. */
  expire(): void {
    for (const renew of this.#connections) renew()
    const over = [...this.#leases].filter(([, lease]) => lease.endsAt <= this.now())
    for (const [id] of over) this.revoke(id)
  }

  compact(revision: number): void {
    this.#compacted = Math.max(this.#compacted, revision)
    const newest = new Map(this.#changes.filter((change) => change.revision <= revision).map((change) => [change.key, change]))
    // The newest state of each key at that revision can still be listed.
    this.#changes = this.#changes.filter((change) => change.revision > revision || newest.get(change.key) === change)
  }

  wipe(): void {
    this.#entries.clear()
    this.#leases.clear()
    this.#changes = []
    this.#compacted = 0
    this.revision = 1
    this.life++
    this.wake()
  }

  /** Is called before leases are looked at: whoever is connected renews. */
  onRenewal(renew: () => void): void {
    this.#connections.push(renew)
  }

  /** Resolves at the next change, or when aborted. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakers.add(wake)
      signal.addEventListener('abort', wake, { once: true })
      if (signal.aborted) wake()
    })
  }

  wake(): void {
    for (const wake of [...this.#wakers]) wake()
  }

  #writeOne(write: Write): void {
    const key = 'put' in write ? write.put : write.remove
    const entry = 'put' in write ? { key, value: write.value, modRevision: this.revision, lease: write.lease ?? 0n } : undefined
    if (entry) this.#entries.set(key, entry)
    else this.#entries.delete(key)
    this.#changes.push({ revision: this.revision, key, entry })
  }
}

/** etcd orders keys by their bytes, and so does JavaScript's `<` as long as there is nothing beyond the basic plane. */
function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
