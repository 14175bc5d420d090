import type { MessageInitShape } from '@bufbuild/protobuf'
import { StoreError } from '../errors.ts'
import { Backoff, sleep } from './backoff.ts'
import { ConnectionState } from './connection-state.ts'
import { EtcdClient, type EtcdOptions, InterruptedError } from './etcd-client.ts'
import { isServiceError } from './etcd-error.ts'
import { nextKey, prefixEnd, toBytes, toEntry } from './etcd-keys.ts'
import { grantExpiring, grantLease, readLease } from './etcd-lease.ts'
import { type Newest, watchPrefix } from './etcd-watch.ts'
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  KV,
  type RangeRequestSchema,
  type RangeResponse,
  type TxnRequestSchema,
  type TxnResponse,
} from './generated/rpc_pb.js'
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

/** A page that is asked for without a size has so many entries at first, and then as many as make up so many characters. */
const FIRST_PAGE = 500
const PAGE_CHARACTERS = 1024 * 1024
const LARGEST_PAGE = 2000
/** How often etcd is asked for its revision while calls fail. */
const PROBE_MS = 2000

/**
 * Opens etcd as a store. Nothing is sent yet: whether etcd can be reached shows at the first call.
 *
 * @throws {ValidationError} if an endpoint is not a URL
 * @throws {StoreError} if the TLS files cannot be used
 */
export function openEtcd(options: EtcdOptions): EtcdStore {
  return new EtcdStore(options)
}

/** The store over etcd v3's gRPC API. */
export class EtcdStore implements Store {
  readonly #client: EtcdClient
  readonly #state = new ConnectionState()
  #probe: NodeJS.Timeout | undefined

  constructor(options: EtcdOptions) {
    this.#client = new EtcdClient(options)
  }

  async get(key: string, signal: AbortSignal): Promise<Entry | undefined> {
    const reply = await this.#range({ key: toBytes(key) }, signal)
    return reply.kvs[0] && toEntry(reply.kvs[0])
  }

  async *list(
    prefix: string,
    options: { readonly pageSize?: number; readonly revision?: number },
    signal: AbortSignal,
  ): AsyncGenerator<Page> {
    const rangeEnd = prefixEnd(prefix)
    let revision = options.revision ?? 0
    const read = (key: Uint8Array, limit: number): Promise<Read> => {
      // Made into entries when it arrives: replies that wait for the reader take several times the memory, and V8 keeps it for long.
      const page = this.#range({ key, rangeEnd, limit: BigInt(limit), revision: BigInt(revision) }, signal).then(toRead)
      // Whoever leaves before the last page never looks at the next one.
      page.catch(() => {})
      return page
    }
    let next: Promise<Read> | undefined = read(toBytes(prefix), options.pageSize ?? FIRST_PAGE)
    while (next !== undefined) {
      const page: Read = await next
      if (revision === 0) revision = page.revision
      const last = page.entries.at(-1)
      // Asked for before this page is given out: etcd looks while the reader works.
      next = page.more && last ? read(nextKey(last.key), options.pageSize ?? fittingPage(page.entries)) : undefined
      yield { revision, entries: page.entries }
    }
  }

  async commit(compares: readonly Compare[], writes: readonly Write[], signal: AbortSignal): Promise<CommitResult> {
    checkTransaction(compares, writes)
    const request = toTxn(compares, writes)
    const deadline = Date.now() + this.#client.timeoutMs
    const backoff = new Backoff(50, 500)
    let isUnsure = false
    for (;;) {
      try {
        const reply = await this.#call(() => this.#client.call(KV.method.txn, request, { signal, deadline, isRepeatable: false }))
        const result = toResult(reply, compares)
        if (result.isDone || !isUnsure) return result
        return await this.#resolve(result, compares, writes, signal)
      } catch (error) {
        if (!(error instanceof InterruptedError) || Date.now() > deadline - 600) throw error
        // It is asked for again: if it was done, its compares fail now, and what stands there is ours.
        isUnsure = true
        await sleep(backoff.next(), signal)
      }
    }
  }

  watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    const ends = AbortSignal.any([signal, this.#client.closed])
    return watchPrefix({ client: this.#client, state: this.#state, newest: (within) => this.#newest(within) }, prefix, fromRevision, ends)
  }

  lease(ttlSeconds: number, signal: AbortSignal): Promise<Lease> {
    return grantLease({ client: this.#client, newest: (within) => this.#newest(within) }, ttlSeconds, signal)
  }

  expiringLease(ttlSeconds: number, signal: AbortSignal): Promise<bigint> {
    return this.#call(() => grantExpiring(this.#client, ttlSeconds, signal))
  }

  leaseSeconds(id: bigint, signal: AbortSignal): Promise<number | undefined> {
    return this.#call(() => readLease(this.#client, id, signal))
  }

  onConnection(listener: (connection: Connection) => void, signal: AbortSignal): void {
    this.#state.listen(listener, signal)
  }

  /** Forgets the history before this revision. For tests and for keepers of an etcd that does not compact by itself. */
  async compact(revision: number, signal: AbortSignal): Promise<void> {
    await this.#client.call(KV.method.compact, { revision: BigInt(revision) }, { signal, isRepeatable: true })
  }

  close(): void {
    clearTimeout(this.#probe)
    this.#client.close()
  }

  async #range(request: MessageInitShape<typeof RangeRequestSchema>, signal: AbortSignal): Promise<RangeResponse> {
    try {
      return await this.#call(() => this.#client.call(KV.method.range, request, { signal, isRepeatable: true }))
    } catch (error) {
      const isCompacted = error instanceof Error && isServiceError(error.cause) && /has been compacted/.test(error.cause.details)
      throw isCompacted ? new CompactedError(Number(request.revision ?? 0n) + 1) : error
    }
  }

  async #newest(signal: AbortSignal): Promise<Newest> {
    const reply = await this.#range({ key: toBytes('/margay'), countOnly: true }, signal)
    return { revision: revisionOf(reply), term: reply.header?.raftTerm ?? 0n }
  }

  /** Makes a call and tells the connection's state. */
  async #call<T>(make: () => Promise<T>): Promise<T> {
    try {
      const reply = await make()
      this.#state.clear('calls')
      return reply
    } catch (error) {
      if (error instanceof StoreError && (error.isTransient || isConnectionCode(error.code))) this.#report(error.message)
      throw error
    }
  }

  /** Calls have trouble. Whether they still have is asked until it is over, because the next call may be hours away. */
  #report(reason: string): void {
    this.#state.report('calls', reason)
    if (this.#probe || this.#client.closed.aborted) return
    this.#probe = setTimeout(() => {
      this.#probe = undefined
      this.#newest(this.#client.closed).catch(() => {})
    }, PROBE_MS).unref()
  }

  /** An earlier try of this transaction may have been done: it was if all that it writes stands there, written at once. */
  async #resolve(result: CommitResult, compares: readonly Compare[], writes: readonly Write[], signal: AbortSignal): Promise<CommitResult> {
    const found = new Map<string, Entry | undefined>()
    for (const write of writes) {
      const key = 'put' in write ? write.put : write.remove
      found.set(key, result.current.has(key) ? result.current.get(key) : await this.get(key, signal))
    }
    const revision = ownRevision(found, compares, writes)
    return revision === undefined ? result : { ...result, isDone: true, revision: revision || result.revision }
  }
}

/** A part of a listing, and whether more comes after it. */
interface Read extends Page {
  readonly more: boolean
}

function toRead(reply: RangeResponse): Read {
  return { revision: revisionOf(reply), entries: reply.kvs.map(toEntry), more: reply.more }
}

/** For each page etcd counts all that comes after it, so few large pages are faster; but a page is parsed at one stretch. */
function fittingPage(entries: readonly Entry[]): number {
  const characters = entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
  const fitting = Math.round((PAGE_CHARACTERS * entries.length) / Math.max(characters, 1))
  return Math.min(Math.max(fitting, FIRST_PAGE / 10), LARGEST_PAGE)
}

/** The revision in which all these writes were done, 0 if they only remove, or undefined if what stands there is not theirs. */
function ownRevision(
  found: ReadonlyMap<string, Entry | undefined>,
  compares: readonly Compare[],
  writes: readonly Write[],
): number | undefined {
  const before = new Map(compares.map(({ key, modRevision }) => [key, modRevision]))
  let revision = 0
  for (const write of writes) {
    const entry = found.get('put' in write ? write.put : write.remove)
    if ('remove' in write) {
      if (entry) return undefined
      continue
    }
    if (!entry || entry.value !== write.value || entry.lease !== (write.lease ?? 0n)) return undefined
    if (entry.modRevision <= (before.get(write.put) ?? 0) || (revision !== 0 && entry.modRevision !== revision)) return undefined
    revision = entry.modRevision
  }
  return revision
}

function toTxn(compares: readonly Compare[], writes: readonly Write[]): MessageInitShape<typeof TxnRequestSchema> {
  return {
    compare: compares.map(({ key, modRevision }) => ({
      result: Compare_CompareResult.Equal,
      target: Compare_CompareTarget.Mod,
      key: toBytes(key),
      targetUnion: { case: 'modRevision', value: BigInt(modRevision) },
    })),
    success: writes.map((write) => ({ request: toOperation(write) })),
    failure: compares.map(({ key }) => ({ request: { case: 'requestRange', value: { key: toBytes(key) } } })),
  }
}

function toOperation(write: Write) {
  if ('remove' in write) return { case: 'requestDeleteRange' as const, value: { key: toBytes(write.remove) } }
  return { case: 'requestPut' as const, value: { key: toBytes(write.put), value: toBytes(write.value), lease: write.lease ?? 0n } }
}

function toResult(reply: TxnResponse, compares: readonly Compare[]): CommitResult {
  const revision = Number(reply.header?.revision ?? 0n)
  if (reply.succeeded) return { isDone: true, revision, current: new Map() }
  const current = new Map<string, Entry | undefined>()
  for (const [i, { key }] of compares.entries()) {
    const response = reply.responses[i]?.response
    const kv = response?.case === 'responseRange' ? response.value.kvs[0] : undefined
    current.set(key, kv && toEntry(kv))
  }
  return { isDone: false, revision, current }
}

/** Codes that mean that this host cannot work with etcd at all, not that one request was wrong. */
function isConnectionCode(code: string): boolean {
  return code === 'store-tls' || code === 'store-auth'
}

function revisionOf(reply: RangeResponse): number {
  return Number(reply.header?.revision ?? 0n)
}
