import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { affinityKey, blockKey, handleKey, liveKey, resourceKey } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { MemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { newBlock } from './block.ts'
import { checkIpam } from './check.ts'
import type { CheckedAllocation, Finding } from './findings.ts'
import { aContext, aNetwork, never, putEndpoint, putPool, putValue, readRecords } from './fixtures.ts'
import type { Ipam } from './ipam.ts'
import { readIpamSurvey } from './read-survey.ts'

const test = suite('ipam/check')

interface Case {
  readonly name: string
  prepare(store: MemoryStore, h1: Ipam, h2: Ipam): Promise<unknown>
  /** `kind subject: reason (who collects)`. */
  readonly want: readonly string[]
}

const CIDR = parseCidr('10.65.0.0/30')
const AT = new Date('2026-11-21T09:00:00Z')
const give = (ipam: Ipam, ip: string, handleId: string) => ipam.assignIp({ ip: parseIp(ip), handleId, attributes: {} }, never)
const forget = (store: MemoryStore, ...keys: readonly string[]) =>
  store.commit(
    [],
    keys.map((remove) => ({ remove })),
    never,
  )
const nodeKey = (name: string) => resourceKey('Node', name)

/** Both families, each with a workload that is as it should be, and a tunnel address. */
async function anOrderlyNetwork() {
  const network = await aNetwork({ v4: ['10.65.0.0/28', { blockSize: 30, vxlanMode: 'Always' }], v6: ['fd65::/124', { blockSize: 126 }] })
  const { store, h1 } = network
  await give(h1, '10.65.0.0', 'margay.default.good')
  await give(h1, 'fd65::', 'margay.default.good')
  await putEndpoint(store, 'h1', 'good', ['10.65.0.0', 'fd65::'])
  const tunnel = await h1.ensureTunnelAddress({ family: 4, current: undefined }, never)
  await putValue(store, nodeKey('h1'), JSON.stringify({ metadata: { name: 'h1' }, spec: { ipv4VXLANTunnelAddr: tunnel } }))
  return network
}

async function check(store: MemoryStore, onAllocation?: (allocation: CheckedAllocation) => void) {
  return checkIpam(
    await readIpamSurvey(
      aContext(store, 'h1', () => AT),
      never,
    ),
    onAllocation,
  )
}

function show({ kind, subject, reason, collector }: Finding): string {
  const who = collector.by === 'host' ? collector.node : collector.by
  return `${kind} ${subject}: ${reason} (${who})`
}

const cases: readonly Case[] = [
  { name: 'what is in order is not found', prepare: async () => {}, want: [] },
  {
    name: 'an address without an endpoint is its own host’s to collect, in both families',
    async prepare(_, h1, h2) {
      await give(h1, '10.65.0.2', 'margay.default.web')
      await give(h2, 'fd65::4', 'margay.default.web')
    },
    want: [
      'leaked-address 10.65.0.2: handle "margay.default.web" holds it, no workload endpoint has it, node "h1" collects it (h1)',
      'leaked-address fd65::4: handle "margay.default.web" holds it, no workload endpoint has it, node "h2" collects it (h2)',
    ],
  },
  {
    name: 'what another agent gave out on a host that is there is left alone',
    prepare: (_, __, h2) => give(h2, '10.65.0.4', 'k8s-pod-network.5f1c'),
    want: [
      'leaked-address 10.65.0.4: handle "k8s-pod-network.5f1c" holds it, no workload endpoint has it, and it was not margay that gave it out on node "h2" (nobody)',
    ],
  },
  {
    name: 'of a host without a Node and without a sign of life everything is the leader’s: addresses, blocks and claims',
    async prepare(store, _, h2) {
      await give(h2, '10.65.0.4', 'k8s-pod-network.5f1c')
      await h2.ensureTunnelAddress({ family: 4, current: undefined }, never)
      await putValue(store, affinityKey('h2', parseCidr('10.65.0.12/30')), '{"state":"pending"}')
      await forget(store, nodeKey('h2'))
    },
    want: [
      'leaked-address 10.65.0.4: handle "k8s-pod-network.5f1c" holds it, node "h2" is gone, and nothing uses the address (leader)',
      'leaked-address 10.65.0.5: handle "vxlan-tunnel-addr-h2" holds it, node "h2" is gone, and nothing uses the address (leader)',
      'stale-block 10.65.0.4/30: node "h2", whose block it is, is gone (leader)',
      'stale-affinity 10.65.0.12/30: node "h2" claims it (pending), and there is no such block (leader)',
    ],
  },
  {
    name: 'a host whose Node is gone and that lives has everything still',
    async prepare(store, _, h2) {
      await give(h2, '10.65.0.4', 'margay.default.web')
      await putValue(store, liveKey('h2'), '{}')
      await forget(store, nodeKey('h2'))
    },
    want: ['leaked-address 10.65.0.4: handle "margay.default.web" holds it, no workload endpoint has it, node "h2" collects it (h2)'],
  },
  {
    name: 'endpoints of a host without a Node keep their addresses and their block',
    async prepare(store, _, h2) {
      await give(h2, '10.65.0.4', 'margay.default.web')
      await putEndpoint(store, 'h2', 'web', ['10.65.0.4'])
      await forget(store, nodeKey('h2'))
    },
    want: ['stale-block 10.65.0.4/30: node "h2", whose block it is, is gone, and workload endpoints of it use its addresses (nobody)'],
  },
  {
    name: 'an endpoint that can’t be read hides all addresses of the hosts that it may be of',
    async prepare(store, h1, h2) {
      await give(h1, '10.65.0.2', 'margay.default.web')
      await give(h2, '10.65.0.4', 'margay.default.web')
      await putValue(store, resourceKey('WorkloadEndpoint', 'h2-margay-web-eth0', 'default'), '{"spec":')
    },
    want: [
      'leaked-address 10.65.0.2: handle "margay.default.web" holds it, no workload endpoint has it, node "h1" collects it (h1)',
      'unreadable /calico/resources/v3/projectcalico.org/workloadendpoints/default/h2-margay-web-eth0: the value is not JSON: Unexpected end of JSON input (nobody)',
    ],
  },
  {
    name: 'an endpoint with a fault elsewhere uses its addresses all the same',
    async prepare(store, h1) {
      await give(h1, '10.65.0.2', 'margay.default.web')
      const spec = { node: 'h1', ipNetworks: ['10.65.0.2'], mac: 'none' }
      await putValue(store, resourceKey('WorkloadEndpoint', 'h1-margay-web-eth0', 'default'), JSON.stringify({ spec }))
    },
    want: [],
  },
  {
    name: 'a tunnel address that the Node does not have is the daemon’s own affair',
    prepare: (_, __, h2) => give(h2, '10.65.0.4', 'vxlan-tunnel-addr-h2'),
    want: ['leaked-address 10.65.0.4: handle "vxlan-tunnel-addr-h2" holds it, node "h2" does not have it as a tunnel address (nobody)'],
  },
  {
    name: 'addresses that are used and not held, held for another host, used by two, or of no pool',
    async prepare(store, h1) {
      await give(h1, '10.65.0.2', 'margay.default.web')
      await putEndpoint(store, 'h1', 'lost', ['10.65.0.3'])
      await putEndpoint(store, 'h2', 'moved', ['10.65.0.2'])
      await putEndpoint(store, 'h2', 'twin', ['10.65.0.0', '10.65.0.9', '192.0.2.9'])
    },
    want: [
      'missing-address 10.65.0.3: Workload(default/h1-margay-lost-eth0) uses it, and it is not allocated (nobody)',
      'missing-address 10.65.0.9: Workload(default/h2-margay-twin-eth0) uses it, and it is not allocated (nobody)',
      'foreign-address 10.65.0.0: Workload(default/h2-margay-twin-eth0) on node "h2" uses it, it was given to node "h1" (nobody)',
      'foreign-address 10.65.0.2: Workload(default/h2-margay-moved-eth0) on node "h2" uses it, it was given to node "h1" (nobody)',
      'shared-address 10.65.0.0: Workload(default/h1-margay-good-eth0) and Workload(default/h2-margay-twin-eth0) both use it (nobody)',
      'outside-address 192.0.2.9: Workload(default/h2-margay-twin-eth0) uses it, and it lies in no pool (nobody)',
    ],
  },
  {
    name: 'blocks that are nobody’s, of no pool, or over each other',
    async prepare(store, h1) {
      const { affinity: _, ...idle } = newBlock(parseCidr('10.65.0.8/30'), '', AT)
      await putValue(store, blockKey(idle.cidr), encodeBlock(idle))
      await putPool(store, 'old', '10.66.0.0/28', { blockSize: 30 })
      await give(h1, '10.66.0.0', 'margay.default.good')
      await give(h1, '10.66.0.4', 'x')
      await putEndpoint(store, 'h1', 'old', ['10.66.0.0'])
      await h1.releaseByHandle('x', never)
      await forget(store, resourceKey('IPPool', 'old'))
      const wide = newBlock(parseCidr('fd65::/124'), 'virtual:load-balancer', AT)
      await putValue(store, blockKey(wide.cidr), encodeBlock(wide))
    },
    want: [
      'overlapping-block fd65::/126: it has addresses in common with block fd65::/124 (nobody)',
      "idle-block 10.65.0.8/30: it is empty and nobody's (leader)",
      'orphan-block 10.66.0.0/30: it lies in no pool, belongs to node "h1", and its addresses are held (nobody)',
      'orphan-block 10.66.0.4/30: it lies in no pool, belongs to node "h1", and is empty (h1)',
    ],
  },
  {
    name: 'a block that contradicts itself, and records that disagree with it',
    async prepare(store) {
      const block = (await readRecords(store)).blocks.get(CIDR)
      if (block !== undefined) await putValue(store, blockKey(CIDR), encodeBlock({ ...block, unallocated: [1, 1, 2] }))
      await putValue(store, affinityKey('h2', CIDR), '{"state":"confirmed"}')
      await forget(store, affinityKey('h1', CIDR), handleKey('vxlan-tunnel-addr-h1'))
      await putValue(store, handleKey('margay.default.empty'), `{"block":{"${CIDR}":1}}`)
      await putValue(store, handleKey('lnw.5f1c'), '{"block":{}}')
      await putValue(store, handleKey('vxlan-tunnel-addr-h9'), `{"block":{"${CIDR}":1}}`)
      await putValue(store, handleKey('margay.default.good'), `{"block":{"${CIDR}":3,"fd65::/126":1}}`)
    },
    want: [
      'invalid-block 10.65.0.0/30: an ordinal is twice in unallocated (nobody)',
      'invalid-block 10.65.0.0/30: ordinal 1 is allocated and unallocated (nobody)',
      'stale-affinity 10.65.0.0/30: node "h2" claims it (confirmed), and it is that of node "h1" (h2)',
      'missing-affinity 10.65.0.0/30: node "h1", whose block it is, has no affinity for it (nobody)',
      'empty-handle lnw.5f1c: it holds no address (nobody)',
      'empty-handle margay.default.empty: it holds no address (leader)',
      'empty-handle vxlan-tunnel-addr-h9: it holds no address (leader)',
      'miscounted-handle margay.default.good: it counts 3 addresses of block 10.65.0.0/30, and has 1 (nobody)',
      'missing-handle vxlan-tunnel-addr-h1: it holds addresses of 10.65.0.0/30, and there is no such handle (nobody)',
    ],
  },
  {
    name: 'of what a block that can’t be read holds nothing is said',
    prepare: (store) => putValue(store, blockKey(CIDR), '{"cidr":"10.65.0.0/30","allocations":[],"unallocated":[],"attributes":[]}'),
    want: ['unreadable /calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30: not a block: 10.65.0.0/30 has 4 addresses, not 0 (nobody)'],
  },
]
for (const { name, prepare, want } of cases) {
  test(name, async () => {
    const { store, h1, h2 } = await anOrderlyNetwork()
    await prepare(store, h1, h2)
    assert.equal((await check(store)).findings.map(show), want)
  })
}

test('each allocation is told of with its holder, its users and whether it is borrowed', async () => {
  const { store, h2 } = await anOrderlyNetwork()
  await give(h2, '10.65.0.3', 'margay.default.web')
  const allocations: CheckedAllocation[] = []
  const { counts } = await check(store, (allocation) => allocations.push(allocation))
  assert.equal(counts, { pools: 2, blocks: 2, allocations: 4, nodes: 3, users: 3, affinities: 2, handles: 3 })
  const shown = allocations.map(({ ip, node, users, isBorrowed, isInUse }) => `${ip} ${node} ${users} ${isBorrowed} ${isInUse}`)
  assert.equal(shown, [
    '10.65.0.0 h1 Workload(default/h1-margay-good-eth0) false true',
    '10.65.0.1 h1 Node(h1) false true',
    '10.65.0.3 h2  true false',
    'fd65:: h1 Workload(default/h1-margay-good-eth0) false true',
  ])
})

test('what is released and cools down is no leak', async () => {
  const { store, h1 } = await anOrderlyNetwork()
  await putValue(store, '/calico/ipam/v2/config', '{"auto_allocate_blocks":true,"ipCooldownSeconds":60}')
  await give(h1, '10.65.0.2', 'margay.default.web')
  await h1.releaseByHandle('margay.default.web', never)
  assert.equal((await check(store)).findings, [])
})

test('a listing that is cut short by compaction is begun anew', async () => {
  const { store } = await anOrderlyNetwork()
  let lists = 0
  const compacting: Store = {
    ...{ get: store.get.bind(store), commit: store.commit.bind(store), watch: store.watch.bind(store), lease: store.lease.bind(store) },
    ...{ expiringLease: store.expiringLease.bind(store), leaseSeconds: store.leaseSeconds.bind(store) },
    async *list(prefix, options, signal) {
      if (++lists === 2) {
        await putValue(store, '/other', '')
        store.compact(store.revision)
      }
      yield* store.list(prefix, options, signal)
    },
    close() {},
  }
  const survey = await readIpamSurvey(
    aContext(compacting, 'h1', () => AT),
    never,
  )
  assert.equal([survey.blocks.size, survey.revision, lists], [2, store.revision, 7])
})

test.run()
