import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import { handleKey, IPAM_PREFIX } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'
import { countHeld, findFaults, never, putNode, putPool, putValue, readRecords } from './fixtures.ts'
import { addToHandle, takeFromHandle } from './handle.ts'
import { createIpam } from './ipam.ts'

const test = suite('ipam/release')

async function aNetwork() {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.65.0.0/26', { blockSize: 28 })
  await putNode(store, 'h1')
  await putNode(store, 'h2')
  const on = (node: string) => createIpam({ store, node, log: silentLogger })
  return { store, h1: on('h1'), h2: on('h2') }
}

const wants = (handleId: string, count = 1) => ({ handleId, attributes: {}, count })

test('an assignment releases exactly itself', async () => {
  const { store, h1 } = await aNetwork()
  const [first] = await h1.autoAssign(wants('a'), never)
  if (first === undefined) return assert.unreachable()
  assert.equal(await h1.releaseIps([first], never), { released: [first.ip], unallocated: [], refused: [] })
  assert.equal(await h1.releaseIps([first], never), { released: [], unallocated: [first.ip], refused: [] })
  await h1.assignIp({ ip: first.ip, handleId: 'a', attributes: {} }, never)
  const again = await h1.releaseIps([first], never)
  assert.equal(again.refused, [{ ip: first.ip, reason: 'it was given to another since' }])
  assert.equal(await findFaults(store), [])
})

test('what another handle holds is not released, and the rest is', async () => {
  const { h1 } = await aNetwork()
  const [a] = await h1.autoAssign(wants('a'), never)
  const [b] = await h1.autoAssign(wants('b'), never)
  const requests = [a, b].flatMap((one) => (one === undefined ? [] : [{ ip: one.ip, handleId: 'b' }]))
  const outcome = await h1.releaseIps([...requests, { ip: parseIp('192.0.2.1') }], never)
  assert.equal(outcome, { released: [b?.ip], unallocated: ['192.0.2.1'], refused: [{ ip: a?.ip, reason: 'handle "a" holds it' }] })
})

test('a handle is released with all its addresses, wherever they are, and nothing else', async () => {
  const { store, h1, h2 } = await aNetwork()
  await h1.autoAssign(wants('a', 40), never)
  await h2.autoAssign(wants('b', 3), never)
  assert.is((await h2.releaseByHandle('a', never)).length, 40)
  assert.equal(await h2.releaseByHandle('a', never), [])
  const records = await readRecords(store)
  assert.equal([countHeld(records), [...records.handles.keys()]], [3, ['b']])
  assert.equal(await findFaults(store), [])
})

test('two hosts with a workload of one name release each its own', async () => {
  const { store, h1, h2 } = await aNetwork()
  const holder = { handleId: 'margay.default.web', attributes: { namespace: 'default', workload: 'web' } }
  const mine = await h1.autoAssign({ ...holder, keepHeld: true }, never)
  const other = await h2.autoAssign({ ...holder, keepHeld: true, count: 2 }, never)
  assert.equal(
    await h1.releaseHolder(holder, { mayReturn: true }, never),
    mine.map(({ ip }) => ip),
  )
  assert.equal(await h1.releaseHolder(holder, { mayReturn: true }, never), [])
  assert.equal((await h2.heldBy(holder.handleId, never)).map(({ ip }) => ip).sort(), other.map(({ ip }) => ip).sort())
  assert.is((await h2.releaseHolder(holder, { mayReturn: true }, never)).length, 2)
  assert.is((await readRecords(store)).handles.size, 0)
})

test('a handle that counts what no block has (Calico was killed) goes all the same', async () => {
  const { store, h1 } = await aNetwork()
  const [held] = await h1.autoAssign(wants('a'), never)
  const count = { [held?.block ?? '']: 7, '10.65.0.48/28': 1 }
  await putValue(store, handleKey('a'), JSON.stringify({ block: count, deleted: false }))
  await putValue(store, handleKey('empty'), '{"block":{},"deleted":false}')
  assert.equal(await h1.releaseByHandle('a', never), [held?.ip])
  await h1.releaseByHandle('empty', never)
  assert.is((await readRecords(store)).handles.size, 0)
})

test('an address whose handle is gone can be released', async () => {
  const { store, h1 } = await aNetwork()
  const [held] = await h1.autoAssign(wants('a'), never)
  await store.commit([], [{ remove: handleKey('a') }], never)
  assert.equal((await h1.releaseIps([{ ip: held?.ip ?? parseIp('0.0.0.0') }], never)).released, [held?.ip])
})

test('more handles than a transaction holds are released in several', async () => {
  const { store, h1 } = await aNetwork()
  await putPool(store, 'a', '10.65.0.0/24', { blockSize: 24 })
  const held = await Promise.all(Array.from({ length: 150 }, (_, i) => h1.autoAssign(wants(`w${i}`), never)))
  assert.is((await h1.releaseIps(held.flat(), never)).released.length, 150)
  assert.is((await readRecords(store)).handles.size, 0)
  assert.equal(await findFaults(store), [])
})

test('a host that is removed leaves its blocks to the addresses in them, and these take the blocks along', async () => {
  const { store, h1, h2 } = await aNetwork()
  await h1.autoAssign(wants('a', 17), never)
  await putValue(store, `${IPAM_PREFIX}host/h1`, '')
  await h1.releaseIps([{ ip: (await h1.heldBy('a', never)).at(-1)?.ip ?? parseIp('0.0.0.0') }], never)
  const releases = await h2.removeHost('h1', never)
  assert.equal([...releases.values()].sort(), ['deleted', 'orphaned'])
  assert.is(await store.get(`${IPAM_PREFIX}host/h1`, never), undefined)
  const { affinities, blocks } = await readRecords(store)
  assert.equal([affinities, [...blocks.values()].map(({ affinity }) => affinity)], [[], [undefined]])
  await h2.releaseByHandle('a', never)
  assert.is((await readRecords(store)).blocks.size, 0)
})

test('blocks that must be empty stay with the host while they are not', async () => {
  const { h1, h2 } = await aNetwork()
  await h1.autoAssign(wants('a'), never)
  assert.equal([...(await h2.releaseHostAffinities('h1', { mustBeEmpty: true }, never)).values()], ['not-empty'])
})

test('all blocks of a pool are given back, also those that were only wished for', async () => {
  const { store, h1, h2 } = await aNetwork()
  await putPool(store, 'b', '10.66.0.0/26')
  await h1.autoAssign(wants('a'), never)
  await h2.autoAssign(wants('b'), never)
  await h2.releaseByHandle('b', never)
  await h2.autoAssign({ ...wants('c'), pools: ['b'] }, never)
  await putValue(store, `${IPAM_PREFIX}host/h9/ipv4/block/10.65.0.32-28`, '{"state":"pending","deleted":false}')
  await h1.releasePoolAffinities(parseCidr('10.65.0.0/26'), never)
  const { affinities, blocks } = await readRecords(store)
  assert.equal(
    affinities.map(({ cidr }) => cidr),
    ['10.66.0.0/26'],
  )
  assert.equal(
    [...blocks.values()].map(({ affinity }) => affinity),
    [undefined, 'host:h2'],
  )
})

test('a handle counts up and down, and goes with its last address', () => {
  const [x, y] = [parseCidr('10.65.0.0/28'), parseCidr('10.65.0.16/28')]
  const two = addToHandle(addToHandle(undefined, x, 1), y, 2)
  assert.equal(
    [...two.blocks],
    [
      [x, 1],
      [y, 2],
    ],
  )
  assert.equal(
    [...(takeFromHandle(two, y, 1)?.blocks ?? [])],
    [
      [x, 1],
      [y, 1],
    ],
  )
  assert.equal([...(takeFromHandle(two, y)?.blocks ?? [])], [[x, 1]])
  assert.is(takeFromHandle(addToHandle(undefined, x, 1), x, 5), undefined)
})

test.run()
