import { randomUUID } from 'node:crypto'
import { type Command, InvalidArgumentError } from 'commander'
import { ConflictError, ValidationError } from '../../errors.ts'
import { blockAt, blocksOf } from '../../ipam/ordinals.ts'
import { encodeResource } from '../../model/codec.ts'
import type { IPPool } from '../../model/ip-pool.ts'
import { resourceKey } from '../../model/keys.ts'
import { prepareCreate } from '../../model/prepare.ts'
import { type Cidr, lengthOf, parseCidr } from '../../net/cidr.ts'
import { listResources } from '../../store/resource-store.ts'
import type { Store } from '../../store/store.ts'
import { type Context, UsageError } from '../context.ts'
import { readClusterInformation } from '../datastore.ts'
import { addDryRunOption, addStoreOptions } from '../options.ts'
import { withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay datastore migrate lock
  margay ipam split 4 --cidr 10.65.0.0/16
  margay datastore migrate unlock

Workloads keep their addresses. The new pools are called split-NAME-0, split-NAME-1, ….`

/** All new pools must fit into one transaction of etcd, of 128 writes. */
const MOST_PARTS = 64

/** `margay ipam split N --cidr CIDR`: a pool is replaced by smaller ones, in one step. */
export function defineIpamSplit(command: Command, context: Context): void {
  command
    .description('replace a pool by smaller ones')
    .argument('<number>', `into how many: 2, 4, 8, … up to ${MOST_PARTS}`, parseParts)
    .option('--cidr <cidr>', 'the pool with this prefix')
    .option('--name <name>', 'the pool of this name')
  addStoreOptions(addDryRunOption(command))
    .addHelpText('after', EXAMPLES)
    .action(async (parts: number) => {
      const { cidr, name } = command.opts<{ cidr?: string; name?: string }>()
      if ((cidr === undefined) === (name === undefined)) throw new UsageError('give exactly one of --cidr and --name')
      const wanted = cidr === undefined ? undefined : parseCidr(cidr)
      await withSession(command, context, async ({ store }) => {
        await requireLock(store, context)
        const pool = await findPool(store, { wanted, name }, context.signal)
        const pools = await split(store, pool, parts, context)
        context.out(`IP pool ${pool.metadata.name} was successfully split into ${parts} smaller pools.\n`)
        for (const { metadata, spec } of pools) context.out(`Created ${metadata.name} with CIDR ${spec.cidr}.\n`)
      })
    })
}

function parseParts(text: string): number {
  const parts = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN
  if (parts >= 2 && parts <= MOST_PARTS && Number.isInteger(Math.log2(parts))) return parts
  throw new InvalidArgumentError(`Give a power of two from 2 to ${MOST_PARTS}.`)
}

/** Who claims a block of the old pool at the same time would have a block of no pool's size. */
async function requireLock(store: Store, { program, signal }: Context): Promise<void> {
  const cluster = await readClusterInformation(store, signal)
  if (cluster.spec.datastoreReady === false) return
  throw new ConflictError('conflict', `the datastore is not locked: "${program} datastore migrate lock" first, and unlock it afterwards`)
}

async function findPool(
  store: Store,
  { wanted, name }: { readonly wanted: Cidr | undefined; readonly name: string | undefined },
  signal: AbortSignal,
): Promise<IPPool> {
  const { resources } = await listResources(store, { kind: 'IPPool' }, signal)
  const found = resources.find(({ metadata, spec }) => (name === undefined ? spec.cidr === wanted : metadata.name === name))
  if (found !== undefined) return found
  const known = resources.map(({ metadata, spec }) => `${metadata.name} (${spec.cidr})`).join(', ') || 'there is none'
  throw new ConflictError('not-found', `there is no pool ${name === undefined ? wanted : JSON.stringify(name)}; pools are: ${known}`)
}

async function split(store: Store, pool: IPPool, parts: number, { now, signal }: Context): Promise<readonly IPPool[]> {
  const { metadata, spec } = pool
  const length = lengthOf(spec.cidr) + Math.log2(parts)
  if (length > (spec.blockSize ?? 0)) {
    throw new ValidationError(`${spec.cidr} can't be split into ${parts}: each part must hold at least one block (/${spec.blockSize})`)
  }
  const { uid: _, resourceVersion, creationTimestamp: __, ...rest } = metadata
  const grid = blocksOf(spec.cidr, length)
  const cidrs = Array.from({ length: parts }, (_, index) => blockAt(grid, BigInt(index)))
  const pools = cidrs.map((cidr, index) =>
    prepareCreate(
      { ...pool, metadata: { ...rest, name: `split-${metadata.name.slice(0, 240)}-${index}` }, spec: { ...spec, cidr } },
      now(),
      randomUUID(),
    ),
  )
  const old = resourceKey('IPPool', metadata.name)
  const puts = pools.map((each) => ({ put: resourceKey('IPPool', each.metadata.name), value: encodeResource(each) }))
  const compares = [{ key: old, modRevision: Number(resourceVersion) }, ...puts.map(({ put }) => ({ key: put, modRevision: 0 }))]
  const result = await store.commit(compares, [...puts, { remove: old }], signal)
  if (result.isDone) return pools
  throw new ConflictError('conflict', `pool ${JSON.stringify(metadata.name)} was changed meanwhile, or one of its parts is there already`)
}
