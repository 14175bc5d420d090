import { IpamError } from '../errors.ts'
import type { Block } from '../model/ipam-block.ts'
import { type Cidr, rangeOf } from '../net/cidr.ts'
import { familyOf, ipToNumber } from '../net/ip.ts'
import { claimBlock, releaseAffinity } from './affinity.ts'
import { assignAutomatic, type Holder, retakeOrdinal } from './block.ts'
import { assignInBlock, type BlockOutcome } from './block-writes.ts'
import { hostAffinity } from './context.ts'
import { claimAnotherBlock } from './find-block.ts'
import { ordinalOf } from './ordinals.ts'
import { poolOf, selectsNode } from './pools.ts'
import type { OwnBlock } from './queries.ts'
import { refuseFull } from './refuse.ts'
import { DEFAULT_MAX_BLOCKS } from './rules.ts'
import type { FamilyRun, Found } from './run.ts'
import { blocksInOrder, isSurelyFull, surveyBlocks } from './survey.ts'

/** Adds addresses to what was found until there are as many as wanted. What was found before it throws stays in there. */
export async function assignFamily(run: FamilyRun, found: Found): Promise<void> {
  if (isDone(found)) return
  const { context, rules, family, grids, signal } = run
  const pools = grids.map(({ pool }) => pool)
  const own = run.own.filter(({ cidr }) => poolOf(pools, cidr) !== undefined)
  await takeAgain(run, found)
  if ((run.request.pools ?? []).length === 0) await releaseUnselected(run)
  const owned = new Set(own.map(({ cidr }) => cidr))
  await takeFromOwn(run, found, own, owned)
  while (!isDone(found)) {
    checkLimits(run, owned.size)
    const survey = await surveyBlocks(context, family, signal)
    const cidr = await claimAnotherBlock(run, survey, owned)
    if (cidr === undefined) break
    owned.add(cidr)
    await takeFrom(run, found, cidr, hostAffinity(context.node))
  }
  if (!isDone(found) && !rules.config.strictAffinity) await borrow(run, found)
  if (!isDone(found)) await refuseFull(run)
}

function isDone(found: Found): boolean {
  return found.assignments.length >= found.count
}

/** What the holder had a short while ago, where it is in a block of this host still, free, and not reserved since. */
async function takeAgain(run: FamilyRun, found: Found): Promise<void> {
  const { context, rules, family, grids } = run
  const pools = grids.map(({ pool }) => pool)
  for (const { ip, block: cidr, sequenceNumber } of run.sticky) {
    const isFitting = familyOf(ip) === family && poolOf(pools, ip) !== undefined && !rules.reserved.has(family, ipToNumber(ip))
    if (isDone(found) || !isFitting) continue
    const ordinal = ordinalOf(cidr, ip)
    await takeFrom(run, found, cidr, hostAffinity(context.node), (block, holder) => {
      const taken = retakeOrdinal(block, ordinal, sequenceNumber, holder)
      return taken === undefined ? { block, ordinals: [] } : { block: taken, ordinals: [ordinal] }
    })
  }
}

/** Own blocks are used in turn, beginning with the one that gave the last address. */
async function takeFromOwn(run: FamilyRun, found: Found, own: readonly OwnBlock[], owned: Set<Cidr>): Promise<void> {
  const last = own.findIndex(({ cidr }) => cidr === run.context.lastBlock.get(run.family))
  const turn = last < 0 ? own : [...own.slice(last), ...own.slice(0, last)]
  for (const block of turn) {
    if (isDone(found)) return
    const isOurs = await takeFromOne(run, found, block)
    if (!isOurs) owned.delete(block.cidr)
  }
}

/** Whether the block is ours. A claim that is not confirmed, or whose block is gone or another's, is put right on the way. */
async function takeFromOne(run: FamilyRun, found: Found, { cidr, affinity }: OwnBlock): Promise<boolean> {
  const { context, signal } = run
  const ours = hostAffinity(context.node)
  if (affinity.state === 'confirmed') {
    const outcome = await takeFrom(run, found, cidr, ours)
    if (outcome.kind === 'assigned' || outcome.kind === 'full') return true
  }
  if ((await claimBlock(context, cidr, signal)) === 'taken') return false
  await takeFrom(run, found, cidr, ours)
  return true
}

type Pick = (block: Block, holder: Holder) => { readonly block: Block; readonly ordinals: readonly number[] }

/** Takes what `pick` chooses of a block, unless given the addresses that have been free longest. */
async function takeFrom(run: FamilyRun, found: Found, cidr: Cidr, affinity: string | undefined, pick?: Pick): Promise<BlockOutcome> {
  const { context, rules, request, family, signal } = run
  const { first } = rangeOf(cidr)
  const holder = { handleId: request.handleId, attributes: { ...request.attributes, node: context.node } }
  const isReserved = (ordinal: number) => rules.reserved.has(family, first + BigInt(ordinal))
  const wanted = () => found.count - found.assignments.length
  const chosen = pick ?? ((block: Block) => assignAutomatic(block, wanted(), holder, isReserved))
  const cooldownSeconds = rules.config.ipCooldownSeconds
  const blockRequest = { holder, affinity, cooldownSeconds, pick: (block: Block) => chosen(block, holder) }
  const outcome = await assignInBlock(context, cidr, blockRequest, signal)
  if (outcome.kind === 'assigned') {
    found.assignments.push(...outcome.assignments)
    if (affinity !== undefined) context.lastBlock.set(family, cidr)
  }
  return outcome
}

/** A pool that ceased to select this host gets its empty blocks back; blocks with addresses stay until these are released. */
async function releaseUnselected({ context, rules, family, own, signal }: FamilyRun): Promise<void> {
  for (const { cidr } of own) {
    if (familyOf(cidr) !== family) continue
    const pool = poolOf(rules.pools, cidr)
    if (pool === undefined || pool.spec.disabled === true || selectsNode(pool, rules.asker.labels)) continue
    await releaseAffinity(context, context.node, cidr, { mustBeEmpty: true, cooldownSeconds: rules.config.ipCooldownSeconds }, signal)
  }
}

function checkLimits({ context, rules, request, family }: FamilyRun, owned: number): void {
  const limits = [request.maxBlocksPerHost ?? 0, rules.config.maxBlocksPerHost].filter((limit) => limit > 0)
  const limit = limits.length === 0 ? DEFAULT_MAX_BLOCKS : Math.min(...limits)
  const node = JSON.stringify(context.node)
  if (owned >= limit) {
    const reason = `all ${owned} of its blocks are full, and it may not have more (maxBlocksPerHost, ${DEFAULT_MAX_BLOCKS} unless set)`
    throw new IpamError('ipam-block-limit', `no IPv${family} address for node ${node}: ${reason}`)
  }
  if (!rules.config.autoAllocateBlocks) {
    const reason = 'its blocks are full, and auto_allocate_blocks is off, so it may not claim one by itself'
    throw new IpamError('ipam-no-auto-allocate', `no IPv${family} address for node ${node}: ${reason}`)
  }
}

/** Addresses of other hosts' blocks are routed one by one to this host, by the attribute `node`. */
async function borrow(run: FamilyRun, found: Found): Promise<void> {
  const { context, family, grids, signal } = run
  const survey = await surveyBlocks(context, family, signal)
  for (const grid of grids) {
    for (const cidr of await blocksInOrder(survey, grid)) {
      if (isDone(found)) return
      if (!isSurelyFull(survey, cidr)) await takeFrom(run, found, cidr, undefined)
    }
  }
}
