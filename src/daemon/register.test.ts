import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aConfig, anInterface, never, until } from '../../test/support/daemon.ts'
import { withHost } from '../../test/support/host.ts'
import { aNode } from '../../test/support/planning.ts'
import { putPool } from '../ipam/fixtures.ts'
import type { Node } from '../model/node.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource, getResource, removeResource } from '../store/resource-store.ts'
import { refuseSameAddress } from './register.ts'

const test = suite('daemon/register')

function nodeOf(store: MemoryStore): Promise<Node | undefined> {
  return getResource(store, { kind: 'Node', name: 'h1' }, never)
}

test('a host writes its address at once, and its tunnel address with the first pool that needs one', async () => {
  const store = new MemoryStore()
  await withHost(async (host) => {
    host.start()
    const node = await until('the Node', () => nodeOf(store))
    assert.equal(node.spec.bgp, { ipv4Address: '192.0.2.1/24' })
    assert.is(node.spec.ipv4VXLANTunnelAddr, undefined)
    await putPool(store, 'v4', '10.65.0.0/16', { vxlanMode: 'Always' })
    const ip = await until('the tunnel address', async () => (await nodeOf(store))?.spec.ipv4VXLANTunnelAddr)
    assert.match(ip, /^10\.65\./)
    await until('the device', () => host.kernel.read('links').has('margay.vxlan'))
  }, store)
})

test('a tunnel address is kept over a restart, and taken again when somebody removes the Node', async () => {
  const store = new MemoryStore()
  await putPool(store, 'v4', '10.65.0.0/16', { vxlanMode: 'Always' })
  const addressOf = async () => (await nodeOf(store))?.spec.ipv4VXLANTunnelAddr
  let first: string | undefined
  await withHost(async (host) => {
    host.start()
    first = await until('the tunnel address', addressOf)
  }, store)
  await withHost(async (host) => {
    host.start()
    await until('the device', () => host.kernel.read('links').has('margay.vxlan'))
    assert.is(await addressOf(), first)
    await removeResource(store, { kind: 'Node', name: 'h1' }, never)
    assert.is(await until('the tunnel address', addressOf), first)
  }, store)
})

test('an address that can not be had does not keep the host’s own from being known, and is named', async () => {
  const store = new MemoryStore()
  // One block of four addresses, all of which another host has.
  await putPool(store, 'v4', '10.65.0.0/30', { vxlanMode: 'Always', blockSize: 30, allowedUses: ['Tunnel'] })
  await withHost(async (host) => {
    for (const node of ['h2', 'h3', 'h4', 'h5']) await takeTunnelAddress(store, node)
    host.start()
    await until('the Node', () => nodeOf(store))
    assert.match(await until('the problem', () => host.registrar.problem), /no address|free|full|block/)
    assert.equal((await nodeOf(store))?.spec.bgp, { ipv4Address: '192.0.2.1/24' })
  }, store)
})

async function takeTunnelAddress(store: MemoryStore, node: string): Promise<void> {
  const { createIpam } = await import('../ipam/ipam.ts')
  const { silentLogger } = await import('../log.ts')
  await applyResource(store, aNode(node, {}), never)
  await createIpam({ store, node, log: silentLogger }).ensureTunnelAddress({ family: 4, current: undefined }, never)
}

test('labels of the configuration are written, and taken away when it no longer has them', async () => {
  const store = new MemoryStore()
  await withHost(async (host) => {
    host.config = aConfig({ 'node.labels': 'rack=a,row=1' })
    host.start()
    await until('the labels', async () => (await nodeOf(store))?.metadata.labels?.['row'] === '1')
    host.config = aConfig({ 'node.labels': 'rack=b' })
    host.host.reconfigure()
    host.loop.refresh()
    await until('the other label', async () => (await nodeOf(store))?.metadata.labels?.['rack'] === 'b')
    assert.equal((await nodeOf(store))?.metadata.labels, { rack: 'b' })
  }, store)
})

test('another method of detection is used from now on, and one that fits nothing keeps the address', async () => {
  const store = new MemoryStore()
  await withHost(async (host) => {
    host.kernel.setInterfaces([anInterface('eth0', ['192.0.2.1/24']), anInterface('docker0', ['198.51.100.1/24'])])
    host.start()
    await until('the Node', () => nodeOf(store))
    host.config = aConfig({ 'address.ipv4.method': 'interface=docker0' })
    host.loop.refresh()
    await until('the other address', async () => (await nodeOf(store))?.spec.bgp?.ipv4Address === '198.51.100.1/24')
    host.config = aConfig({ 'address.ipv4.method': 'interface=none' })
    host.loop.refresh()
    assert.match(await until('the problem', () => host.host.factsProblem), 'fits method "interface=none"')
    assert.is((await nodeOf(store))?.spec.bgp?.ipv4Address, '198.51.100.1/24')
  }, store)
})

test('somebody else’s change of our Node is put right, and what he added stays', async () => {
  const store = new MemoryStore()
  await withHost(async (host) => {
    host.start()
    await until('the Node', () => nodeOf(store))
    await applyResource(store, aNode('h1', { v4: '203.0.113.1/24', labels: { theirs: 'x' } }), never)
    await until('our address', async () => (await nodeOf(store))?.spec.bgp?.ipv4Address === '192.0.2.1/24')
    assert.equal((await nodeOf(store))?.metadata.labels, { theirs: 'x' })
  }, store)
})

test('an address that another Node has is refused with its name', () => {
  const facts = { address: { 4: '192.0.2.1/24' as never, 6: '2001:db8::1/64' as never } }
  refuseSameAddress('h1', facts, [aNode('h1', { v4: '192.0.2.1/24' }), aNode('h2', { v4: '192.0.2.2/24' }), aNode('h3', {})])
  for (const other of [aNode('h2', { v4: '192.0.2.1/16' }), aNode('h2', { v6: '2001:db8::1/64' })]) {
    assert.throws(() => refuseSameAddress('h1', facts, [other]), /is also that of Node "h2": give one of them another/)
  }
})

test.run()
