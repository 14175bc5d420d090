import { IpamError } from '../errors.ts'
import { allowsUse, blockSizeOf, type IPPool, isUsable } from '../model/ip-pool.ts'
import type { Block } from '../model/ipam-block.ts'
import { type Cidr, cidrOf } from '../net/cidr.ts'
import { familyOf, type Ip } from '../net/ip.ts'
import { claimBlock } from './affinity.ts'
import { assignOrdinal, type Holder, holderOf } from './block.ts'
import { type Assignment, assignInBlock } from './block-writes.ts'
import { hostAffinity, type IpamContext, MAX_TRIES } from './context.ts'
import { findBlock } from './locate.ts'
import { ordinalOf } from './ordinals.ts'
import { describePool, poolOf, type Use } from './pools.ts'
import { isHolder } from './queries.ts'
import { type Rules, readRules } from './rules.ts'
import { overlapping, surveyBlocks } from './survey.ts'

/** One address by name for one holder. */
export interface AssignIpRequest {
  readonly ip: Ip
  readonly handleId: string
  /** Facts about the holder; `node` is added. */
  readonly attributes: Readonly<Record<string, string>>
  /** Workload unless given. */
  readonly use?: Use | undefined
}

/**
 * Gives out this address. A pool that is enabled and allows the use must hold it; nodeSelector, assignmentMode, reservations and
 * the limit of blocks don't stand against a request by name. The same handle may ask again: it has the address then.
 *
 * @throws {IpamError} `ipam-not-in-pool`, `ipam-taken` naming the holder, `ipam-strict-affinity`, `ipam-block-size`,
 * `ipam-no-node`, `ipam-busy`
 */
export async function assignIp(context: IpamContext, request: AssignIpRequest, signal: AbortSignal): Promise<Assignment> {
  const rules = await readRules(context, signal)
  const pool = poolFor(rules, request)
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const found = await findBlock(context, request.ip, signal)
    const cidr = found?.cidr ?? (await claimFor(context, request.ip, pool, signal))
    const assignment = cidr && (await takeFrom(context, rules, cidr, request, signal))
    if (assignment !== undefined) return assignment
  }
  throw new IpamError('ipam-busy', `could not give out ${request.ip}: its block came and went ${MAX_TRIES} times; try again`)
}

function poolFor(rules: Rules, { ip, use = 'Workload' }: AssignIpRequest): IPPool {
  const pool = poolOf(rules.pools, ip)
  if (pool === undefined) {
    const pools = rules.pools.filter(({ spec }) => familyOf(spec.cidr) === familyOf(ip)).map(describePool)
    const known = pools.length === 0 ? `there is no IPv${familyOf(ip)} pool` : `there are: ${pools.join(', ')}`
    throw new IpamError('ipam-not-in-pool', `no pool holds ${ip}; ${known}`)
  }
  if (isUsable(pool) && allowsUse(pool, use)) return pool
  const reason = isUsable(pool) ? `does not allow the use ${use}` : 'is disabled'
  throw new IpamError('ipam-not-in-pool', `${ip} can't be given out: ${describePool(pool)}, which holds it, ${reason}`)
}

/** Claims the block of an address that has none. Undefined: somebody was faster. */
async function claimFor(context: IpamContext, ip: Ip, pool: IPPool, signal: AbortSignal): Promise<Cidr | undefined> {
  const cidr = cidrOf(ip, blockSizeOf(pool))
  const other = overlapping(await surveyBlocks(context, familyOf(ip), signal), cidr)
  if (other !== undefined && other !== cidr) {
    const reason = `the pool's block of it, ${cidr}, overlaps block ${other}, which has another size`
    throw new IpamError('ipam-block-size', `${ip} can't be given out: ${reason}; release the addresses of ${other} first`)
  }
  return (await claimBlock(context, cidr, signal)) === 'claimed' ? cidr : undefined
}

/** Undefined: the block went away meanwhile. */
async function takeFrom(
  context: IpamContext,
  { config }: Rules,
  cidr: Cidr,
  { ip, handleId, attributes }: AssignIpRequest,
  signal: AbortSignal,
): Promise<Assignment | undefined> {
  const ordinal = ordinalOf(cidr, ip)
  const holder: Holder = { handleId, attributes: { ...attributes, node: context.node } }
  const outcome = await assignInBlock(
    context,
    cidr,
    {
      holder,
      affinity: config.strictAffinity ? hostAffinity(context.node) : undefined,
      cooldownSeconds: config.ipCooldownSeconds,
      pick(block) {
        const next = assignOrdinal(block, ordinal, holder)
        return next === undefined ? { block, ordinals: [] } : { block: next, ordinals: [ordinal] }
      },
    },
    signal,
  )
  if (outcome.kind === 'assigned') return outcome.assignments[0]
  if (outcome.kind === 'gone') return undefined
  return outcome.kind === 'full' ? alreadyHeld(outcome.block, ordinal, ip, holder) : refuseForeign(outcome.block, ip)
}

/** The same handle with other facts is another holder: on another node, its packets would go there. */
function alreadyHeld(block: Block, ordinal: number, ip: Ip, { handleId, attributes }: Holder): Assignment {
  const holder = holderOf(block, ordinal)
  if (holder === undefined) throw new IpamError('ipam-taken', `${ip} was released a short while ago and cools down (ipCooldownSeconds)`)
  if (holder.handleId !== handleId || !isHolder(holder.secondary ?? {}, attributes)) {
    const who = holder.handleId === undefined ? 'somebody without a handle' : `handle ${JSON.stringify(holder.handleId)}`
    const where = holder.secondary?.['node'] === undefined ? '' : ` on node ${JSON.stringify(holder.secondary['node'])}`
    throw new IpamError('ipam-taken', `${ip} is taken: ${who}${where} holds it`)
  }
  const sequenceNumber = block.sequenceNumberForAllocation.get(ordinal) ?? 0n
  return { ip, family: familyOf(ip), block: block.cidr, handleId, sequenceNumber }
}

function refuseForeign(block: Block, ip: Ip): never {
  const owner = block.affinity === undefined ? 'nobody' : JSON.stringify(block.affinity)
  const reason = `strict affinity allows only own blocks, and block ${block.cidr} belongs to ${owner}`
  throw new IpamError('ipam-strict-affinity', `${ip} can't be given out to this node: ${reason}`)
}
