/** A key with its value and the store's revision at which it was last written. */
export interface Entry {
  readonly key: string
  readonly value: string
  /** etcd's mod_revision. Below 2^53: at 10,000 writes a second that lasts 28,000 years. */
  readonly modRevision: number
  /** Lease that removes the key when it ends; 0n without. */
  readonly lease: bigint
}

/** A part of a listing; every page of one listing is read at the same revision. */
export interface Page {
  readonly revision: number
  readonly entries: readonly Entry[]
}

/** One revision's changes (or several revisions', in order) under a watched prefix. */
export interface WatchBatch {
  /** The highest revision in it; resume from the next. */
  readonly revision: number
  /** `entry` undefined: the key was deleted. Empty: progress without a change. */
  readonly events: readonly { readonly key: string; readonly entry: Entry | undefined }[]
}

/** A condition of a transaction: the key's mod revision is this; 0 means that the key does not exist. */
export interface Compare {
  readonly key: string
  readonly modRevision: number
}

/** One write of a transaction. */
export type Write = { readonly put: string; readonly value: string; readonly lease?: bigint } | { readonly remove: string }

/** What became of a transaction; when it did not succeed, `current` holds the compared keys as they are now. */
export interface CommitResult {
  readonly isDone: boolean
  readonly revision: number
  readonly current: ReadonlyMap<string, Entry | undefined>
}

/** The oldest revision that can still be had is above the one asked for, or the store's history is another one: list again. */
export class CompactedError extends Error {
  readonly revision: number
  constructor(revision: number, message = `revision was compacted, the oldest is ${revision}`) {
    super(message)
    this.name = 'CompactedError'
    this.revision = revision
  }
}

/** Whether the store answers, as far as calls and watches have seen. */
export interface Connection {
  readonly isConnected: boolean
  /** Why not, naming each endpoint and its cause. */
  readonly reason?: string
}

/** A key-value store with revisions, as etcd v3 is one; every call fails within 5 s when the store is away. */
export interface Store {
  get(key: string, signal: AbortSignal): Promise<Entry | undefined>
  /** In key order, in pages of a size that suits the store unless given; all pages at one revision (the given one, or the newest). Throws CompactedError. */
  list(prefix: string, options: { readonly pageSize?: number; readonly revision?: number }, signal: AbortSignal): AsyncIterable<Page>
  /** All compares hold: all writes are done as one revision; else none. A lost reply is resolved by reading back. */
  commit(compares: readonly Compare[], writes: readonly Write[], signal: AbortSignal): Promise<CommitResult>
  /**
   * From this revision on (0: from the next one), in order, each change once. Ends when aborted; survives lost connections and
   * members, a store without quorum and old tokens. Throws CompactedError, and StoreError where the user may not watch.
   */
  watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch>
  /** A lease of this many seconds that is kept alive until it is revoked, or lost because the store let it expire. The signal ends the request only. */
  lease(ttlSeconds: number, signal: AbortSignal): Promise<Lease>
  /** A lease that nobody keeps alive: it ends by itself after these seconds, whatever becomes of who asked for it. Gives its id. */
  expiringLease(ttlSeconds: number, signal: AbortSignal): Promise<bigint>
  /** How long a lease lasts yet if nobody renews it, rounded down to seconds; undefined if the store does not know it (any more). */
  leaseSeconds(id: bigint, signal: AbortSignal): Promise<number | undefined>
  /** Calls back with what is now and at every change, until aborted. */
  onConnection?(listener: (connection: Connection) => void, signal: AbortSignal): void
  /** Ends calls, watches and the keeping alive of leases; leases end by themselves. */
  close(): void
}

/** A lease that is kept alive in the background. */
export interface Lease {
  readonly id: bigint
  /** Resolves when the store no longer knows the lease, never before, and not after `revoke`. */
  readonly lost: Promise<void>
  /** Ends it and removes its keys. */
  revoke(): Promise<void>
}
