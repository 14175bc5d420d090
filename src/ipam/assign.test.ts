import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ValidationError } from '../errors.ts'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { affinityKey, blockKey, resourcePrefix } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { newBlock } from './block.ts'
import { aNetwork, countHeld, findFaults, never, type Pools, putConfig, putPool, putValue, readRecords, refusal } from './fixtures.ts'
import { blockAt, blocksOf, startOf } from './ordinals.ts'
import type { AssignRequest } from './run.ts'

const test = suite('ipam/assign')

const wants = (handleId = 'margay.default.w1', more: Partial<AssignRequest> = {}): AssignRequest => ({ handleId, attributes: {}, ...more })

test('a host gets one address of each family that has a pool, from a block it then owns', async () => {
  const { store, h1 } = await aNetwork({ v4: '10.65.0.0/16', v6: 'fd00:65::/48' })
  const assigned = await h1.autoAssign(wants(), never)
  const start4 = blocksOf(parseCidr('10.65.0.0/16'), 26)
  assert.equal(
    assigned.map(({ family, block }) => [family, block]),
    [
      [4, blockAt(start4, startOf(start4, 'h1 10.65.0.0/16'))],
      [6, assigned[1]?.block],
    ],
  )
  const { affinities, handles } = await readRecords(store)
  assert.equal(
    affinities.map(({ host, state }) => [host, state]),
    [
      ['h1', 'confirmed'],
      ['h1', 'confirmed'],
    ],
  )
  assert.equal([...(handles.get('margay.default.w1')?.blocks.values() ?? [])], [1, 1])
  assert.equal(await findFaults(store), [])
})

test('the next address comes from the same block, whoever of the host asks', async () => {
  const { on, h1, store } = await aNetwork({ v4: '10.65.0.0/16' })
  const first = await h1.autoAssign(wants('a'), never)
  const second = await on('h1').autoAssign(wants('b'), never)
  assert.is(second[0]?.block, first[0]?.block)
  assert.not.equal(second[0]?.ip, first[0]?.ip)
  assert.is((await readRecords(store)).blocks.size, 1)
})

test('a request over several blocks gets all its addresses', async () => {
  const { store, h1 } = await aNetwork({ v4: '10.65.0.0/16' })
  const assigned = await h1.autoAssign(wants('many', { count: 150 }), never)
  assert.is(new Set(assigned.map(({ ip }) => ip)).size, 150)
  assert.is((await readRecords(store)).blocks.size, 3)
  assert.equal(await findFaults(store), [])
})

test('the facts of the holder stand in the block, with the node', async () => {
  const { h1 } = await aNetwork({ v4: '10.65.0.0/16' })
  const [assigned] = await h1.autoAssign(wants('a', { attributes: { namespace: 'default', workload: 'w1' } }), never)
  const use = await h1.lookUp(assigned?.ip ?? parseIp('0.0.0.0'), never)
  assert.equal(
    [use.state, use.handleId, use.owner, use.attributes],
    ['used', 'a', 'h1', { namespace: 'default', workload: 'w1', node: 'h1' }],
  )
})

test('a pool that is added later gives the next address when the first is full', async () => {
  const { store, h1 } = await aNetwork({ v4: ['10.65.0.0/30', { blockSize: 30 }] })
  await h1.autoAssign(wants('a', { count: 4 }), never)
  assert.match(await refusal(h1.autoAssign(wants('b'), never)), 'ipam-full')
  await putPool(store, 'later', '10.66.0.0/24')
  assert.match((await h1.autoAssign(wants('b'), never))[0]?.ip ?? '', /^10\.66\.0\./)
})

test('pools are used in the order of their names, and only where they select the host', async () => {
  const { h1, h2, on } = await aNetwork({
    b: ['10.66.0.0/24', { nodeSelector: "zone == 'a'" }],
    a: ['10.65.0.0/24', { nodeSelector: "zone == 'b'" }],
    c: '10.67.0.0/24',
  })
  const prefixes = [h1, h2, on('h3')].map(async (ipam) => (await ipam.autoAssign(wants(), never))[0]?.ip.split('.')[1])
  assert.equal(await Promise.all(prefixes), ['66', '65', '67'])
})

test('a pool that is named is used although it does not select the host or is manual; others are not', async () => {
  const { h1 } = await aNetwork({
    a: '10.65.0.0/24',
    b: ['10.66.0.0/24', { nodeSelector: "zone == 'x'", assignmentMode: 'Manual' }],
    six: 'fd00:65::/64',
  })
  assert.equal(
    (await h1.autoAssign(wants('n', { pools: ['b'] }), never)).map(({ ip }) => ip.split('.')[1]),
    ['66'],
  )
  assert.equal(
    (await h1.autoAssign(wants('c', { pools: ['10.66.0.0/24', 'six'] }), never)).map(({ family }) => family),
    [4, 6],
  )
})

const refusals: readonly { name: string; pools: Pools; request?: Partial<AssignRequest>; want: string }[] = [
  {
    name: 'without pools',
    pools: {},
    want: 'ipam-no-pool: no pool gives node "h1" an IPv4 address for a workload: there is no IPv4 pool, and no pool gives',
  },
  {
    name: 'when no pool fits',
    pools: {
      a: ['10.65.0.0/24', { nodeSelector: "zone == 'x'" }],
      b: ['10.66.0.0/24', { disabled: true }],
      c: ['10.67.0.0/24', { allowedUses: ['Tunnel'] }],
      d: ['10.68.0.0/24', { assignmentMode: 'Manual' }],
    },
    request: { families: [4] },
    want:
      'ipam-no-pool: no pool gives node "h1" an IPv4 address for a workload: ' +
      'pool "a" (10.65.0.0/24) does not select the node: nodeSelector "zone == \'x\'"; pool "b" (10.66.0.0/24) is disabled; ' +
      'pool "c" (10.67.0.0/24) does not allow the use Workload; pool "d" (10.68.0.0/24) has the assignmentMode Manual: it has to be named',
  },
  {
    name: 'of an unknown pool',
    pools: { a: '10.65.0.0/24' },
    request: { pools: ['b'] },
    want: 'ipam-unknown-pool: there is no pool "b"; there are: a',
  },
  {
    name: 'of a named pool that is disabled',
    pools: { a: ['10.65.0.0/24', { disabled: true }] },
    request: { pools: ['a'] },
    want: 'pool "a" (10.65.0.0/24) is disabled',
  },
  {
    name: 'of a pool smaller than its blocks',
    pools: { a: '10.65.0.0/28' },
    want: 'ipam-full: no IPv4 address for node "h1", the pool is full: pool "a" (10.65.0.0/28) has 0 of 16',
  },
]
for (const { name, pools, request, want } of refusals) {
  test(`a request ${name} says why it is refused`, async () => {
    const { store, h1 } = await aNetwork(pools)
    const text = await refusal(h1.autoAssign(wants('x', request), never))
    assert.ok(text.includes(want), text)
    assert.is((await readRecords(store)).handles.size, 0)
  })
}

test('a host without a Node gets nothing', async () => {
  const { on } = await aNetwork({ a: '10.65.0.0/24' })
  assert.is(await refusal(on('h9').autoAssign(wants(), never)), 'ipam-no-node: there is no Node "h9" in the store')
})

test('a request that can be met only in part leaves nothing behind', async () => {
  const { store, h1 } = await aNetwork({ a: ['10.65.0.0/30', { blockSize: 30 }], six: ['fd00:65::/127', { blockSize: 127 }] })
  await h1.autoAssign(wants('a', { families: [6], count: 2 }), never)
  assert.match(await refusal(h1.autoAssign(wants('b'), never)), 'no IPv6 address')
  assert.match(await refusal(h1.autoAssign(wants('b', { families: [4], count: 5 }), never)), 'has 4 of 4 addresses in use')
  assert.equal([...(await readRecords(store)).handles.keys()], ['a'])
  assert.equal(await findFaults(store), [])
})

for (const { pool, size, total } of [
  { pool: '10.65.0.0/29', size: 32, total: 8 },
  { pool: '10.64.0.0/19', size: 20, total: 8192 },
  { pool: 'fd00:65::/125', size: 128, total: 8 },
]) {
  test(`a pool ${pool} of /${size} blocks gives ${total} addresses, then refuses, and after one release gives that one`, async () => {
    const { h1, store } = await aNetwork({ a: [pool, { blockSize: size }] })
    const all = await h1.autoAssign(wants('all', { count: total }), never)
    assert.is(new Set(all.map(({ ip }) => ip)).size, total)
    assert.match(
      await refusal(h1.autoAssign(wants('one'), never)),
      `ipam-full: no IPv${all[0]?.family} address for node "h1", the pool is full: pool "a" (${pool}) has ${total} of ${total} addresses in use`,
    )
    const [given] = all.slice(-1)
    await h1.releaseIps(given === undefined ? [] : [given], never)
    assert.is((await h1.autoAssign(wants('one'), never))[0]?.ip, given?.ip)
    assert.equal(await findFaults(store), [])
  })
}

test('released addresses come back last', async () => {
  const { h1 } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 29 }] })
  const ips: (string | undefined)[] = []
  for (let i = 0; i < 9; i++) {
    ips.push((await h1.autoAssign(wants('w'), never))[0]?.ip)
    await h1.releaseByHandle('w', never)
  }
  assert.is(new Set(ips.slice(0, 8)).size, 8)
  assert.is(ips[8], ips[0])
})

test('reserved addresses are not given by themselves, but by name', async () => {
  const { store, h1 } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 30 }] })
  const spec = { reservedCIDRs: ['10.65.0.0/30', '10.65.0.5', 'nonsense'] }
  await putValue(
    store,
    `${resourcePrefix('IPPool').replace('ippools', 'ipreservations')}r`,
    JSON.stringify({ kind: 'IPReservation', spec }),
  )
  const automatic = await h1.autoAssign(wants('a', { count: 3 }), never)
  assert.equal(
    automatic.map(({ ip }) => ip),
    ['10.65.0.4', '10.65.0.6', '10.65.0.7'],
  )
  assert.match(await refusal(h1.autoAssign(wants('b'), never)), 'has 3 of 8 addresses in use, 5 reserved')
  assert.is((await h1.assignIp({ ip: parseIp('10.65.0.2'), handleId: 'c', attributes: {} }, never)).ip, '10.65.0.2')
})

test('a host borrows from others when no block is left, and the address says whose it is', async () => {
  const { h1, h2, store } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 29 }] })
  await h1.autoAssign(wants('own'), never)
  const [borrowed] = await h2.autoAssign(wants('borrowed'), never)
  const { borrowed: listed } = await h1.usage(never)
  assert.equal(
    listed.map(({ ip, node, owner }) => [ip, node, owner]),
    [[borrowed?.ip, 'h2', 'h1']],
  )
  assert.equal(await findFaults(store), [])
})

test('with strict affinity a host does not borrow, and is told where addresses are', async () => {
  const { store, h1, h2 } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 29 }] })
  await putConfig(store, { strictAffinity: true })
  const [own] = await h1.autoAssign(wants('own'), never)
  const auto = await refusal(h2.autoAssign(wants('b'), never))
  assert.is(
    auto,
    'ipam-strict-affinity: no IPv4 address for node "h2", strict affinity forbids to take addresses of other hosts, and no block is left: pool "a" (10.65.0.0/29) has 1 of 8 addresses in use',
  )
  const ip = parseIp('10.65.0.7')
  assert.match(
    await refusal(h2.assignIp({ ip, handleId: 'c', attributes: {} }, never)),
    `ipam-strict-affinity: 10.65.0.7 can't be given out to this node: strict affinity allows only own blocks, and block ${own?.block} belongs to "host:h1"`,
  )
})

test('the limit of blocks holds, the smaller of request and configuration, 20 unless set', async () => {
  const { store, h1 } = await aNetwork({ a: ['10.65.0.0/24', { blockSize: 32 }] })
  const twenty = await h1.autoAssign(wants('a', { count: 20 }), never)
  assert.is(twenty.length, 20)
  assert.match(
    await refusal(h1.autoAssign(wants('b'), never)),
    'ipam-block-limit: no IPv4 address for node "h1": all 20 of its blocks are full',
  )
  await putConfig(store, { strictAffinity: true, maxBlocksPerHost: 22 })
  await h1.autoAssign(wants('c', { count: 2 }), never)
  assert.match(await refusal(h1.autoAssign(wants('b', { maxBlocksPerHost: 30 }), never)), 'all 22 of its blocks')
  assert.equal(await findFaults(store), [])
})

test('where hosts may not claim blocks by themselves, that is the reason', async () => {
  const { store, h1 } = await aNetwork({ a: '10.65.0.0/24' })
  await putConfig(store, { strictAffinity: true, autoAllocateBlocks: false })
  assert.match(await refusal(h1.autoAssign(wants(), never)), 'ipam-no-auto-allocate')
})

test('an empty block of another host is taken over when it has been empty for a minute', async () => {
  const { store, clock, h1, h2 } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 29 }] })
  await putConfig(store, { strictAffinity: true })
  await h1.autoAssign(wants('a'), never)
  await h1.releaseByHandle('a', never)
  clock.now = new Date(clock.now.getTime() + 59_000)
  assert.match(await refusal(h2.autoAssign(wants('b'), never)), 'ipam-strict-affinity')
  clock.now = new Date(clock.now.getTime() + 2_000)
  await h2.autoAssign(wants('b'), never)
  assert.equal(await readRecords(store).then(({ affinities }) => affinities.map(({ host }) => host)), ['h2'])
  assert.match(await refusal(h1.autoAssign(wants('c'), never)), 'ipam-strict-affinity')
  assert.equal(await findFaults(store), [])
})

test('a block of a pool that ceased to select the host is given back when it is empty', async () => {
  const { store, h1 } = await aNetwork({ a: ['10.65.0.0/24', { nodeSelector: "zone == 'a'" }], b: '10.66.0.0/24' })
  await h1.autoAssign(wants('a'), never)
  await putPool(store, 'a', '10.65.0.0/24', { nodeSelector: "zone == 'z'" })
  await h1.autoAssign(wants('b'), never)
  assert.is((await readRecords(store)).affinities.length, 2, 'an address is in it')
  await h1.releaseByHandle('a', never)
  await h1.autoAssign(wants('c'), never)
  assert.equal(
    (await readRecords(store)).affinities.map(({ cidr }) => cidr.split('.')[1]),
    ['66'],
  )
})

test('a released address rests for the cool-down', async () => {
  const { store, clock, h1 } = await aNetwork({ a: ['10.65.0.0/31', { blockSize: 31 }] })
  await putConfig(store, { ipCooldownSeconds: 30 })
  await h1.autoAssign(wants('a', { count: 2 }), never)
  await h1.releaseByHandle('a', never)
  assert.match(await refusal(h1.autoAssign(wants('b'), never)), 'has 0 of 2 addresses in use, 2 cooling down')
  assert.match(await refusal(h1.assignIp({ ip: parseIp('10.65.0.1'), handleId: 'b', attributes: {} }, never)), 'cools down')
  clock.now = new Date(clock.now.getTime() + 31_000)
  assert.is((await h1.autoAssign(wants('b', { count: 2 }), never)).length, 2)
  assert.equal(await findFaults(store, clock.now), [])
})

test('a request that is repeated gets what its handle holds on this host', async () => {
  const { store, h1, h2 } = await aNetwork({ a: '10.65.0.0/24', six: 'fd00:65::/64' })
  const first = await h1.autoAssign(wants('w', { families: [4], keepHeld: true }), never)
  const second = await h1.autoAssign(wants('w', { keepHeld: true }), never)
  assert.is(second[0]?.ip, first[0]?.ip)
  assert.equal(
    await h1.autoAssign(wants('w', { keepHeld: true }), never).then((all) => all.map(({ ip }) => ip)),
    second.map(({ ip }) => ip),
  )
  assert.is(countHeld(await readRecords(store)), 2)
  assert.ok((second[0]?.sequenceNumber ?? 0n) > (first[0]?.sequenceNumber ?? 0n))
  const { refused } = await h1.releaseIps(first, never)
  assert.equal(
    refused.map(({ reason }) => reason),
    ['it was given to another since'],
    'who saw it unused before can not release it',
  )
  const elsewhere = await h2.autoAssign(wants('w', { keepHeld: true }), never)
  assert.equal(
    elsewhere.filter(({ ip }) => second.some((one) => one.ip === ip)),
    [],
    'these are routed to h1',
  )
})

test('blocks of another size that are left of an older pool are never covered by a new block', async () => {
  const { store, h1 } = await aNetwork({ a: ['10.65.0.0/24', { blockSize: 25 }] })
  await putValue(
    store,
    blockKey(parseCidr('10.65.0.64/28')),
    encodeBlock(newBlock(parseCidr('10.65.0.64/28'), 'host:h3', new Date('2026-11-21T08:59:59Z'))),
  )
  await putValue(store, affinityKey('h3', parseCidr('10.65.0.64/28')), '{"state":"confirmed","deleted":false}')
  const assigned = await h1.autoAssign(wants('a', { count: 130 }), never)
  assert.equal([...new Set(assigned.map(({ block }) => block))].sort(), ['10.65.0.128/25', '10.65.0.64/28'])
  const ip = parseIp('10.65.0.3')
  assert.match(
    await refusal(h1.assignIp({ ip, handleId: 'b', attributes: {} }, never)),
    "ipam-block-size: 10.65.0.3 can't be given out: the pool's block of it, 10.65.0.0/25, overlaps block 10.65.0.64/28",
  )
  assert.equal(await findFaults(store), [])
})

test('a pool and a block that do not parse hinder no other', async () => {
  const { store, h1 } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 30 }] })
  await putValue(store, `${resourcePrefix('IPPool')}broken`, '{"kind":"IPPool","spec":{"cidr":"10.65.0"}}')
  await putValue(store, blockKey(parseCidr('10.65.0.0/30')), '{"cidr":')
  assert.is((await h1.autoAssign(wants('a'), never))[0]?.block, '10.65.0.4/30')
  assert.instance(await h1.lookUp(parseIp('10.65.0.1'), never).catch((error: unknown) => error), ValidationError)
})

test.run()
