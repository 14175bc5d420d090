import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aBlock, aFelix, aLive, aNode, anEndpoint, aPool, someFacts, type TestView, threeHosts } from '../../test/support/planning.ts'
import type { Desired, Route } from '../kernel/objects.ts'
import type { PeerReport } from '../model/own/api.ts'
import { showRoute } from '../routing/plan.ts'
import { describePeers } from './describe-peers.ts'
import type { Facts } from './facts.ts'
import { planView } from './plan-view.ts'

const test = suite('daemon/plan-view')

function all<T extends keyof Desired>(view: TestView, table: T, facts: Partial<Facts> = {}): readonly unknown[] {
  return [...planView(view, someFacts(facts)).values()].flatMap(({ part }) => (part?.[table] ?? []) as readonly unknown[])
}

/** The routes that IPv6 needs beside those of blocks, so that the kernel takes a tunnel address for a next hop. */
const TUNNEL_ROUTES6 = ['fd65::2:0/128 dev margay.vxlan6', 'fd65::3:0/128 dev margay.vxlan6']

function routes(view: TestView, facts: Partial<Facts> = {}): readonly string[] {
  return (all(view, 'routes', facts) as readonly Route[]).map(showRoute)
}

function problems(view: TestView, facts: Partial<Facts> = {}): readonly string[] {
  return [...planView(view, someFacts(facts)).values()].flatMap((plan) => plan.problems)
}

function waits(view: TestView, facts: Partial<Facts> = {}): readonly string[] {
  return [...planView(view, someFacts(facts)).values()].flatMap((plan) => plan.waits)
}

function peers(view: TestView, facts: Partial<Facts> = {}): readonly string[] {
  return describePeers(view.context(facts), new Map()).map(showPeer)
}

function showPeer({ node, family, mode, nextHop = '-', mtuBytes = 0, blocks, isReachable, reason = '' }: PeerReport): string {
  return `${node} v${family} ${mode} ${nextHop} ${mtuBytes} ${blocks}${isReachable ? '' : ' unreachable'}${reason && `: ${reason}`}`
}

const programmed = aFelix('default', { programClusterRoutes: 'Enabled' })

test('vxlan: every block is behind its host’s tunnel address', () => {
  assert.equal(routes(threeHosts()), [
    'blackhole 10.65.1.0/26',
    '10.65.2.0/26 via 10.65.2.0 dev margay.vxlan onlink',
    '10.65.3.0/26 via 10.65.3.0 dev margay.vxlan onlink',
    'blackhole fd65::1:0/122',
    'fd65::2:0/122 via fd65::2:0 dev margay.vxlan6 onlink',
    'fd65::3:0/122 via fd65::3:0 dev margay.vxlan6 onlink',
    ...TUNNEL_ROUTES6,
  ])
  assert.equal(problems(threeHosts()), [])
})

test('vxlan-cross-subnet: the same subnet is routed, the rest is wrapped', () => {
  const view = threeHosts({ vxlanMode: 'CrossSubnet' })
  assert.equal(routes(view), [
    'blackhole 10.65.1.0/26',
    '10.65.2.0/26 via 192.0.2.2 dev eth0 onlink',
    '10.65.3.0/26 via 10.65.3.0 dev margay.vxlan onlink',
    'blackhole fd65::1:0/122',
    'fd65::2:0/122 via 2001:db8::2 dev eth0 onlink',
    'fd65::3:0/122 via fd65::3:0 dev margay.vxlan6 onlink',
    ...TUNNEL_ROUTES6,
  ])
  assert.equal(peers(view), [
    'h2 v4 direct 192.0.2.2 1500 1',
    'h2 v6 direct 2001:db8::2 1500 1',
    'h3 v4 vxlan 10.65.3.0 1450 1',
    'h3 v6 vxlan fd65::3:0 1430 1',
  ])
})

test('direct: only the same subnet is reached, and status says why not the rest', () => {
  const view = threeHosts({ vxlanMode: 'Never' }).set('FelixConfiguration', 'default', programmed)
  assert.equal(routes(view), [
    'blackhole 10.65.1.0/26',
    '10.65.2.0/26 via 192.0.2.2 dev eth0 onlink',
    'blackhole fd65::1:0/122',
    'fd65::2:0/122 via 2001:db8::2 dev eth0 onlink',
  ])
  assert.equal(all(view, 'links'), [])
  assert.equal(peers(view), [
    'h2 v4 direct 192.0.2.2 1500 1',
    'h2 v6 direct 2001:db8::2 1500 1',
    'h3 v4 none - 0 1 unreachable: 198.51.100.3 is not on our subnet (192.0.2.0/24): direct mode needs one',
    'h3 v6 none - 0 1 unreachable: 2001:db8:0:2::3 is not on our subnet (2001:db8::/64): direct mode needs one',
  ])
})

test('without encapsulation and without the setting no route is ours, and it is said once for each pool', () => {
  const view = threeHosts({ vxlanMode: 'Never' })
  assert.equal(routes(view), [])
  assert.is(problems(view).length, 2)
  assert.match(problems(view)[0] ?? '', /^pool 10\.65\.0\.0\/16 has no encapsulation/)
})

test('a peer without a tunnel address has no route, and status says why', () => {
  const view = threeHosts().node(aNode('h2', { v4: '192.0.2.2/24', v6: '2001:db8::2/64', tunnel6: 'fd65::2:0' }))
  assert.is(routes(view).includes('10.65.2.0/26 via 10.65.2.0 dev margay.vxlan onlink'), false)
  assert.is(peers(view)[0], 'h2 v4 none - 0 1 unreachable: its Node has no VXLAN tunnel address yet (spec.ipv4VXLANTunnelAddr)')
  assert.is(peers(view)[1], 'h2 v6 vxlan fd65::2:0 1430 1')
})

test('a block whose host has no Node has no route', () => {
  const view = threeHosts().set('Node', 'h2', undefined)
  assert.is(
    routes(view).some((route) => route.startsWith('10.65.2.0/26')),
    false,
  )
})

test('of two hosts with one tunnel address only the first by name is used', () => {
  const view = threeHosts().node(aNode('h9', { v4: '192.0.2.9/24', tunnel4: '10.65.2.0' }))
  assert.is(all(view, 'fdb').length, 4)
  assert.ok(
    peers(view).includes('h9 v4 none - 0 0 unreachable: its tunnel address 10.65.2.0 is also that of h2, which has it first'),
    peers(view).join('\n'),
  )
})

test('a host with our own tunnel address is named', () => {
  assert.equal(problems(threeHosts().node(aNode('h0', { v4: '192.0.2.10/24', tunnel4: '10.65.1.0' }))), [
    "Node h0 has this host's tunnel address or MAC: change one of them",
  ])
})

test('a tunnel address outside of its host’s blocks has a route of its own', () => {
  const view = threeHosts().node(aNode('h2', { v4: '192.0.2.2/24', tunnel4: '10.65.77.1' }))
  assert.ok(routes(view).includes('10.65.77.1/32 dev margay.vxlan'))
  view.block(aBlock('10.65.77.0/26', 'h3', { '10.65.77.1': 'h2' }))
  assert.equal(
    routes(view).filter((route) => route.startsWith('10.65.77.1/32')),
    ['10.65.77.1/32 dev margay.vxlan'],
  )
})

test('a borrowed address that a workload here has is on its interface, before the blackhole under it', () => {
  const view = threeHosts()
    .block(aBlock('10.65.2.0/26', 'h2', { '10.65.2.9': 'h1' }))
    .endpoint(anEndpoint('w1', 'h1', ['10.65.2.9']))
  const netns = new Map([['default/w1', '/run/margay/netns/default_w1']])
  assert.equal(
    routes(view, { netns }).filter((route) => route.includes('10.65.2.9/32')),
    ['blackhole 10.65.2.9/32 metric 32768', '10.65.2.9/32 dev mgyw1 metric 1024'],
  )
})

test('endpoints of other hosts are not planned here', () => {
  assert.equal(all(threeHosts().endpoint(anEndpoint('w1', 'h2', ['10.65.2.9'])), 'links').length, 2)
})

test('a block outside of every pool has no route and is named', () => {
  const view = threeHosts().block(aBlock('10.99.0.0/26', 'h2'))
  assert.equal(problems(view), ['block 10.99.0.0/26 of h2 is in no pool: there is no route to it'])
})

test('two pools of one family with different modes are two rows of a peer', () => {
  const view = threeHosts().pool(aPool('10.66.0.0/16', { vxlanMode: 'CrossSubnet' }))
  view.block(aBlock('10.66.2.0/26', 'h2')).block(aBlock('10.66.2.64/26', 'h2'))
  assert.equal(peers(view).slice(0, 2), ['h2 v4 vxlan 10.65.2.0 1450 1', 'h2 v4 direct 192.0.2.2 1500 2'])
})

test('with networking off nothing but the frame and the rules of endpoints are planned', () => {
  const plans = planView(threeHosts(), someFacts({ isNetworkingEnabled: false }))
  assert.equal([...plans.keys()], ['frame', 'policy'])
  assert.equal(problems(threeHosts(), { isNetworkingEnabled: false }), [])
})

test('a switch to cross-subnet moves a peer when it says that it receives directly', () => {
  const view = threeHosts({ vxlanMode: 'CrossSubnet' }).live(aLive('h2', { '10.65.0.0/16': ['vxlan'], 'fd65::/64': ['vxlan'] }))
  const isSettling = true
  assert.ok(routes(view, { isSettling }).includes('10.65.2.0/26 via 10.65.2.0 dev margay.vxlan onlink'))
  assert.equal(waits(view, { isSettling }), ['h2 10.65.0.0/16', 'h2 fd65::/64'])
  assert.is(peers(view, { isSettling })[0], 'h2 v4 vxlan 10.65.2.0 1450 1: waits until it says that it receives direct')
  const timedOut = new Set(['h2 10.65.0.0/16'])
  assert.ok(routes(view, { isSettling, timedOut }).includes('10.65.2.0/26 via 192.0.2.2 dev eth0 onlink'))
  assert.equal(waits(view, { isSettling, timedOut }), ['h2 fd65::/64'])
  view.live(aLive('h2', { '10.65.0.0/16': ['direct', 'vxlan'], 'fd65::/64': ['direct', 'vxlan'] }))
  assert.ok(routes(view, { isSettling }).includes('10.65.2.0/26 via 192.0.2.2 dev eth0 onlink'))
  assert.equal(waits(view, { isSettling }), [])
})

test('a switch to direct keeps device, entries and the smaller MTU until it has settled', () => {
  const view = threeHosts({ vxlanMode: 'Never' }).set('FelixConfiguration', 'default', programmed)
  view.endpoint(anEndpoint('w1', 'h1', ['10.65.1.9']))
  const netns = new Map([['default/w1', '/run/margay/netns/default_w1']])
  const look = (facts: Partial<Facts>) => ({
    links: (all(view, 'links', facts) as readonly { name: string; mtuBytes: number }[]).map(({ name, mtuBytes }) => `${name} ${mtuBytes}`),
    entries: all(view, 'fdb', facts).length,
  })
  assert.equal(look({ netns, isSettling: true }), { links: ['margay.vxlan 1450', 'margay.vxlan6 1430', 'mgyw1 1450'], entries: 4 })
  assert.equal(look({ netns }), { links: ['mgyw1 1500'], entries: 0 })
})

test('a host with a workload has a route to the workloads’ gateway, so that proxy ARP answers for it', () => {
  const gateway = '169.254.1.1/32 dev eth0 metric 32768'
  assert.is(routes(threeHosts()).includes(gateway), false)
  assert.is(routes(threeHosts().endpoint(anEndpoint('w1', 'h1', ['10.65.1.9']))).includes(gateway), true)
})

test('forwarding is turned on by a pool, and by nothing on a host without one', () => {
  const keys = (view: TestView, facts: Partial<Facts> = {}) =>
    (all(view, 'sysctls', facts) as readonly { key: string }[]).map(({ key }) => key).filter((key) => !key.includes('margay.'))
  assert.equal(keys(threeHosts(), { advertisedLinks: ['eth0'] }), [
    'net/ipv4/ip_forward',
    'net/ipv6/conf/eth0/accept_ra',
    'net/ipv6/conf/all/forwarding',
  ])
  const bare = threeHosts()
  for (const name of [...bare.get('IPPool').keys()]) bare.set('IPPool', name, undefined)
  assert.equal(keys(bare), [])
  assert.equal(keys(threeHosts().set('FelixConfiguration', 'default', aFelix('default', { ipForwarding: 'Disabled' }))), [])
})

test.run()
