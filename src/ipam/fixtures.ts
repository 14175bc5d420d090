import type { IpamError } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { encodeResource } from '../model/codec.ts'
import type { IPPool, IPPoolSpec } from '../model/ip-pool.ts'
import type { Block } from '../model/ipam-block.ts'
import { decodeBlock } from '../model/ipam-block-codec.ts'
import type { IpamConfig } from '../model/ipam-config.ts'
import { DEFAULT_IPAM_CONFIG } from '../model/ipam-config.ts'
import type { IpamHandle } from '../model/ipam-handle.ts'
import { decodeAffinity, decodeHandle, encodeIpamConfig } from '../model/ipam-record-codec.ts'
import { BLOCKS_PREFIX, blockKey, HANDLES_PREFIX, IPAM_CONFIG_KEY, IPAM_PREFIX, parseAffinityKey, resourceKey } from '../model/keys.ts'
import { API_VERSION } from '../model/resource.ts'
import { workloadEndpointName } from '../model/workload-endpoint-name.ts'
import { type Cidr, cidrsOverlap, parseCidr, parseInterfaceAddress } from '../net/cidr.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Entry, Store } from '../store/store.ts'
import { checkBlock, holderOf } from './block.ts'
import { type IpamContext, ownerOf } from './context.ts'
import { createIpam } from './ipam.ts'

/** A signal that is never aborted. */
export const never = new AbortController().signal

/** Writes a value whatever is there. */
export async function putValue(store: Store, key: string, value: string): Promise<void> {
  await store.commit([], [{ put: key, value }], never)
}

/** Writes a pool with Calico's defaults for what is not given. */
export async function putPool(store: Store, name: string, cidr: string, spec: Partial<IPPoolSpec> = {}): Promise<void> {
  await putValue(store, resourceKey('IPPool', name), encodeResource(aPool(name, cidr, spec)))
}

/** A pool with Calico's defaults for what is not given. */
export function aPool(name: string, cidr: string, spec: Partial<IPPoolSpec> = {}): IPPool {
  return { apiVersion: API_VERSION, kind: 'IPPool', metadata: { name }, spec: { cidr: parseCidr(cidr), nodeSelector: 'all()', ...spec } }
}

/** Writes a Node with these labels. */
export async function putNode(store: Store, name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
  await putValue(
    store,
    resourceKey('Node', name),
    encodeResource({ apiVersion: API_VERSION, kind: 'Node', metadata: { name, labels }, spec: {} }),
  )
}

/** Writes the endpoint of a workload that margay attached, with these addresses. */
export async function putEndpoint(store: Store, node: string, workload: string, ips: readonly string[]): Promise<void> {
  const name = workloadEndpointName({ node, orchestrator: 'margay', workload, endpoint: 'eth0' })
  const spec = {
    ...{ orchestrator: 'margay', workload, node, endpoint: 'eth0', interfaceName: 'mgy0' },
    ipNetworks: ips.map((ip) => parseInterfaceAddress(ip)),
  }
  const endpoint = { apiVersion: API_VERSION, kind: 'WorkloadEndpoint', metadata: { name, namespace: 'default' }, spec } as const
  await putValue(store, resourceKey('WorkloadEndpoint', name, 'default'), encodeResource(endpoint))
}

/** Writes what allocation obeys. */
export async function putConfig(store: Store, config: Partial<IpamConfig>): Promise<void> {
  await putValue(store, IPAM_CONFIG_KEY, encodeIpamConfig({ ...DEFAULT_IPAM_CONFIG, ...config }))
}

/** Pools by name: a prefix, or that and what else the spec has. */
export type Pools = Readonly<Record<string, string | readonly [cidr: string, spec: Partial<IPPoolSpec>]>>

/** What the steps of address management work with on a host, for those that are tried one by one. */
export function aContext(store: Store, node: string, now: () => Date): IpamContext {
  return { store, node, log: silentLogger, now, stickySeconds: () => 0, counters: { commits: 0, conflicts: 0 }, lastBlock: new Map() }
}

/** A store with these pools and hosts h1 to h3, and address management for each host. Its clock can be moved. */
export async function aNetwork(pools: Pools) {
  const store = new MemoryStore()
  const clock = { now: new Date('2026-11-21T09:00:00Z') }
  for (const [name, pool] of Object.entries(pools))
    await (typeof pool === 'string' ? putPool(store, name, pool) : putPool(store, name, ...pool))
  await putNode(store, 'h1', { zone: 'a' })
  await putNode(store, 'h2', { zone: 'b' })
  await putNode(store, 'h3')
  const on = (node: string) => createIpam({ store, node, log: silentLogger, now: () => clock.now })
  return { store, clock, on, h1: on('h1'), h2: on('h2') }
}

/** The code and the words with which something was refused. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'it was not refused',
    (error: IpamError) => `${error.code}: ${error.message}`,
  )
}

/** Everything that address management has written. */
export interface Records {
  readonly blocks: ReadonlyMap<Cidr, Block>
  readonly handles: ReadonlyMap<string, IpamHandle>
  readonly affinities: readonly { readonly host: string; readonly cidr: Cidr; readonly state: string }[]
}

/** Reads it all. */
export async function readRecords(store: Store): Promise<Records> {
  const entries: Entry[] = []
  for await (const page of store.list(IPAM_PREFIX, {}, never)) entries.push(...page.entries)
  const blocks = entries.filter(({ key }) => key.startsWith(BLOCKS_PREFIX)).map(({ value }) => decodeBlock(value))
  const handles = entries.filter(({ key }) => key.startsWith(HANDLES_PREFIX))
  return {
    blocks: new Map(blocks.map((block) => [block.cidr, block])),
    handles: new Map(handles.map(({ key, value }) => [key.slice(HANDLES_PREFIX.length), decodeHandle(value)])),
    affinities: entries.flatMap(({ key, value }) => {
      const parsed = parseAffinityKey(key)
      return parsed === undefined ? [] : [{ ...parsed, state: decodeAffinity(value).state }]
    }),
  }
}

/**
 * What is wrong with the records; empty when every block is sound, none overlaps another, and every address that is held
 * is counted by its handle, through which it can be released.
 */
export async function findFaults(store: Store, now: Date = new Date()): Promise<readonly string[]> {
  const { blocks, handles, affinities } = await readRecords(store)
  const faults: string[] = []
  for (const [cidr, block] of blocks) {
    if ((await store.get(blockKey(cidr), never)) === undefined) faults.push(`${cidr} stands under another key`)
    faults.push(...checkBlock(block, now).map((problem) => `${cidr}: ${problem}`))
    faults.push(
      ...[...blocks.keys()].filter((other) => other < cidr && cidrsOverlap(other, cidr)).map((other) => `${cidr} overlaps ${other}`),
    )
    for (const [handleId, count] of countHolders(block)) {
      const counted = handles.get(handleId)?.blocks.get(cidr) ?? 0
      if (counted !== count) faults.push(`handle ${handleId} counts ${counted} of ${cidr}, it has ${count}`)
    }
  }
  for (const [handleId, handle] of handles) {
    for (const cidr of handle.blocks.keys()) {
      const block = blocks.get(cidr)
      if (block === undefined || !countHolders(block).has(handleId)) faults.push(`handle ${handleId} has nothing of ${cidr}`)
    }
  }
  for (const { host, cidr, state } of affinities) {
    const owner = ownerOf(blocks.get(cidr)?.affinity)
    if (state !== 'confirmed' || owner !== host) faults.push(`affinity of ${host} to ${cidr} is ${state}, the block is ${owner}'s`)
  }
  return faults
}

/** How many addresses are held, over all blocks. */
export function countHeld({ blocks }: Records): number {
  return [...blocks.values()].reduce((sum, block) => sum + [...countHolders(block).values()].reduce((a, b) => a + b, 0), 0)
}

function countHolders(block: Block): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const ordinal of block.allocations.keys()) {
    const holder = holderOf(block, ordinal)
    if (holder !== undefined) counts.set(holder.handleId ?? '(none)', (counts.get(holder.handleId ?? '(none)') ?? 0) + 1)
  }
  return counts
}
