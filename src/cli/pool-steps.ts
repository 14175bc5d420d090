import { setTimeout as delay } from 'node:timers/promises'
import { ConflictError, ValidationError } from '../errors.ts'
import { decodeBlock } from '../model/codec.ts'
import type { IPPool } from '../model/ip-pool.ts'
import type { Block } from '../model/ipam-block.ts'
import { BLOCKS_PREFIX } from '../model/keys.ts'
import { checkPoolBlocks, checkPoolOverlap } from '../model/pools.ts'
import { listResources, removeResource, updateResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import type { Session } from './session.ts'

/** So long hosts may take to see that a pool is disabled, as long as calicoctl waits. Milliseconds. */
const SETTLE_MS = 500

/**
 * Refuses a new pool that overlaps another or blocks of another size.
 *
 * @throws {ValidationError} naming the other pool or block
 */
export async function checkNewPool(store: Store, pool: IPPool, signal: AbortSignal): Promise<void> {
  const { resources: others } = await listResources(store, { kind: 'IPPool' }, signal)
  const issues = [...checkPoolOverlap(pool, others), ...checkPoolBlocks(pool, await readBlocks(store, signal))]
  if (issues.length === 0) return
  throw new ValidationError(issues.map(({ path, message }) => `${path}: ${message}`).join('; '), issues)
}

/**
 * Takes a pool back that was made at the same time as another that it overlaps: the one that etcd has first stays.
 *
 * @throws {ConflictError} naming the other pool
 */
export async function yieldToOlderPool(store: Store, pool: IPPool, signal: AbortSignal): Promise<void> {
  const born = Number(pool.metadata.resourceVersion)
  const { resources } = await listResources(store, { kind: 'IPPool' }, signal)
  const older = resources.filter((other) => Number(other.metadata.resourceVersion) < born)
  const [issue] = checkPoolOverlap(pool, older)
  if (issue === undefined) return
  await removeResource(store, { kind: 'IPPool', name: pool.metadata.name, revision: born }, signal)
  throw new ConflictError('conflict', `${issue.path}: ${issue.message}, which was made at the same time`)
}

async function readBlocks(store: Store, signal: AbortSignal): Promise<readonly Block[]> {
  const blocks: Block[] = []
  for await (const page of store.list(BLOCKS_PREFIX, {}, signal)) blocks.push(...page.entries.map(({ value }) => decodeBlock(value)))
  return blocks
}

/**
 * Takes a pool out of use before it is deleted: disables it, lets hosts see that, and gives back its blocks. Addresses that are held
 * stay with their workloads. Gives how many blocks still hold some.
 */
export async function emptyPool({ store, ipam }: Session, pool: IPPool, signal: AbortSignal): Promise<number> {
  if (pool.spec.disabled !== true) {
    await updateResource(store, { ...pool, spec: { ...pool.spec, disabled: true } }, signal)
    await delay(SETTLE_MS, undefined, { signal })
  }
  const releases = await ipam.releasePoolAffinities(pool.spec.cidr, signal)
  return [...releases.values()].filter((release) => release === 'orphaned').length
}
