import * as z from 'zod'
import { StoreError } from '../errors.ts'
import { cidrField, ipField } from '../model/fields.ts'
import { parseAs } from '../model/issues.ts'
import { parseJson } from '../model/json.ts'
import { stickyKey, stickyPrefix } from '../model/keys.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Entry } from '../store/store.ts'
import type { Holder } from './block.ts'
import { type Assignment, chunksOf } from './block-writes.ts'
import type { IpamContext } from './context.ts'
import { isHolder } from './queries.ts'
import { decodeOrWarn, listAll } from './rules.ts'

/** An address that a workload had, and by which allocation: by that it is known again while it cools down. */
export interface StickyAddress {
  readonly ip: Ip
  readonly block: Cidr
  readonly sequenceNumber: bigint
}

/**
 * What is kept of a workload that was removed, under `/margay/v1/sticky/<node>/<handle>`. Calico's records say that the addresses are
 * free, and they are: whoever asks may have them. Without a lease: a lease for each workload that ever was costs etcd more.
 */
const stickySchema = z.object({
  attributes: z.record(z.string(), z.string()),
  addresses: z.array(z.object({ ip: ipField, block: cidrField, sequenceNumber: z.string().regex(/^\d+$/).transform(BigInt) })),
  until: z.string(),
})

/**
 * Notes which addresses the holder had, or that it shall not have those again that it had. The release is done: a store that is away
 * now costs only the memory.
 */
export async function rememberAddresses(
  context: IpamContext,
  holder: Holder,
  released: readonly Assignment[],
  signal: AbortSignal,
): Promise<void> {
  const seconds = context.stickySeconds()
  if (seconds === 0) return
  const key = stickyKey(context.node, holder.handleId)
  const addresses = released.map(({ ip, block, sequenceNumber }) => ({ ip, block, sequenceNumber: String(sequenceNumber) }))
  const until = new Date(context.now().getTime() + seconds * 1000).toISOString()
  const note = { put: key, value: JSON.stringify({ attributes: holder.attributes, addresses, until }) }
  try {
    await context.store.commit([], [released.length === 0 ? { remove: key } : note], signal)
  } catch (err) {
    if (!(err instanceof StoreError)) throw err
    context.log.debug({ key: holder.handleId, err }, 'addresses of a removed workload could not be remembered')
  }
}

/** The addresses that the holder had on this host, if that is not too long ago. */
export async function recallAddresses(context: IpamContext, holder: Holder, signal: AbortSignal): Promise<readonly StickyAddress[]> {
  if (context.stickySeconds() === 0) return []
  const entry = await context.store.get(stickyKey(context.node, holder.handleId), signal)
  const sticky = entry && decodeSticky(context, entry)
  if (sticky === undefined || isOver(sticky.until, context.now())) return []
  return isHolder(sticky.attributes, holder.attributes) ? sticky.addresses : []
}

/** Removes what is remembered too long, by this host or by all; of a host that is deleted, everything. */
export async function forgetSticky(context: IpamContext, scope: 'host' | 'all', signal: AbortSignal): Promise<void> {
  const now = context.now()
  const prefix = stickyPrefix(scope === 'host' ? context.node : undefined)
  const over = (await listAll(context, prefix, signal)).filter((entry) => {
    const sticky = decodeSticky(context, entry)
    return sticky === undefined || isOver(sticky.until, now)
  })
  await removeEntries(context, over, signal)
}

/** Removes everything that is remembered of a host's workloads. */
export async function forgetHost(context: IpamContext, host: string, signal: AbortSignal): Promise<void> {
  await removeEntries(context, await listAll(context, stickyPrefix(host), signal), signal)
}

async function removeEntries(context: IpamContext, entries: readonly Entry[], signal: AbortSignal): Promise<void> {
  for (const chunk of chunksOf(entries)) {
    const compares = chunk.map(({ key, modRevision }) => ({ key, modRevision }))
    // One that was written anew stays, and so do those beside it, until the next time.
    await context.store.commit(
      compares,
      chunk.map(({ key }) => ({ remove: key })),
      signal,
    )
  }
}

function decodeSticky(context: IpamContext, { key, value }: Entry) {
  return decodeOrWarn(context, key, () => parseAs('the addresses of a removed workload', stickySchema, parseJson(value)))
}

function isOver(until: string, now: Date): boolean {
  return !(Date.parse(until) > now.getTime())
}
