import type { Issue } from '../errors.ts'
import { cidrsOverlap, ipOf } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { blockSizeOf, type IPPool } from './ip-pool.ts'
import type { Block } from './ipam-block.ts'
import type { Node } from './node.ts'

/** What is wrong with a pool beside the other pools (itself left out by its name). */
export function checkPoolOverlap(pool: IPPool, others: Iterable<IPPool>): readonly Issue[] {
  const issues: Issue[] = []
  for (const other of others) {
    if (other.metadata.name === pool.metadata.name || !cidrsOverlap(pool.spec.cidr, other.spec.cidr)) continue
    issues.push({
      path: 'spec.cidr',
      message: `${pool.spec.cidr} overlaps ${other.spec.cidr} of the pool ${JSON.stringify(other.metadata.name)}`,
    })
  }
  return issues
}

/** What is wrong with a new pool beside blocks that are there already: they must be of its size. */
export function checkPoolBlocks(pool: IPPool, blocks: Iterable<Block>): readonly Issue[] {
  const size = blockSizeOf(pool)
  for (const { cidr } of blocks) {
    if (!cidrsOverlap(pool.spec.cidr, cidr) || cidr.endsWith(`/${size}`)) continue
    return [{ path: 'spec.blockSize', message: `${size} differs from the block ${cidr}, which is there already` }]
  }
  return []
}

/** What may not change in a pool, because blocks were made by it. */
export function checkImmutable(stored: IPPool, given: IPPool): readonly Issue[] {
  const issues: Issue[] = []
  if (stored.spec.cidr !== given.spec.cidr) {
    issues.push({ path: 'spec.cidr', message: `can't change from ${stored.spec.cidr} to ${given.spec.cidr}: create another pool` })
  }
  if (blockSizeOf(stored) !== blockSizeOf(given)) {
    issues.push({
      path: 'spec.blockSize',
      message: `can't change from ${blockSizeOf(stored)} to ${blockSizeOf(given)}: create another pool`,
    })
  }
  const isForServices = stored.spec.allowedUses?.includes('LoadBalancer') === true
  if (isForServices && given.spec.allowedUses?.includes('LoadBalancer') !== true) {
    issues.push({ path: 'spec.allowedUses', message: `can't change from LoadBalancer to ${(given.spec.allowedUses ?? []).join(', ')}` })
  }
  return issues
}

/** The underlay addresses of a node. */
export function underlayAddresses(node: Node): readonly Ip[] {
  const { ipv4Address, ipv6Address } = node.spec.bgp ?? {}
  return [ipv4Address, ipv6Address].flatMap((address) => (address === undefined ? [] : [ipOf(address)]))
}

/** The other nodes that claim one of a node's underlay addresses, with the address. */
export function findDuplicateAddresses(node: Node, others: Iterable<Node>): readonly { readonly node: string; readonly address: Ip }[] {
  const own = new Set(underlayAddresses(node))
  const found: { node: string; address: Ip }[] = []
  for (const other of others) {
    if (other.metadata.name === node.metadata.name) continue
    for (const address of underlayAddresses(other)) if (own.has(address)) found.push({ node: other.metadata.name, address })
  }
  return found
}
