import type { MessageShape } from '@bufbuild/protobuf'
import { StoreError } from '../errors.ts'
import { Backoff, sleep } from './backoff.ts'
import type { ConnectionState } from './connection-state.ts'
import type { EtcdClient } from './etcd-client.ts'
import type { Endpoint, EndpointStream } from './etcd-endpoint.ts'
import { storeError } from './etcd-error.ts'
import { keyRange, toEntry } from './etcd-keys.ts'
import { type Event, Event_EventType } from './generated/kv_pb.js'
import { Watch, type WatchRequestSchema, type WatchResponse, type WatchResponseSchema } from './generated/rpc_pb.js'
import { CompactedError, type WatchBatch } from './store.ts'

/** What a watch needs of the store that it belongs to. */
export interface WatchContext {
  readonly client: EtcdClient
  readonly state: ConnectionState
  /** Where the store is, confirmed by a quorum. */
  newest(signal: AbortSignal): Promise<Newest>
}

/** The newest revision, and the term of Raft in which it was asked for; within the life of a cluster both only grow. */
export interface Newest {
  readonly revision: number
  readonly term: bigint
}

/** How long a stream may take until etcd says that the watch stands; a black hole costs this and not TCP's two minutes. */
const CREATED_MS = 4000
/** So many denials in a row are believed: one is also what an old token looks like (etcd 3.4 and 3.5 check it like a user without rights). */
const MOST_DENIALS = 3

/**
 * Watches a prefix as `Store.watch` says. Each watch has a stream of its own: after a denied watch etcd stops reading the whole
 * stream (etcd #11708). When a stream breaks the next one resumes at the last revision that was given out plus one.
 */
export async function* watchPrefix(
  context: WatchContext,
  prefix: string,
  fromRevision: number,
  signal: AbortSignal,
): AsyncGenerator<WatchBatch> {
  const { client, state } = context
  const user = Symbol(prefix)
  const backoff = new Backoff(100, 3000)
  const position: Position = { next: fromRevision, term: 0n, denials: 0, failures: 0 }
  try {
    while (!signal.aborted) {
      try {
        for await (const batch of streamOnce(context, { prefix, position, user, backoff }, signal)) yield batch
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof CompactedError || (error instanceof StoreError && error.code === 'store-denied')) throw error
        const { reason } = client.judge(error)
        client.log.debug({ key: prefix, revision: position.next, reason }, 'watch was interrupted')
        // One member that goes is no trouble yet: the next try is at another.
        if (++position.failures > 1) state.report(user, reason)
        await sleep(backoff.next(), signal).catch(() => {})
      }
    }
  } finally {
    state.clear(user)
  }
}

/** Where a watch goes on, over all of its streams. */
interface Position {
  /** 0: not known yet, from the next revision on. */
  next: number
  /** Raft's term when the last stream came to stand. */
  term: bigint
  denials: number
  /** Streams in a row that did not come to stand. */
  failures: number
}

interface Attempt {
  readonly prefix: string
  readonly position: Position
  readonly user: symbol
  readonly backoff: Backoff
}

type WatchStream = EndpointStream<typeof WatchRequestSchema, typeof WatchResponseSchema>

/** One stream, from its opening to its end, which is always an error. */
async function* streamOnce(context: WatchContext, attempt: Attempt, signal: AbortSignal): AsyncGenerator<WatchBatch> {
  const { client } = context
  const { endpoint, stream } = await client.openStream(Watch.method.watch, signal)
  const guard = cancelOn(stream, signal)
  let isRefused = false
  try {
    stream.write(createRequest(attempt))
    const fragments: Event[] = []
    for await (const response of stream as AsyncIterable<MessageShape<typeof WatchResponseSchema>>) {
      if (response.canceled) {
        isRefused = true
        throw cancelError(client, attempt, response)
      }
      if (response.created) {
        guard.created()
        await acceptCreated(context, attempt, response, signal)
        continue
      }
      fragments.push(...response.events)
      if (response.fragment) continue
      const batch = toBatch(fragments.splice(0), response)
      attempt.position.next = Math.max(attempt.position.next, batch.revision + 1)
      yield batch
    }
    throw new StoreError(`the watch stream of ${endpoint.url} ended`, { code: 'store-unreachable', isTransient: true })
  } catch (error) {
    client.forgetTokenAfter(error)
    if (!isRefused && !signal.aborted && !(error instanceof CompactedError)) client.avoid(endpoint)
    throw guard.isLate ? lateError(endpoint, error) : error
  } finally {
    guard.end()
    stream.cancel()
  }
}

function createRequest({ prefix, position }: Attempt) {
  const value = { ...keyRange(prefix), startRevision: BigInt(position.next), progressNotify: true, fragment: true }
  return { requestUnion: { case: 'createRequest' as const, value } }
}

/** Cancels the stream on abort, and when `created` was not called in time. */
function cancelOn(stream: WatchStream, signal: AbortSignal): { readonly isLate: boolean; created(): void; end(): void } {
  const onAbort = (): void => stream.cancel()
  const guard = {
    isLate: false,
    created: (): void => clearTimeout(timer),
    end(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    },
  }
  const timer = setTimeout(() => {
    guard.isLate = true
    stream.cancel()
  }, CREATED_MS)
  signal.addEventListener('abort', onAbort, { once: true })
  return guard
}

async function acceptCreated(
  context: WatchContext,
  { position, user, backoff }: Attempt,
  response: WatchResponse,
  signal: AbortSignal,
): Promise<void> {
  const revision = Number(response.header?.revision ?? 0n)
  const term = response.header?.raftTerm ?? 0n
  if (position.next === 0) position.next = revision + 1
  // A member may lag behind what we know. But if the whole store is behind it, it was restored from a backup or made anew: etcd
  // would keep silent until its revision reaches ours, and its history is another one.
  if (revision + 1 < position.next || term < position.term) {
    const newest = await context.newest(signal)
    if (newest.revision + 1 < position.next || newest.term < position.term) {
      throw new CompactedError(
        newest.revision,
        `the store is not the one that had revision ${position.next - 1}: it is at ${newest.revision}`,
      )
    }
  }
  if (term > position.term) position.term = term
  position.denials = 0
  position.failures = 0
  backoff.reset()
  context.state.clear(user)
}

function cancelError(client: EtcdClient, { position, prefix }: Attempt, response: WatchResponse): Error {
  const compacted = Number(response.compactRevision)
  if (compacted > 0) return new CompactedError(compacted)
  const reason = response.cancelReason
  client.forgetToken()
  const isDenied = /permission denied/.test(reason)
  position.denials = isDenied ? position.denials + 1 : 0
  const message = `etcd does not let us watch ${prefix}: ${reason}`
  return storeError(isDenied && position.denials >= MOST_DENIALS ? 'denied' : 'interrupted', message, undefined)
}

function lateError(endpoint: Endpoint, cause: unknown): StoreError {
  return storeError('interrupted', `${endpoint.url}: no answer to a watch within ${CREATED_MS} ms`, cause)
}

/** Several revisions may come in one reply, but a revision never in two. Without events it is progress. */
function toBatch(events: readonly Event[], response: WatchResponse): WatchBatch {
  const last = events.at(-1)?.kv?.modRevision ?? response.header?.revision ?? 0n
  return {
    revision: Number(last),
    events: events.flatMap(({ type, kv }) => {
      if (!kv) return []
      const entry = toEntry(kv)
      return [{ key: entry.key, entry: type === Event_EventType.Delete ? undefined : entry }]
    }),
  }
}
