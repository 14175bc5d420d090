import { IpamError } from '../errors.ts'
import type { Block } from '../model/ipam-block.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { type BlockRelease, type Holder, holderOf, ordinalsOf } from './block.ts'
import { chunksOf, releaseInBlock } from './block-writes.ts'
import { commitChanges, type IpamContext, MAX_TRIES } from './context.ts'
import { findBlock } from './locate.ts'
import { addressAt, ordinalOf } from './ordinals.ts'
import { heldByHolder } from './queries.ts'
import { handles } from './records.ts'
import { readConfig } from './rules.ts'
import { rememberAddresses } from './sticky.ts'

/** An address to release. An Assignment is one, with everything compared. */
export interface ReleaseRequest {
  readonly ip: Ip
  /** The block, where it is known: saves looking for it. */
  readonly block?: Cidr | undefined
  /** Released only if this handle holds it. */
  readonly handleId?: string | undefined
  /** Released only if it was not given to another since. */
  readonly sequenceNumber?: bigint | undefined
}

/** What became of each address: released, was free already, or is held otherwise than was said. */
export interface ReleaseOutcome {
  readonly released: readonly Ip[]
  readonly unallocated: readonly Ip[]
  readonly refused: readonly { readonly ip: Ip; readonly reason: string }[]
}

/** Releases addresses, in one transaction a block. A refused address hinders no other. */
export async function releaseIps(context: IpamContext, requests: readonly ReleaseRequest[], signal: AbortSignal): Promise<ReleaseOutcome> {
  const { ipCooldownSeconds } = await readConfig(context, signal)
  const { byBlock, outside } = await groupByBlock(context, requests, signal)
  const outcomes: ReleaseOutcome[] = [{ released: [], unallocated: outside, refused: [] }]
  for (const [cidr, all] of byBlock) {
    for (const chunk of chunksOf(all)) {
      const ordinals = chunk.map((request) => ({ ...request, ordinal: ordinalOf(cidr, request.ip) }))
      const release = await releaseInBlock(context, cidr, { cooldownSeconds: ipCooldownSeconds, select: () => ordinals }, signal)
      outcomes.push(describe(cidr, chunk, release))
    }
  }
  return {
    released: outcomes.flatMap(({ released }) => released),
    unallocated: outcomes.flatMap(({ unallocated }) => unallocated),
    refused: outcomes.flatMap(({ refused }) => refused),
  }
}

/**
 * Releases every address that a handle holds, and removes the handle; gives the addresses. Nothing held is no error.
 * Goes on until the handle is gone: an address may have been added meanwhile.
 */
export async function releaseByHandle(context: IpamContext, handleId: string, signal: AbortSignal): Promise<readonly Ip[]> {
  const released: Ip[] = []
  const { ipCooldownSeconds } = await readConfig(context, signal)
  const select = (block: Block) => ordinalsOf(block, handleId).map((ordinal) => ({ ordinal, handleId }))
  const request = { cooldownSeconds: ipCooldownSeconds, wholeHandle: handleId, select }
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const handle = await handles.read(context.store, [handleId], signal)
    if (handle.revision === 0) return released
    const cidrs = [...(handle.value?.blocks.keys() ?? [])]
    for (const cidr of cidrs) {
      const release = await releaseInBlock(context, cidr, request, signal)
      released.push(...(release?.released ?? []).map((ordinal) => addressAt(cidr, ordinal)))
    }
    if (cidrs.length === 0) await commitChanges(context, [handles.change([handleId], handle, undefined)], signal)
  }
  throw new IpamError(
    'ipam-busy',
    `could not release handle ${JSON.stringify(handleId)}: it was given addresses ${MAX_TRIES} times meanwhile`,
  )
}

/**
 * Releases what a handle holds for this very holder on this host: another's of the same handle id stays. Gives the addresses.
 * They are remembered for a while where the holder may return; where it was never set up with them it had better get others.
 */
export async function releaseHolder(
  context: IpamContext,
  holder: Holder,
  { mayReturn }: { readonly mayReturn: boolean },
  signal: AbortSignal,
): Promise<readonly Ip[]> {
  const held = await heldByHolder(context, holder, signal)
  const released = new Set((await releaseIps(context, held, signal)).released)
  const remembered = mayReturn ? held.filter(({ ip }) => released.has(ip)) : []
  // Removed a second time it has nothing left to remember, and what is remembered of the first time stays.
  if (!mayReturn || remembered.length > 0) await rememberAddresses(context, holder, remembered, signal)
  return [...released]
}

async function groupByBlock(
  context: IpamContext,
  requests: readonly ReleaseRequest[],
  signal: AbortSignal,
): Promise<{ readonly byBlock: ReadonlyMap<Cidr, readonly ReleaseRequest[]>; readonly outside: readonly Ip[] }> {
  const byBlock = new Map<Cidr, ReleaseRequest[]>()
  const outside: Ip[] = []
  for (const request of requests) {
    const cidr = request.block ?? (await findBlock(context, request.ip, signal))?.cidr
    if (cidr === undefined) outside.push(request.ip)
    else byBlock.set(cidr, [...(byBlock.get(cidr) ?? []), request])
  }
  return { byBlock, outside }
}

function describe(cidr: Cidr, requests: readonly ReleaseRequest[], release: BlockRelease | undefined): ReleaseOutcome {
  if (release === undefined) return { released: [], unallocated: requests.map(({ ip }) => ip), refused: [] }
  return {
    released: release.released.map((ordinal) => addressAt(cidr, ordinal)),
    unallocated: release.unallocated.map((ordinal) => addressAt(cidr, ordinal)),
    refused: release.refused.map(({ ordinal, reason }) => ({
      ip: addressAt(cidr, ordinal),
      reason: reason === 'sequence' ? 'it was given to another since' : describeHolder(release.block, ordinal),
    })),
  }
}

function describeHolder(block: Block, ordinal: number): string {
  const handleId = holderOf(block, ordinal)?.handleId
  return handleId === undefined ? 'it is held without a handle' : `handle ${JSON.stringify(handleId)} holds it`
}
