import { Backoff, sleep } from './backoff.ts'
import type { EtcdClient } from './etcd-client.ts'
import { isServiceError } from './etcd-error.ts'
import { Lease as LeaseService } from './generated/rpc_pb.js'
import type { Lease } from './store.ts'

/** What a lease needs of the store that it belongs to. */
export interface LeaseContext {
  readonly client: EtcdClient
  /** Asks for something that a quorum must confirm. */
  newest(signal: AbortSignal): Promise<unknown>
}

/** Asks etcd for a lease and keeps it alive from then on, as `Store.lease` says. */
export async function grantLease(context: LeaseContext, ttlSeconds: number, signal: AbortSignal): Promise<Lease> {
  // The number is ours, so that a request whose reply was lost can be made again without a second lease.
  const id = randomId()
  await grant(context.client, id, ttlSeconds, signal)
  const stop = new AbortController()
  const ends = AbortSignal.any([stop.signal, context.client.closed])
  const lost = new Promise<void>((resolve) => {
    keepAlive(context, { id, ttlSeconds }, ends).then(resolve, () => {})
  })
  return {
    id,
    lost,
    async revoke(): Promise<void> {
      stop.abort()
      await revoke(context, id)
    },
  }
}

/** Asks etcd for a lease that nobody keeps alive, as `Store.expiringLease` says. */
export async function grantExpiring(client: EtcdClient, ttlSeconds: number, signal: AbortSignal): Promise<bigint> {
  const id = randomId()
  await grant(client, id, ttlSeconds, signal)
  return id
}

/** What is left of a lease, as `Store.leaseSeconds` says. */
export async function readLease(client: EtcdClient, id: bigint, signal: AbortSignal): Promise<number | undefined> {
  const { TTL } = await client.call(LeaseService.method.leaseTimeToLive, { ID: id }, { signal, isRepeatable: true })
  return TTL < 0n ? undefined : Number(TTL)
}

interface Held {
  readonly id: bigint
  readonly ttlSeconds: number
}

async function grant(client: EtcdClient, id: bigint, ttlSeconds: number, signal: AbortSignal): Promise<void> {
  try {
    await client.call(LeaseService.method.leaseGrant, { ID: id, TTL: BigInt(ttlSeconds) }, { signal, isRepeatable: true })
  } catch (error) {
    if (!isCause(error, /lease already exists/)) throw error
  }
}

async function revoke(context: LeaseContext, id: bigint): Promise<void> {
  try {
    await context.client.call(LeaseService.method.leaseRevoke, { ID: id }, { signal: context.client.closed, isRepeatable: true })
  } catch (error) {
    if (!isCause(error, /lease not found/)) throw error
  }
}

/** Returns when etcd no longer knows the lease; rejects when aborted. */
async function keepAlive(context: LeaseContext, held: Held, signal: AbortSignal): Promise<void> {
  const pauseMs = (held.ttlSeconds * 1000) / 3
  const backoff = new Backoff(100, Math.min(pauseMs, 2000))
  let isGoneBefore = false
  for (;;) {
    try {
      const isKnown = await renew(context.client, held.id, signal)
      if (!isKnown && isGoneBefore) return
      isGoneBefore = !isKnown
      backoff.reset()
      // A new leader that has not applied the grant yet says the same as one that knows it gone: after a read that a quorum
      // confirmed it has applied it, and is asked again.
      if (isGoneBefore) await context.newest(signal)
      else await sleep(pauseMs, signal)
    } catch (error) {
      signal.throwIfAborted()
      context.client.log.debug({ reason: context.client.judge(error).reason }, 'lease was not renewed')
      await sleep(backoff.next(), signal)
    }
  }
}

const RENEW_MS = 3000

/** One renewal on a stream of its own, at whichever endpoint answers; whether etcd knows the lease. */
async function renew(client: EtcdClient, id: bigint, signal: AbortSignal): Promise<boolean> {
  const { endpoint, stream } = await client.openStream(LeaseService.method.leaseKeepAlive, signal)
  const cancel = (): void => stream.cancel()
  const timer = setTimeout(cancel, RENEW_MS)
  signal.addEventListener('abort', cancel, { once: true })
  try {
    stream.write({ ID: id })
    for await (const response of stream as AsyncIterable<{ readonly TTL: bigint }>) return response.TTL > 0n
    throw new Error('the stream ended without an answer')
  } catch (error) {
    client.forgetTokenAfter(error)
    if (!signal.aborted) client.avoid(endpoint)
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
    stream.cancel()
  }
}

function isCause(error: unknown, pattern: RegExp): boolean {
  return error instanceof Error && isServiceError(error.cause) && pattern.test(error.cause.details)
}

/** 1 to 2^63 - 1: 0 lets etcd choose. */
function randomId(): bigint {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2))
  return (BigInt(high & 0x7fff_ffff) << 32n) | BigInt(low) || 1n
}
