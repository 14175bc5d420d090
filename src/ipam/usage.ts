import type { IPPool } from '../model/ip-pool.ts'
import type { Block } from '../model/ipam-block.ts'
import type { IpamConfig } from '../model/ipam-config.ts'
import { type Cidr, rangeOf } from '../net/cidr.ts'
import { FAMILIES, type Family, type Ip } from '../net/ip.ts'
import { countBlock, holderOf } from './block.ts'
import { type IpamContext, ownerOf } from './context.ts'
import { addressAt } from './ordinals.ts'
import { poolOf } from './pools.ts'
import type { RangeSet } from './reservations.ts'
import { readConfig, readPools, readReservations } from './rules.ts'
import { decodeBlocks, surveyBlocks } from './survey.ts'

/** How much of a block is used. */
export interface BlockUsage {
  readonly cidr: Cidr
  /** The host whose block it is; undefined: nobody's, or not a host's. */
  readonly owner: string | undefined
  readonly total: number
  readonly used: number
  readonly cooling: number
  readonly free: number
}

/** How much of a pool is used; used, cooling, reserved and free add up to the total. */
export interface PoolUsage {
  readonly name: string
  readonly cidr: Cidr
  readonly total: bigint
  readonly used: bigint
  /** Released, but not to be given out yet. */
  readonly cooling: bigint
  /** Held back by an IPReservation, and not in use. */
  readonly reserved: bigint
  readonly free: bigint
  readonly blocks: readonly BlockUsage[]
}

/** An address that a host has from another's block. */
export interface BorrowedAddress {
  readonly ip: Ip
  readonly node: string
  readonly block: Cidr
  readonly owner: string | undefined
  readonly handleId: string | undefined
  readonly attributes: Readonly<Record<string, string>>
}

/** What is used of everything. */
export interface Usage {
  readonly config: IpamConfig
  /** By name. */
  readonly pools: readonly PoolUsage[]
  /** Blocks that lie in no pool: their pool was deleted while addresses were held. */
  readonly orphans: readonly BlockUsage[]
  readonly borrowed: readonly BorrowedAddress[]
}

/** Counts what is used, of every pool and block. Reads every block, so it is nothing to do often. */
export async function readUsage(context: IpamContext, signal: AbortSignal): Promise<Usage> {
  const [config, pools, reserved] = await Promise.all([
    readConfig(context, signal),
    readPools(context, signal),
    readReservations(context, signal),
  ])
  const byPool = new Map<IPPool | undefined, BlockUsage[]>()
  const reservedUse = new Map<IPPool | undefined, number>()
  const borrowed: BorrowedAddress[] = []
  for (const family of FAMILIES) {
    const survey = await surveyBlocks(context, family, signal)
    for await (const { cidr, block } of decodeBlocks(context, survey, survey.entries.keys())) {
      const pool = poolOf(pools, cidr)
      listOf(byPool, pool).push(describeBlock(block))
      reservedUse.set(pool, (reservedUse.get(pool) ?? 0) + countReservedUse(block, family, reserved))
      borrowed.push(...borrowedOf(block))
    }
  }
  const described = pools.map((pool) => describePool(pool, byPool.get(pool) ?? [], reserved, BigInt(reservedUse.get(pool) ?? 0)))
  return { config, pools: described, orphans: byPool.get(undefined) ?? [], borrowed }
}

/** The list under a key, made where there is none. */
function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}

function describeBlock(block: Block): BlockUsage {
  return { cidr: block.cidr, owner: ownerOf(block.affinity), total: block.allocations.length, ...countBlock(block) }
}

/** What is allocated in a reserved range counts as allocated, not as reserved. */
function describePool(pool: IPPool, blocks: readonly BlockUsage[], reservations: RangeSet, reservedUse: bigint): PoolUsage {
  const { family, first, last } = rangeOf(pool.spec.cidr)
  const total = last - first + 1n
  const used = BigInt(blocks.reduce((sum, block) => sum + block.used, 0))
  const cooling = BigInt(blocks.reduce((sum, block) => sum + block.cooling, 0))
  const reserved = reservations.countWithin(family, first, last) - reservedUse
  return { name: pool.metadata.name, cidr: pool.spec.cidr, total, used, cooling, reserved, free: total - used - cooling - reserved, blocks }
}

function countReservedUse(block: Block, family: Family, reserved: RangeSet): number {
  const { first, last } = rangeOf(block.cidr)
  if (reserved.countWithin(family, first, last) === 0n) return 0
  const isCounted = (index: number | undefined, ordinal: number) => index !== undefined && reserved.has(family, first + BigInt(ordinal))
  return block.allocations.filter(isCounted).length
}

function borrowedOf(block: Block): readonly BorrowedAddress[] {
  const owner = ownerOf(block.affinity)
  return [...block.allocations.keys()].flatMap((ordinal) => {
    const holder = holderOf(block, ordinal)
    const node = holder?.secondary?.['node']
    if (node === undefined || node === owner) return []
    const attributes = holder?.secondary ?? {}
    return [{ ip: addressAt(block.cidr, ordinal), node, block: block.cidr, owner, handleId: holder?.handleId, attributes }]
  })
}
