import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFelix, someFacts, threeHosts } from '../../test/support/planning.ts'
import { planView } from '../daemon/plan-view.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { IPPool } from '../model/ip-pool.ts'
import type { Block } from '../model/ipam-block.ts'
import type { Node } from '../model/node.ts'
import type { LiveRecord, Receive } from '../model/own/live.ts'
import { type Cidr, parseCidr, parseInterfaceAddress, rangeOf } from '../net/cidr.ts'
import { familyOf, formatIp, parseIp } from '../net/ip.ts'
import { explainRoute, natAddress, type RouteSource } from './explain-route.ts'

const test = suite('routing/explain-route')

const API = 'projectcalico.org/v3'
const POOL = parseCidr('10.65.0.0/16')
const BLOCK = parseCidr('10.65.1.0/26')

function aNode(name: string, address: string, tunnel: string | undefined): Node {
  const spec = {
    bgp: { ipv4Address: parseInterfaceAddress(address) },
    ...(tunnel === undefined ? {} : { ipv4VXLANTunnelAddr: parseIp(tunnel) }),
  }
  return { apiVersion: API, kind: 'Node', metadata: { name }, spec }
}

interface Scene {
  readonly pool?: Partial<IPPool['spec']>
  readonly peer?: { readonly address?: string; readonly tunnel?: string | undefined }
  readonly owner?: string
  readonly receives?: readonly Receive[]
  readonly felix?: FelixConfigurationSpec
  readonly destination?: string
}

function ask({ pool = {}, peer = {}, owner = 'host:h2', receives, felix = {}, destination = '10.65.1.9' }: Scene) {
  const record: IPPool = {
    apiVersion: API,
    kind: 'IPPool',
    metadata: { name: 'p' },
    spec: { cidr: POOL, blockSize: 26, vxlanMode: 'Always', ...pool },
  }
  const empty = { allocations: [], unallocated: [], attributes: [], sequenceNumber: 1n, sequenceNumberForAllocation: new Map() }
  const block: Block = { cidr: BLOCK, affinity: owner, deleted: false, ...empty }
  const started = { version: '1', startedAt: '2026-01-02T03:04:05Z', addresses: [], instance: 'i' }
  const live: LiveRecord = { node: 'h2', ...started, receives: { [POOL]: receives ?? [] } }
  const source: RouteSource = {
    nodes: new Map([
      ['h1', aNode('h1', '192.0.2.1/24', '10.65.0.1')],
      ['h2', aNode('h2', peer.address ?? '192.0.2.2/24', 'tunnel' in peer ? peer.tunnel : '10.65.1.1')],
    ]),
    pools: new Map([['p', record]]),
    blocks: new Map<Cidr, Block>([[BLOCK, block]]),
    live: new Map(receives === undefined ? [] : [['h2', live]]),
  }
  return { source, question: { node: 'h1', felix, uplink: 'eth0', destination: parseIp(destination) } }
}

const routes: readonly (readonly [name: string, scene: Scene, want: string])[] = [
  ['Always', {}, 'h2 vxlan margay.vxlan 10.65.1.1 1450: pool p has vxlanMode Always'],
  ['a set MTU', { felix: { vxlanMTU: 1400 } }, 'h2 vxlan margay.vxlan 10.65.1.1 1400: pool p has vxlanMode Always'],
  [
    'CrossSubnet, near',
    { pool: { vxlanMode: 'CrossSubnet' } },
    'h2 direct eth0 192.0.2.2 1500: pool p has vxlanMode CrossSubnet, and 192.0.2.2 is on the subnet 192.0.2.0/24 of h1',
  ],
  [
    'CrossSubnet, far',
    { pool: { vxlanMode: 'CrossSubnet' }, peer: { address: '198.51.100.2/24' } },
    'h2 vxlan margay.vxlan 10.65.1.1 1450: pool p has vxlanMode CrossSubnet, and 198.51.100.2 is not on the subnet 192.0.2.0/24 of h1',
  ],
  [
    'no encapsulation, left to BGP',
    { pool: { vxlanMode: 'Never' } },
    'h2 none - - -: pool 10.65.0.0/16 has no encapsulation and FelixConfiguration programClusterRoutes is "EnabledIPIPOnly": its routes are left to BGP, ' +
      'which is not built in this version; set it to "Enabled", or give the pool a vxlanMode',
  ],
  [
    'no encapsulation, ours',
    { pool: { vxlanMode: 'Never' }, felix: { programClusterRoutes: 'Enabled' } },
    'h2 direct eth0 192.0.2.2 1500: pool p has no encapsulation',
  ],
  [
    'no tunnel address yet',
    { peer: { tunnel: undefined } },
    "h2 none - - -: h2 can't be reached: its Node has no VXLAN tunnel address yet (spec.ipv4VXLANTunnelAddr)",
  ],
  [
    'a switch that waits',
    { receives: ['direct'] },
    'h2 direct eth0 192.0.2.2 1500: pool p has vxlanMode Always; waits until h2 says that it receives vxlan',
  ],
  ['a block of nobody', { owner: 'virtual:load-balancer' }, '- none - - -: the block 10.65.1.0/26 belongs to no host'],
  ['no block', { destination: '10.65.9.9' }, '- none - - -: no host has the block 10.65.9.0/26 of 10.65.9.9'],
  ['a node that is gone', { owner: 'host:h9' }, 'h9 none - - -: there is no Node h9'],
  ['our own block', { owner: 'host:h1' }, 'h1 local - - -: 10.65.1.9 is on h1 itself'],
  [
    'outside',
    { destination: '203.0.113.9' },
    '- host-routes eth0 - -: 203.0.113.9 is in no pool: the routes of the host itself lead there',
  ],
]
for (const [name, scene, want] of routes) {
  test(`${name}: ${want}`, () => {
    const { source, question } = ask(scene)
    const { to = '-', via, link = '-', nextHop = '-', mtuBytes = '-', because } = explainRoute(source, question)
    assert.is(`${to} ${via} ${link} ${nextHop} ${mtuBytes}: ${because}`, want)
  })
}

const nats: readonly (readonly [name: string, scene: Scene, want: string | undefined])[] = [
  ['a pool without natOutgoing', { destination: '203.0.113.9' }, undefined],
  ['outside of all pools', { destination: '203.0.113.9', pool: { natOutgoing: true } }, '192.0.2.1'],
  ['within the pools', { pool: { natOutgoing: true } }, undefined],
  ['another host', { destination: '192.0.2.2', pool: { natOutgoing: true } }, '192.0.2.1'],
  [
    'another host, excluded',
    { destination: '192.0.2.2', pool: { natOutgoing: true }, felix: { natOutgoingExclusions: 'IPPoolsAndHostIPs' } },
    undefined,
  ],
  [
    'an address that was set',
    { destination: '203.0.113.9', pool: { natOutgoing: true }, felix: { natOutgoingAddress: parseIp('192.0.2.100') } },
    '192.0.2.100',
  ],
  [
    'by another interface',
    { destination: '203.0.113.9', pool: { natOutgoing: true }, felix: { iptablesNATOutgoingInterfaceFilter: 'wan+' } },
    undefined,
  ],
  [
    'by this interface',
    { destination: '203.0.113.9', pool: { natOutgoing: true }, felix: { iptablesNATOutgoingInterfaceFilter: 'eth+' } },
    '192.0.2.1',
  ],
]
for (const [name, scene, want] of nats) {
  test(`NAT outgoing, ${name}: ${want ?? 'keeps its address'}`, () => {
    const { source, question } = ask(scene)
    assert.is(natAddress(source, { ...question, from: parseIp('10.65.0.9') }), want)
  })
}

/** Three hosts in one more mode each, as planned for h1 by its daemon. */
const planned: readonly (readonly [name: string, pool: Partial<IPPool['spec']>, felix: FelixConfigurationSpec])[] = [
  ['Always', { vxlanMode: 'Always' }, {}],
  ['CrossSubnet', { vxlanMode: 'CrossSubnet' }, {}],
  ['direct', { vxlanMode: 'Never' }, { programClusterRoutes: 'Enabled' }],
  ['left to BGP', { vxlanMode: 'Never' }, {}],
  ['IP-in-IP', { vxlanMode: 'Never', ipipMode: 'Always' }, {}],
]
for (const [name, pool, felix] of planned) {
  test(`routes are those that the daemon plans: ${name}`, () => {
    const view = threeHosts(pool)
    view.set('FelixConfiguration', 'default', aFelix('default', felix))
    const routes = [...planView(view, someFacts()).values()].flatMap(({ part }) => part?.routes ?? [])
    const source = { nodes: view.get('Node'), pools: view.get('IPPool'), blocks: view.get('IPAMBlock'), live: view.get('Live') }
    // Our own addresses are local whoever writes the blackhole under them.
    const others = [...view.get('IPAMBlock').values()].filter(({ affinity }) => affinity !== 'host:h1')
    for (const { cidr: block } of others) {
      const destination = formatIp(familyOf(block), rangeOf(block).first + 5n)
      const route = routes.find((one) => one.destination === block)
      const found = explainRoute(source, { node: 'h1', felix, uplink: 'eth0', destination })
      const want = route === undefined ? 'none' : `${route.link} ${route.nextHop}`
      assert.is(found.nextHop === undefined ? found.via : `${found.link} ${found.nextHop}`, want, destination)
    }
  })
}

test.run()
