import type { Block } from '../model/ipam-block.ts'
import type { Cidr } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import {
  type BlockRelease,
  collectGarbage,
  type Holder,
  holderOf,
  isEmpty,
  type OrdinalRelease,
  releaseOrdinals,
  renewOrdinals,
} from './block.ts'
import { type Change, commitChanges, type IpamContext, isFencedOff, retryConflicts } from './context.ts'
import { addToHandle, takeFromHandle } from './handle.ts'
import { addressAt, ordinalOf } from './ordinals.ts'
import { blocks, handles } from './records.ts'

/** An address that is held. */
export interface Assignment {
  readonly ip: Ip
  readonly family: Family
  readonly block: Cidr
  readonly handleId: string
  /** With it a release can say which allocation of the address is meant. */
  readonly sequenceNumber: bigint
}

/** What is wanted of a block. */
export interface BlockRequest {
  readonly holder: Holder
  readonly cooldownSeconds: number
  /** Only from a block with this affinity. */
  readonly affinity?: string | undefined
  /** Gives the block with addresses given out, and which. None: as if the block were full. */
  pick(block: Block): { readonly block: Block; readonly ordinals: readonly number[] }
}

/** What a block gave: addresses, or none because it is full (or the wanted ones are taken), gone, or another's. */
export type BlockOutcome =
  | { readonly kind: 'assigned'; readonly assignments: readonly Assignment[] }
  | { readonly kind: 'full' | 'foreign'; readonly block: Block }
  | { readonly kind: 'gone' }

/** Gives out addresses of one block; the block and the handle change in one transaction. */
export async function assignInBlock(context: IpamContext, cidr: Cidr, request: BlockRequest, signal: AbortSignal): Promise<BlockOutcome> {
  const { store } = context
  const { handleId } = request.holder
  let [block, handle] = await Promise.all([blocks.read(store, [cidr], signal), handles.read(store, [handleId], signal)])
  return retryConflicts(`give out an address of block ${cidr}`, signal, async () => {
    if (block.value === undefined) return { kind: 'gone' }
    if (request.affinity !== undefined && block.value.affinity !== request.affinity) return { kind: 'foreign', block: block.value }
    const cleaned = collectGarbage(block.value, context.now(), request.cooldownSeconds)
    const picked = request.pick(cleaned)
    if (picked.ordinals.length === 0) return { kind: 'full', block: cleaned }
    const assigned: BlockOutcome = { kind: 'assigned', assignments: describe(cleaned, picked.ordinals, handleId) }
    const changes = [
      blocks.change([cidr], block, picked.block),
      handles.change([handleId], handle, addToHandle(handle.value, cidr, picked.ordinals.length)),
    ]
    const result = await commitChanges(context, changes, signal)
    if (result.isDone) return assigned
    block = blocks.current(result.current, [cidr])
    handle = handles.current(result.current, [handleId])
    // A lost reply whose write was followed by another's looks like a conflict: what we hold already is not taken twice.
    return holdsAll(block.value, assigned.assignments, picked.ordinals) ? assigned : undefined
  })
}

/** Holds addresses of one block anew for who holds them; gives those that still were held as said, with their new sequence number. */
export async function renewInBlock(
  context: IpamContext,
  cidr: Cidr,
  held: readonly Assignment[],
  signal: AbortSignal,
): Promise<readonly Assignment[]> {
  let block = await blocks.read(context.store, [cidr], signal)
  return retryConflicts(`renew addresses of block ${cidr}`, signal, async () => {
    if (block.value === undefined) return []
    const requests = held.map((assignment) => ({ ...assignment, ordinal: ordinalOf(cidr, assignment.ip) }))
    const { block: renewed, ordinals } = renewOrdinals(block.value, requests)
    if (ordinals.length === 0) return []
    const { sequenceNumber } = block.value
    const result = await commitChanges(context, [blocks.change([cidr], block, renewed)], signal)
    if (result.isDone)
      return held.filter((_, i) => ordinals.includes(requests[i]?.ordinal ?? -1)).map((one) => ({ ...one, sequenceNumber }))
    block = blocks.current(result.current, [cidr])
    return undefined
  })
}

/** Handles that one release may change: etcd takes 128 writes in a transaction. */
const MAX_HANDLES = 100

/** What is to be released in a block; `wholeHandle`: all of this handle, and its count for the block goes whatever it was. */
export interface BlockReleaseRequest {
  readonly cooldownSeconds: number
  readonly wholeHandle?: string
  readonly fences?: readonly Change[]
  select(block: Block): readonly OrdinalRelease[]
}

/**
 * Takes addresses of one block back, and deletes the block where it then is empty and nobody's.
 * Undefined: there is no such block, or a fence does not hold.
 */
export async function releaseInBlock(
  context: IpamContext,
  cidr: Cidr,
  request: BlockReleaseRequest,
  signal: AbortSignal,
): Promise<BlockRelease | undefined> {
  let block = await blocks.read(context.store, [cidr], signal)
  const { fences = [] } = request
  const outcome = await retryConflicts(`release addresses of block ${cidr}`, signal, async () => {
    const release = block.value && releaseOrdinals(block.value, request.select(block.value), context.now(), request.cooldownSeconds)
    const handleChanges = await countDown(context, cidr, release?.countByHandle ?? new Map(), request.wholeHandle, signal)
    if (release?.block === block.value && handleChanges.length === 0) return { release }
    const left = release && collectGarbage(release.block, context.now(), request.cooldownSeconds)
    const isSpent = left !== undefined && isEmpty(left) && left.affinity === undefined
    const blockChange = left === undefined ? blocks.keep([cidr], block) : blocks.change([cidr], block, isSpent ? undefined : left)
    const result = await commitChanges(context, [blockChange, ...handleChanges, ...fences], signal)
    if (result.isDone) return { release }
    if (isFencedOff(result, fences)) return { release: undefined }
    block = blocks.current(result.current, [cidr])
    return undefined
  })
  return outcome.release
}

/** Splits what would be too large for one transaction. */
export function chunksOf<T>(items: readonly T[], size: number = MAX_HANDLES): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}

async function countDown(
  context: IpamContext,
  cidr: Cidr,
  counts: ReadonlyMap<string, number>,
  wholeHandle: string | undefined,
  signal: AbortSignal,
): Promise<readonly Change[]> {
  const ids = new Set(wholeHandle === undefined ? counts.keys() : [...counts.keys(), wholeHandle])
  const changes = [...ids].map(async (id) => {
    const handle = await handles.read(context.store, [id], signal)
    if (handle.value === undefined) return []
    return [handles.change([id], handle, takeFromHandle(handle.value, cidr, id === wholeHandle ? undefined : (counts.get(id) ?? 0)))]
  })
  return (await Promise.all(changes)).flat()
}

function describe(block: Block, ordinals: readonly number[], handleId: string): readonly Assignment[] {
  return ordinals.map((ordinal) => ({
    ip: addressAt(block.cidr, ordinal),
    family: familyOf(block.cidr),
    block: block.cidr,
    handleId,
    sequenceNumber: block.sequenceNumber,
  }))
}

function holdsAll(block: Block | undefined, assignments: readonly Assignment[], ordinals: readonly number[]): boolean {
  if (block === undefined) return false
  return assignments.every(({ handleId, sequenceNumber }, i) => {
    const ordinal = ordinals[i] ?? -1
    return holderOf(block, ordinal)?.handleId === handleId && block.sequenceNumberForAllocation.get(ordinal) === sequenceNumber
  })
}
