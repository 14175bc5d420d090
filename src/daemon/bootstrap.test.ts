import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aConfig, anInterface, never, refusal } from '../../test/support/daemon.ts'
import { putPool, putValue } from '../ipam/fixtures.ts'
import { silentLogger } from '../log.ts'
import { resourceKey } from '../model/keys.ts'
import { API_VERSION } from '../model/resource.ts'
import { MemoryStore } from '../store/memory.ts'
import { createResource, getResource, listResources } from '../store/resource-store.ts'
import { bootstrap } from './bootstrap.ts'

const test = suite('daemon/bootstrap')

function run(store: MemoryStore, settings: Readonly<Record<string, string>> = {}, addresses = ['192.0.2.1/24', '2001:db8::1/64']) {
  const interfaces = [anInterface('eth0', addresses)]
  const hasIpv6Underlay = addresses.some((address) => address.includes(':'))
  return bootstrap({ store, config: aConfig(settings), interfaces, hasIpv6Underlay, log: silentLogger }, never)
}

async function pools(store: MemoryStore): Promise<readonly string[]> {
  const { resources } = await listResources(store, { kind: 'IPPool' }, never)
  return resources.map(({ metadata, spec }) => `${metadata.name} ${spec.cidr.replace(/^fd[0-9a-f:]+/, 'fd…')} ${spec.vxlanMode}`)
}

test('an empty etcd gets what every host needs, and a pool of each family', async () => {
  const store = new MemoryStore()
  await run(store)
  assert.equal(await pools(store), ['default-ipv4-ippool 10.65.0.0/16 CrossSubnet', 'default-ipv6-ippool fd…/48 CrossSubnet'])
  const cluster = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, never)
  assert.match(cluster?.spec.clusterGUID ?? '', /^[0-9a-f]{32}$/)
  assert.is(cluster?.spec.clusterType, 'margay')
  assert.is(cluster?.spec.calicoVersion, undefined)
  for (const kind of [
    'Tier',
    'Profile',
    'FelixConfiguration',
    'BGPConfiguration',
    'KubeControllersConfiguration',
    'IPAMConfiguration',
  ] as const) {
    assert.ok((await listResources(store, { kind }, never)).resources.length > 0, kind)
  }
})

test('once done it writes nothing', async () => {
  const store = new MemoryStore()
  await run(store)
  const { revision } = store
  await run(store)
  assert.is(store.revision, revision)
})

test('two hosts at once agree', async () => {
  const store = new MemoryStore()
  await Promise.all([run(store.another(), { 'node.name': 'h1' }), run(store.another(), { 'node.name': 'h2' })])
  assert.is((await pools(store)).length, 2)
  assert.is((await listResources(store, { kind: 'FelixConfiguration' }, never)).resources.length, 3)
})

test('a ClusterInformation of Calico is completed, also by two hosts at once', async () => {
  const store = new MemoryStore()
  const spec = { clusterGUID: '0123456789abcdef0123456789abcdef', clusterType: 'bare' }
  await createResource(store, { apiVersion: API_VERSION, kind: 'ClusterInformation', metadata: { name: 'default' }, spec }, never)
  await Promise.all(['h1', 'h2', 'h3'].map((name) => run(store.another(), { 'node.name': name })))
  const stored = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, never)
  assert.equal(stored?.spec, { ...spec, clusterType: 'bare,margay', datastoreReady: true })
})

const choices = [
  { name: 'no pools where they are not to be created', settings: { 'pools.create': 'false' }, want: [] },
  { name: 'no pools without networking', settings: { 'networking.enabled': 'false' }, want: [] },
  { name: 'no pool of a family that is to have none', settings: { 'pools.ipv4.cidr': 'none', 'pools.ipv6.cidr': 'none' }, want: [] },
  { name: 'no IPv6 pool without an IPv6 address', addresses: ['192.0.2.1/24'], want: ['default-ipv4-ippool 10.65.0.0/16 CrossSubnet'] },
  {
    name: 'the next range where the host is in the first',
    addresses: ['10.65.0.1/24'],
    want: ['default-ipv4-ippool 10.66.0.0/16 CrossSubnet'],
  },
  {
    name: 'the pool that was given',
    settings: { 'pools.ipv4.cidr': '203.0.113.0/24', 'pools.ipv6.cidr': 'none', mode: 'vxlan' },
    want: ['default-ipv4-ippool 203.0.113.0/24 Always'],
  },
]
for (const { name, settings, addresses, want } of choices) {
  test(name, async () => {
    const store = new MemoryStore()
    await run(store, settings, addresses)
    assert.equal(await pools(store), want)
  })
}

test('a family that has a pool gets no other', async () => {
  const store = new MemoryStore()
  await putPool(store, 'mine', '10.1.0.0/16')
  await run(store, {}, ['192.0.2.1/24'])
  assert.equal(await pools(store), ['mine 10.1.0.0/16 undefined'])
})

test('beside a pool that can not be read no other is made', async () => {
  const store = new MemoryStore()
  await putValue(store, resourceKey('IPPool', 'broken'), '{')
  await run(store)
  assert.equal(await pools(store), [])
})

test('a pool over a network of the host is refused with the key, and nothing is written', async () => {
  const store = new MemoryStore()
  const refused = run(store, { 'pools.ipv4.cidr': '192.0.0.0/16' })
  assert.match(await refusal(refused), 'pools.ipv4.cidr 192.0.0.0/16 overlaps 192.0.2.0/24, a network that this host is in')
  assert.is(store.revision, 1)
})

test.run()
