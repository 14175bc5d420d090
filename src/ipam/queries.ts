import type { BlockAffinity } from '../model/ipam-affinity.ts'
import { decodeAffinity } from '../model/ipam-record-codec.ts'
import { affinitiesPrefix, parseAffinityKey } from '../model/keys.ts'
import type { Cidr } from '../net/cidr.ts'
import { familyOf, type Ip } from '../net/ip.ts'
import { type Holder, holderOf, ordinalsOf } from './block.ts'
import type { Assignment } from './block-writes.ts'
import { type IpamContext, ownerOf } from './context.ts'
import { findBlock } from './locate.ts'
import { addressAt, ordinalOf } from './ordinals.ts'
import { blocks, handles } from './records.ts'
import { decodeOrWarn, listAll } from './rules.ts'

/** An address that a handle holds, with what was said of its holder. */
export interface Held extends Assignment {
  readonly attributes: Readonly<Record<string, string>>
}

/** What is known of one address. */
export interface AddressUse {
  readonly ip: Ip
  /** `cooling`: released, but not to be given out yet. */
  readonly state: 'used' | 'cooling' | 'free'
  readonly block: Cidr | undefined
  /** The host whose block it is in. */
  readonly owner: string | undefined
  readonly handleId: string | undefined
  readonly sequenceNumber: bigint | undefined
  readonly attributes: Readonly<Record<string, string>>
}

/** Who has this address. Free, with no block, where none holds it. */
export async function lookUp(context: IpamContext, ip: Ip, signal: AbortSignal): Promise<AddressUse> {
  const block = await findBlock(context, ip, signal)
  const ordinal = block === undefined ? -1 : ordinalOf(block.cidr, ip)
  const holder = block && holderOf(block, ordinal)
  const isAllocated = block?.allocations[ordinal] !== undefined
  return {
    ip,
    state: holder !== undefined ? 'used' : isAllocated ? 'cooling' : 'free',
    block: block?.cidr,
    owner: ownerOf(block?.affinity),
    handleId: holder?.handleId,
    sequenceNumber: block?.sequenceNumberForAllocation.get(ordinal),
    attributes: holder?.secondary ?? {},
  }
}

/** The addresses that a handle holds, by block. */
export async function heldBy(context: IpamContext, handleId: string, signal: AbortSignal): Promise<readonly Held[]> {
  const handle = await handles.read(context.store, [handleId], signal)
  const cidrs = [...(handle.value?.blocks.keys() ?? [])]
  const found = await Promise.all(cidrs.map((cidr) => heldInBlock(context, cidr, handleId, signal)))
  return found.flat()
}

/**
 * The addresses of a handle that were given to this very holder: on this host, with each of the holder's facts. Two workloads of
 * one name on two hosts share a handle (its id has only namespace and name), and neither may touch what the other has.
 */
export async function heldByHolder(context: IpamContext, holder: Holder, signal: AbortSignal): Promise<readonly Held[]> {
  const held = await heldBy(context, holder.handleId, signal)
  return held.filter(({ attributes }) => isHolder(attributes, { ...holder.attributes, node: context.node }))
}

/** Whether what a block says of a holder has all these facts. */
export function isHolder(attributes: Readonly<Record<string, string>>, facts: Readonly<Record<string, string>>): boolean {
  return Object.entries(facts).every(([name, value]) => attributes[name] === value)
}

/** A block that a host claims, as its affinity says. */
export interface OwnBlock {
  readonly cidr: Cidr
  readonly affinity: BlockAffinity
}

/** The blocks that a host claims, of both families, by key. An affinity that can't be read is passed over: the block decides. */
export async function listOwnBlocks(context: IpamContext, host: string, signal: AbortSignal): Promise<readonly OwnBlock[]> {
  const found: OwnBlock[] = []
  for (const { key, value } of await listAll(context, affinitiesPrefix(host), signal)) {
    const cidr = parseAffinityKey(key)?.cidr
    const affinity = decodeOrWarn(context, key, () => decodeAffinity(value))
    if (cidr !== undefined && affinity !== undefined) found.push({ cidr, affinity })
  }
  return found
}

async function heldInBlock(context: IpamContext, cidr: Cidr, handleId: string, signal: AbortSignal): Promise<readonly Held[]> {
  const { value: block } = await blocks.read(context.store, [cidr], signal)
  if (block === undefined) return []
  return ordinalsOf(block, handleId).map((ordinal) => ({
    ip: addressAt(cidr, ordinal),
    family: familyOf(cidr),
    block: cidr,
    handleId,
    sequenceNumber: block.sequenceNumberForAllocation.get(ordinal) ?? 0n,
    attributes: holderOf(block, ordinal)?.secondary ?? {},
  }))
}
