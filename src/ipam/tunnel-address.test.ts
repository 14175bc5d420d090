import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { affinityKey, blockKey, handleKey } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'
import { newBlock } from './block.ts'
import { findFaults, never, putNode, putPool, putValue, readRecords } from './fixtures.ts'
import { createIpam } from './ipam.ts'

const test = suite('ipam/tunnel-address')

const vxlan = { vxlanMode: 'CrossSubnet', blockSize: 28 } as const

async function aNetwork(spec: Parameters<typeof putPool>[3] = vxlan) {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.65.0.0/24', spec)
  await putPool(store, 'six', 'fd00:65::/64', { vxlanMode: 'Always' })
  await putNode(store, 'h1', { zone: 'a' })
  await putNode(store, 'h2')
  const h1 = createIpam({ store, node: 'h1', log: silentLogger })
  const h2 = createIpam({ store, node: 'h2', log: silentLogger })
  const ensure = (current?: Ip) => h1.ensureTunnelAddress({ family: 4, current }, never)
  return { store, h1, h2, ensure }
}

test('the address has the handle and the facts that Calico gives it, in both families', async () => {
  const { h1, ensure } = await aNetwork()
  const use4 = await h1.lookUp((await ensure()) ?? parseIp('0.0.0.0'), never)
  const v6 = await h1.ensureTunnelAddress({ family: 6, current: undefined }, never)
  const use6 = await h1.lookUp(v6 ?? parseIp('::'), never)
  assert.equal([use4.handleId, use4.attributes], ['vxlan-tunnel-addr-h1', { node: 'h1', type: 'vxlanTunnelAddress' }])
  assert.equal([use6.handleId, use6.attributes], ['vxlan-v6-tunnel-addr-h1', { node: 'h1', type: 'vxlanV6TunnelAddress' }])
})

test('a good address stays, also when the Node was not written', async () => {
  const { store, ensure } = await aNetwork()
  const first = await ensure()
  assert.is(await ensure(first), first)
  assert.is(await ensure(), first)
  assert.is(await ensure(parseIp('10.65.0.99')), first, 'the Node says something else')
  assert.equal(await findFaults(store), [])
})

test('an address that the Node has but the records lost is had again, unless another took it', async () => {
  const { store, h2, ensure } = await aNetwork()
  assert.is(await ensure(parseIp('10.65.0.7')), '10.65.0.7')
  const { h2: other, ensure: ensureOther } = await aNetwork()
  await other.assignIp({ ip: parseIp('10.65.0.7'), handleId: 'w', attributes: {} }, never)
  assert.is.not(await ensureOther(parseIp('10.65.0.7')), '10.65.0.7')
  assert.is((await h2.lookUp(parseIp('10.65.0.7'), never)).attributes['node'], 'h1')
  assert.equal(await findFaults(store), [])
})

test('an address of ours that has no handle gets one', async () => {
  const { store, h1, ensure } = await aNetwork()
  const cidr = parseCidr('10.65.0.0/28')
  const free = newBlock(cidr, 'host:h1', new Date())
  const attributes = [{ secondary: { node: 'h1', type: 'vxlanTunnelAddress' } }]
  const block = {
    ...free,
    attributes,
    allocations: [undefined, 0, ...free.allocations.slice(2)],
    unallocated: free.unallocated.filter((o) => o !== 1),
  }
  await putValue(store, blockKey(cidr), encodeBlock(block))
  await putValue(store, affinityKey('h1', cidr), '{}')
  assert.is(await ensure(parseIp('10.65.0.1')), '10.65.0.1')
  assert.is((await h1.lookUp(parseIp('10.65.0.1'), never)).handleId, 'vxlan-tunnel-addr-h1')
  assert.equal(await findFaults(store), [])
})

const unfit: readonly { name: string; spec: Parameters<typeof putPool>[3] }[] = [
  { name: 'has no VXLAN', spec: { vxlanMode: 'Never' } },
  { name: 'is disabled', spec: { ...vxlan, disabled: true } },
  { name: 'is not for tunnels', spec: { ...vxlan, allowedUses: ['Workload'] } },
  { name: 'does not select the host', spec: { ...vxlan, nodeSelector: "zone == 'b'" } },
]
for (const { name, spec } of unfit) {
  test(`the address is released when its pool ${name}`, async () => {
    const { store, ensure } = await aNetwork()
    const first = await ensure()
    await putPool(store, 'a', '10.65.0.0/24', { blockSize: 28, ...spec })
    assert.is(await ensure(first), undefined)
    assert.is(await store.get(handleKey('vxlan-tunnel-addr-h1'), never), undefined)
  })
}

test('the address moves when its pool has no VXLAN any more but another one has, and the old one is released', async () => {
  const { store, ensure } = await aNetwork()
  const first = await ensure()
  await putPool(store, 'a', '10.65.0.0/24', { blockSize: 28 })
  await putPool(store, 'b', '10.66.0.0/24', { ...vxlan, assignmentMode: 'Manual' })
  const second = await ensure(first)
  assert.match(second ?? '', /^10\.66\./)
  assert.is((await readRecords(store)).handles.get('vxlan-tunnel-addr-h1')?.blocks.size, 1)
  assert.equal(await findFaults(store), [])
})

test('it is released on request, and each host has its own', async () => {
  const { store, h1, h2, ensure } = await aNetwork()
  const [mine, other] = [await ensure(), await h2.ensureTunnelAddress({ family: 4, current: undefined }, never)]
  assert.is.not(mine, other)
  await h1.releaseTunnelAddress(4, never)
  assert.equal([...(await readRecords(store)).handles.keys()], ['vxlan-tunnel-addr-h2'])
})

test.run()
