import type { Block } from '../model/ipam-block.ts'
import type { Cidr } from '../net/cidr.ts'
import { collectGarbage, isEmpty, newBlock } from './block.ts'
import { type Change, commitChanges, hostAffinity, type IpamContext, isFencedOff, ownerOf, retryConflicts } from './context.ts'
import { affinities, blocks, type Stored } from './records.ts'

/** What became of a wish to own a block. */
export type Claim = 'claimed' | 'taken'

/**
 * What became of giving a block back: deleted, left to its addresses without an owner, kept for them, not the host's to give, or
 * kept because a fence did not hold.
 */
export type Release = 'deleted' | 'orphaned' | 'not-empty' | 'not-owner' | 'fenced'

const CONFIRMED = { state: 'confirmed', deleted: false } as const

/**
 * Makes a block this host's: creates it, or completes a claim that was begun. Calico writes the affinity as pending, the block,
 * and the affinity as confirmed; here all of it is one transaction, so nobody sees a claim half made. A claim that somebody
 * left half made is completed where the block is ours or isn't there, and removed where the block is another's.
 * A block without owner is never adopted, only borrowed from.
 */
export async function claimBlock(context: IpamContext, cidr: Cidr, signal: AbortSignal): Promise<Claim> {
  const { store, node } = context
  let [affinity, block] = await Promise.all([affinities.read(store, [node, cidr], signal), blocks.read(store, [cidr], signal)])
  return retryConflicts(`claim block ${cidr}`, signal, async () => {
    const isOurs = block.value?.affinity === hostAffinity(node)
    if (isOurs && affinity.value?.state === 'confirmed') return 'claimed'
    const isOthers = block.value !== undefined && !isOurs
    if (isOthers && affinity.value === undefined) return 'taken'
    const blockChange = isOurs || isOthers ? blocks.keep([cidr], block) : blocks.change([cidr], block, fresh(context, cidr))
    const confirmed = isOthers ? undefined : { ...affinity.value, ...CONFIRMED }
    const result = await commitChanges(context, [affinities.change([node, cidr], affinity, confirmed), blockChange], signal)
    if (result.isDone) return logClaim(context, cidr, isOthers ? 'taken' : 'claimed')
    affinity = affinities.current(result.current, [node, cidr])
    block = blocks.current(result.current, [cidr])
    return undefined
  })
}

/**
 * Makes an empty block of another host (or of nobody) this host's, if it is still as it was seen.
 * Gives 'taken' where it isn't: whoever was faster needs it more.
 */
export async function takeOverBlock(context: IpamContext, cidr: Cidr, seen: Stored<Block>, signal: AbortSignal): Promise<Claim> {
  const owner = ownerOf(seen.value?.affinity)
  const own = await affinities.read(context.store, [context.node, cidr], signal)
  const changes = [
    blocks.change([cidr], seen, fresh(context, cidr)),
    affinities.change([context.node, cidr], own, { ...own.value, ...CONFIRMED }),
  ]
  if (owner !== undefined && owner !== context.node) {
    const before = await affinities.read(context.store, [owner, cidr], signal)
    changes.push(affinities.change([owner, cidr], before, undefined))
  }
  const result = await commitChanges(context, changes, signal)
  // A lost reply looks like a conflict: what is ours all the same is not given up.
  const isOurs = result.isDone || blocks.current(result.current, [cidr]).value?.affinity === hostAffinity(context.node)
  if (!isOurs) return 'taken'
  context.log.info({ cidr, node: owner ?? 'nobody' }, 'empty block taken over')
  return 'claimed'
}

/**
 * Gives a host's block back: deleted when empty, else (unless it has to be empty) left without owner until its last address
 * is released. An affinity without a block of its own is removed.
 */
export async function releaseAffinity(
  context: IpamContext,
  host: string,
  cidr: Cidr,
  options: { readonly mustBeEmpty: boolean; readonly cooldownSeconds: number; readonly fences?: readonly Change[] },
  signal: AbortSignal,
): Promise<Release> {
  const { store } = context
  const { fences = [] } = options
  let [affinity, block] = await Promise.all([affinities.read(store, [host, cidr], signal), blocks.read(store, [cidr], signal)])
  return retryConflicts(`release block ${cidr} of node ${JSON.stringify(host)}`, signal, async () => {
    const isOwner = block.value?.affinity === hostAffinity(host)
    if (!isOwner && affinity.revision === 0) return 'not-owner'
    const cleaned = block.value && collectGarbage(block.value, context.now(), options.cooldownSeconds)
    const isVacant = cleaned !== undefined && isEmpty(cleaned)
    if (isOwner && !isVacant && options.mustBeEmpty) return 'not-empty'
    const left = cleaned === undefined || isVacant ? undefined : disown(cleaned)
    const blockChange = isOwner ? blocks.change([cidr], block, left) : blocks.keep([cidr], block)
    const changes = [affinities.change([host, cidr], affinity, undefined), blockChange, ...fences]
    const result = await commitChanges(context, changes, signal)
    if (isFencedOff(result, fences)) return 'fenced'
    if (result.isDone) return isOwner ? logRelease(context, host, cidr, isVacant ? 'deleted' : 'orphaned') : 'not-owner'
    affinity = affinities.current(result.current, [host, cidr])
    block = blocks.current(result.current, [cidr])
    return undefined
  })
}

function fresh(context: IpamContext, cidr: Cidr): Block {
  return newBlock(cidr, hostAffinity(context.node), context.now())
}

function disown(block: Block): Block {
  return { ...block, affinity: undefined, affinityClaimTime: undefined, sequenceNumber: BigInt.asUintN(64, block.sequenceNumber + 1n) }
}

function logClaim(context: IpamContext, cidr: Cidr, claim: Claim): Claim {
  if (claim === 'claimed') context.log.info({ cidr }, 'block claimed')
  else context.log.warn({ cidr }, 'removed a claim to the block of another host')
  return claim
}

function logRelease(context: IpamContext, node: string, cidr: Cidr, release: Release): Release {
  context.log.info({ cidr, node, reason: release }, 'block released')
  return release
}
