import type { Block } from '../model/ipam-block.ts'
import { type Cidr, cidrOf, rangeOf } from '../net/cidr.ts'
import { type Family, familyOf, formatIp, type Ip } from '../net/ip.ts'

/** Where the addresses of one block are: with its owner, but for those that another host borrowed. */
export interface BlockRoutes {
  readonly cidr: Cidr
  readonly family: Family
  /** The node that has the block; undefined when nobody has it, or something that is not a node (`virtual:`). */
  readonly owner: string | undefined
  /** Addresses of the block that are on other nodes than its owner, in order. */
  readonly borrowed: ReadonlyMap<Ip, string>
}

/** Reads where a block's addresses are. The holder's attribute `node` says where an address is; the block says it for the rest. */
export function blockRoutes(block: Block): BlockRoutes {
  const family = familyOf(block.cidr)
  const owner = block.affinity?.startsWith('host:') ? block.affinity.slice('host:'.length) : undefined
  return { cidr: block.cidr, family, owner, borrowed: borrowedOf(block, family, owner) }
}

/** The block of this size in which an address lies. */
export function blockOf(ip: Ip, blockSize: number): Cidr {
  return cidrOf(ip, blockSize)
}

function borrowedOf(block: Block, family: Family, owner: string | undefined): ReadonlyMap<Ip, string> {
  const borrowers = block.attributes.map((attribute) => {
    const node = attribute.releasedAt === undefined ? attribute.secondary?.['node'] : undefined
    return node === owner || node === '' ? undefined : node
  })
  // Nearly every block: nothing is borrowed, and its addresses need not be looked at.
  if (borrowers.every((node) => node === undefined)) return NONE
  const { first } = rangeOf(block.cidr)
  const borrowed = new Map<Ip, string>()
  for (const [ordinal, index] of block.allocations.entries()) {
    const node = index === undefined ? undefined : borrowers[index]
    if (node !== undefined) borrowed.set(formatIp(family, first + BigInt(ordinal)), node)
  }
  return borrowed
}

const NONE: ReadonlyMap<Ip, string> = new Map()
