import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { AffinityState } from '../model/ipam-affinity.ts'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { affinityKey, blockKey } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { MemoryStore } from '../store/memory.ts'
import { claimBlock, releaseAffinity, takeOverBlock } from './affinity.ts'
import { assignAutomatic, newBlock } from './block.ts'
import type { IpamContext } from './context.ts'
import { aContext, findFaults, never, putValue, readRecords } from './fixtures.ts'
import { blocks } from './records.ts'

const test = suite('ipam/affinity')

const cidr = parseCidr('10.65.0.0/29')
const now = new Date('2026-11-21T09:00:00Z')

interface Before {
  /** The affinity of h1 as it is stored. */
  readonly affinity?: AffinityState | 'legacy'
  /** The block's owner; `null`: there is a block without one. */
  readonly block?: string | null
  readonly isUsed?: boolean
}

/** A store in which somebody (Calico, killed half way) left this. */
async function aStore({ affinity, block, isUsed }: Before): Promise<IpamContext> {
  const store = new MemoryStore()
  if (affinity !== undefined)
    await putValue(store, affinityKey('h1', cidr), affinity === 'legacy' ? '' : `{"state":"${affinity}","deleted":false}`)
  if (block !== undefined) {
    const claimed = { ...newBlock(cidr, 'host:h1', now), affinity: block ?? undefined }
    const used = assignAutomatic(claimed, 1, { handleId: 'w', attributes: { node: 'h1' } }).block
    await putValue(store, blockKey(cidr), encodeBlock(isUsed === true ? used : claimed))
    if (isUsed === true) await putValue(store, '/calico/ipam/v2/handle/w', `{"block":{"${cidr}":1},"deleted":false}`)
  }
  return aContext(store, 'h1', () => now)
}

/** What is left: the affinities, and whose the block is. */
async function show({ store }: IpamContext): Promise<string> {
  const records = await readRecords(store)
  const block = records.blocks.get(cidr)
  const affinities = records.affinities.map(({ host, state }) => `${host} ${state}`)
  return [...affinities, block === undefined ? 'no block' : (block.affinity ?? 'nobody')].join(', ')
}

const claims: readonly (Before & { want: string; left: string })[] = [
  { want: 'claimed', left: 'h1 confirmed, host:h1' },
  { affinity: 'pending', want: 'claimed', left: 'h1 confirmed, host:h1' },
  { affinity: 'pending', block: 'host:h1', want: 'claimed', left: 'h1 confirmed, host:h1' },
  { affinity: 'pendingDeletion', want: 'claimed', left: 'h1 confirmed, host:h1' },
  { affinity: 'pendingDeletion', block: 'host:h1', isUsed: true, want: 'claimed', left: 'h1 confirmed, host:h1' },
  { affinity: 'confirmed', want: 'claimed', left: 'h1 confirmed, host:h1' },
  { affinity: 'legacy', block: 'host:h1', want: 'claimed', left: 'h1 confirmed, host:h1' },
  { block: 'host:h1', want: 'claimed', left: 'h1 confirmed, host:h1' },
  { block: 'host:h2', want: 'taken', left: 'host:h2' },
  { affinity: 'confirmed', block: 'host:h2', want: 'taken', left: 'host:h2' },
  { affinity: 'pending', block: 'host:h2', want: 'taken', left: 'host:h2' },
  { affinity: 'pending', block: null, want: 'taken', left: 'nobody' },
  { block: null, want: 'taken', left: 'nobody' },
]
for (const { want, left, ...before } of claims) {
  test(`a claim with ${JSON.stringify(before)} is ${want}: ${left}`, async () => {
    const context = await aStore(before)
    assert.is(await claimBlock(context, cidr, never), want)
    assert.is(await show(context), left)
    assert.is(await claimBlock(context, cidr, never), want, 'again')
  })
}

const releases: readonly (Before & { mustBeEmpty?: boolean; want: string; left: string })[] = [
  { affinity: 'confirmed', block: 'host:h1', want: 'deleted', left: 'no block' },
  { affinity: 'pendingDeletion', block: 'host:h1', mustBeEmpty: true, want: 'deleted', left: 'no block' },
  { affinity: 'confirmed', block: 'host:h1', isUsed: true, want: 'orphaned', left: 'nobody' },
  { affinity: 'confirmed', block: 'host:h1', isUsed: true, mustBeEmpty: true, want: 'not-empty', left: 'h1 confirmed, host:h1' },
  { block: 'host:h1', want: 'deleted', left: 'no block' },
  { affinity: 'pending', want: 'not-owner', left: 'no block' },
  { affinity: 'pendingDeletion', block: 'host:h2', want: 'not-owner', left: 'host:h2' },
  { affinity: 'pendingDeletion', block: null, isUsed: true, want: 'not-owner', left: 'nobody' },
  { want: 'not-owner', left: 'no block' },
]
for (const { mustBeEmpty = false, want, left, ...before } of releases) {
  test(`a release with ${JSON.stringify({ ...before, mustBeEmpty })} is ${want}: ${left}`, async () => {
    const context = await aStore(before)
    assert.is(await releaseAffinity(context, 'h1', cidr, { mustBeEmpty, cooldownSeconds: 0 }, never), want)
    assert.is(await show(context), left)
    assert.equal(await findFaults(context.store), [])
  })
}

test('an empty block is taken over only as it was seen', async () => {
  const context = { ...(await aStore({ affinity: 'confirmed', block: 'host:h1' })), node: 'h2' }
  const seen = await blocks.read(context.store, [cidr], never)
  await putValue(context.store, blockKey(cidr), encodeBlock(newBlock(cidr, 'host:h1', now)))
  assert.is(await takeOverBlock(context, cidr, seen, never), 'taken')
  assert.is(await show(context), 'h1 confirmed, host:h1')
  assert.is(await takeOverBlock(context, cidr, await blocks.read(context.store, [cidr], never), never), 'claimed')
  assert.is(await show(context), 'h2 confirmed, host:h2')
})

test('two hosts that claim one block at once: one gets it', async () => {
  const context = await aStore({})
  const claimed = await Promise.all(['h1', 'h2', 'h3'].map((node) => claimBlock({ ...context, node }, cidr, never)))
  assert.equal([...claimed].sort(), ['claimed', 'taken', 'taken'])
  assert.equal(await findFaults(context.store), [])
})

test.run()
