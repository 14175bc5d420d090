import type { Block, BlockAttribute } from '../model/ipam-block.ts'
import { type Cidr, sizeOf } from '../net/cidr.ts'

/** Who shall hold an address. */
export interface Holder {
  readonly handleId: string
  /** The holder's facts; `node` decides to which host a borrowed address is routed. */
  readonly attributes: Readonly<Record<string, string>>
}

/** An address to give back. What is not given is not compared. */
export interface OrdinalRelease {
  readonly ordinal: number
  readonly handleId?: string | undefined
  /** The block's sequence number when the address was given out: an address that was given to another since is not touched. */
  readonly sequenceNumber?: bigint | undefined
}

/** Why an address was not released although it is allocated. */
export interface ReleaseRefusal {
  readonly ordinal: number
  readonly reason: 'handle' | 'sequence'
}

/** What a release did: by ordinal, and the counts by which the handles must go down. */
export interface BlockRelease {
  readonly block: Block
  readonly released: readonly number[]
  readonly unallocated: readonly number[]
  readonly refused: readonly ReleaseRefusal[]
  readonly countByHandle: ReadonlyMap<string, number>
}

/** A block that was just claimed: all addresses free, the sequence begun at the clock so that it never repeats for this prefix. */
export function newBlock(cidr: Cidr, affinity: string, now: Date): Block {
  const size = Number(sizeOf(cidr))
  return {
    cidr,
    affinity,
    affinityClaimTime: formatTime(now),
    allocations: Array<undefined>(size).fill(undefined),
    unallocated: Array.from({ length: size }, (_, ordinal) => ordinal),
    attributes: [],
    sequenceNumber: BigInt(now.getTime()) * 1_000_000n,
    sequenceNumberForAllocation: new Map(),
    deleted: false,
  }
}

/**
 * Gives out up to `count` addresses, those first that have been free longest. Fewer where the block hasn't more;
 * the block itself is given back as it was where it has none.
 */
export function assignAutomatic(
  block: Block,
  count: number,
  holder: Holder,
  isReserved: (ordinal: number) => boolean = () => false,
): { readonly block: Block; readonly ordinals: readonly number[] } {
  const ordinals: number[] = []
  for (const ordinal of block.unallocated) {
    if (ordinals.length === count) break
    if (!isReserved(ordinal)) ordinals.push(ordinal)
  }
  return { block: give(block, ordinals, holder), ordinals }
}

/** Gives out this one address, or undefined where it is not free. */
export function assignOrdinal(block: Block, ordinal: number, holder: Holder): Block | undefined {
  return block.unallocated.includes(ordinal) ? give(block, [ordinal], holder) : undefined
}

/**
 * Gives out this one address to who had it by the allocation of this number: also while it cools down, because cooling down is to
 * keep others from it. Undefined where it is another's by now.
 */
export function retakeOrdinal(block: Block, ordinal: number, sequenceNumber: bigint, holder: Holder): Block | undefined {
  const index = block.allocations[ordinal]
  if (index === undefined) return assignOrdinal(block, ordinal, holder)
  const isCooling = block.attributes[index]?.releasedAt !== undefined
  if (!isCooling || block.sequenceNumberForAllocation.get(ordinal) !== sequenceNumber) return undefined
  return compactAttributes(give(block, [ordinal], holder))
}

/**
 * Holds addresses anew for who holds them: each gets a new sequence number, so that whoever saw the old one unused can't take it back.
 * Gives the ordinals that still were held as said.
 */
export function renewOrdinals(
  block: Block,
  requests: readonly OrdinalRelease[],
): { readonly block: Block; readonly ordinals: readonly number[] } {
  const held = requests.filter((request) => {
    const holder = holderOf(block, request.ordinal)
    return holder !== undefined && refuse(block, request, holder) === undefined
  })
  if (held.length === 0) return { block, ordinals: [] }
  const sequences = new Map(block.sequenceNumberForAllocation)
  for (const { ordinal } of held) sequences.set(ordinal, block.sequenceNumber)
  return { block: step({ ...block, sequenceNumberForAllocation: sequences }), ordinals: held.map(({ ordinal }) => ordinal) }
}

/**
 * Takes addresses back. With a cool-down they stay allocated, to nobody, until `collectGarbage` frees them.
 * A refused address hinders no other.
 */
export function releaseOrdinals(block: Block, requests: readonly OrdinalRelease[], now: Date, cooldownSeconds: number): BlockRelease {
  const released = new Set<number>()
  const unallocated: number[] = []
  const refused: ReleaseRefusal[] = []
  const countByHandle = new Map<string, number>()
  for (const request of requests) {
    if (released.has(request.ordinal)) continue
    const holder = holderOf(block, request.ordinal)
    const refusal = holder && refuse(block, request, holder)
    if (holder === undefined) unallocated.push(request.ordinal)
    else if (refusal !== undefined) refused.push(refusal)
    else {
      released.add(request.ordinal)
      if (holder.handleId !== undefined) countByHandle.set(holder.handleId, (countByHandle.get(holder.handleId) ?? 0) + 1)
    }
  }
  const ordinals = [...released]
  const next = ordinals.length === 0 ? block : step(cooldownSeconds > 0 ? cool(block, ordinals, now) : free(block, ordinals))
  return { block: next, released: ordinals, unallocated, refused, countByHandle }
}

/** Frees the addresses whose cool-down is over; the same block where there is none. */
export function collectGarbage(block: Block, now: Date, cooldownSeconds: number): Block {
  const isOver = block.attributes.map(
    (attribute) => attribute.releasedAt !== undefined && hasCooled(attribute.releasedAt, now, cooldownSeconds),
  )
  if (!isOver.includes(true)) return block
  const ordinals = [...block.allocations.keys()].filter((ordinal) => isOver[block.allocations[ordinal] ?? -1] === true)
  return step(free(block, ordinals))
}

/** Who holds the address; undefined where it is free or cools down. */
export function holderOf(block: Block, ordinal: number): BlockAttribute | undefined {
  const index = block.allocations[ordinal]
  const attribute = index === undefined ? undefined : (block.attributes[index] ?? {})
  return attribute?.releasedAt === undefined ? attribute : undefined
}

/** The ordinals that this handle holds. */
export function ordinalsOf(block: Block, handleId: string): readonly number[] {
  return [...block.allocations.keys()].filter((ordinal) => holderOf(block, ordinal)?.handleId === handleId)
}

/** Whether nobody holds an address, and none cools down: the block may be deleted. */
export function isEmpty(block: Block): boolean {
  return block.allocations.every((index) => index === undefined)
}

/** Addresses in use, cooling down and free. They add up to the block's size. */
export function countBlock(block: Block): { readonly used: number; readonly cooling: number; readonly free: number } {
  let [used, cooling] = [0, 0]
  for (const index of block.allocations) {
    if (index === undefined) continue
    if (block.attributes[index]?.releasedAt === undefined) used++
    else cooling++
  }
  return { used, cooling, free: block.allocations.length - used - cooling }
}

/** What is wrong with a block, in words; empty for a good one. These are the invariants that `calicoctl ipam check` tests. */
export function checkBlock(block: Block, now: Date): readonly string[] {
  const size = Number(sizeOf(block.cidr))
  const problems: string[] = []
  const used = new Set(block.allocations.filter((index) => index !== undefined))
  if (block.allocations.length !== size) problems.push(`${block.allocations.length} allocations in a block of ${size}`)
  for (const index of used)
    if (index >= block.attributes.length || index < 0)
      problems.push(`allocation refers to attribute ${index} of ${block.attributes.length}`)
  for (const index of block.attributes.keys()) if (!used.has(index)) problems.push(`attribute ${index} is not used`)
  const free = new Set(block.unallocated)
  if (free.size !== block.unallocated.length) problems.push('an ordinal is twice in unallocated')
  for (const ordinal of free) {
    if (ordinal < 0 || ordinal >= size) problems.push(`unallocated ordinal ${ordinal} in a block of ${size}`)
    else if (block.allocations[ordinal] !== undefined) problems.push(`ordinal ${ordinal} is allocated and unallocated`)
  }
  const allocated = block.allocations.filter((index) => index !== undefined).length
  if (free.size + allocated !== size) problems.push(`${free.size} free and ${allocated} allocated in a block of ${size}`)
  for (const { releasedAt } of block.attributes) {
    if (releasedAt !== undefined && Date.parse(releasedAt) > now.getTime()) problems.push(`released in the future: ${releasedAt}`)
  }
  return problems
}

/** RFC 3339 in UTC without fractions, as Calico writes it. */
export function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

function give(block: Block, ordinals: readonly number[], holder: Holder): Block {
  if (ordinals.length === 0) return block
  const given = new Set(ordinals)
  const { attributes, index } = shareAttribute(block.attributes, { handleId: holder.handleId, secondary: holder.attributes })
  const sequences = new Map(block.sequenceNumberForAllocation)
  for (const ordinal of ordinals) sequences.set(ordinal, block.sequenceNumber)
  return step({
    ...block,
    allocations: block.allocations.map((before, ordinal) => (given.has(ordinal) ? index : before)),
    unallocated: block.unallocated.filter((ordinal) => !given.has(ordinal)),
    attributes,
    sequenceNumberForAllocation: sequences,
  })
}

function cool(block: Block, ordinals: readonly number[], now: Date): Block {
  const { attributes, index } = shareAttribute(block.attributes, { releasedAt: formatTime(now) })
  const cooling = new Set(ordinals)
  return compactAttributes({
    ...block,
    allocations: block.allocations.map((before, ordinal) => (cooling.has(ordinal) ? index : before)),
    attributes,
  })
}

/** The freed go to the tail: an address rests as long as the block can spare it. */
function free(block: Block, ordinals: readonly number[]): Block {
  const freed = new Set(ordinals)
  return compactAttributes({
    ...block,
    allocations: block.allocations.map((before, ordinal) => (freed.has(ordinal) ? undefined : before)),
    unallocated: [...block.unallocated, ...ordinals],
    sequenceNumberForAllocation: new Map([...block.sequenceNumberForAllocation].filter(([ordinal]) => !freed.has(ordinal))),
  })
}

/** Every change of a block makes its sequence number one higher, within 64 bits. */
function step(block: Block): Block {
  return { ...block, sequenceNumber: BigInt.asUintN(64, block.sequenceNumber + 1n) }
}

/** Equal holders share one entry. */
function shareAttribute(
  attributes: readonly BlockAttribute[],
  wanted: BlockAttribute,
): { readonly attributes: readonly BlockAttribute[]; readonly index: number } {
  const index = attributes.findIndex((attribute) => isSameAttribute(attribute, wanted))
  return index >= 0 ? { attributes, index } : { attributes: [...attributes, wanted], index: attributes.length }
}

function isSameAttribute(a: BlockAttribute, b: BlockAttribute): boolean {
  const isPlain = a.alternateOwnerAttrs === undefined && a.unknown === undefined
  if (!isPlain || a.handleId !== b.handleId || a.releasedAt !== b.releasedAt) return false
  const [left, right] = [a.secondary ?? {}, b.secondary ?? {}]
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length && keys.every((key) => left[key] === right[key])
}

/** Drops the entries that no allocation refers to any more. */
function compactAttributes(block: Block): Block {
  const used = new Set(block.allocations)
  const kept = [...block.attributes.keys()].filter((index) => used.has(index))
  if (kept.length === block.attributes.length) return block
  const renumbered = new Map(kept.map((before, after) => [before, after]))
  return {
    ...block,
    allocations: block.allocations.map((index) => (index === undefined ? undefined : renumbered.get(index))),
    attributes: block.attributes.filter((_, index) => renumbered.has(index)),
  }
}

function refuse(block: Block, request: OrdinalRelease, holder: BlockAttribute): ReleaseRefusal | undefined {
  const { ordinal, handleId, sequenceNumber } = request
  if (handleId !== undefined && holder.handleId !== handleId) return { ordinal, reason: 'handle' }
  // Old writers gave out addresses without a number; Calico takes that as 0.
  const isOther = sequenceNumber !== undefined && (block.sequenceNumberForAllocation.get(ordinal) ?? 0n) !== sequenceNumber
  return isOther ? { ordinal, reason: 'sequence' } : undefined
}

/** A time that can't be read is over; so is one further in the future than the cool-down lasts, which a wrong clock wrote. */
function hasCooled(releasedAt: string, now: Date, cooldownSeconds: number): boolean {
  const ageMs = now.getTime() - Date.parse(releasedAt)
  return Number.isNaN(ageMs) || Math.abs(ageMs) >= cooldownSeconds * 1000
}
