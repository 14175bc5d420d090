import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLocal, anUnderlay, aPeer, aPool, MAC1, MAC2 } from '../../test/support/planning.ts'
import { parseIp } from '../net/ip.ts'
import type { Local, Peer, Reach, Unreachable } from './driver.ts'
import { driverFor, receivesOf } from './drivers.ts'

const test = suite('encap/drivers')

const far: Partial<Peer> = { underlay: { 4: parseIp('198.51.100.2'), 6: parseIp('2001:db8:0:2::2') } }
const direct = driverFor(aPool('10.65.0.0/16', { vxlanMode: 'Never' }))
const vxlan = driverFor(aPool('10.65.0.0/16', { vxlanMode: 'Always' }))
const crossSubnet = driverFor(aPool('10.65.0.0/16', { vxlanMode: 'CrossSubnet' }))
const ipip = driverFor(aPool('10.65.0.0/16', { vxlanMode: 'Never', ipipMode: 'CrossSubnet' }))

function show(reach: Reach | Unreachable): string {
  if (reach.via === 'none') return reach.reason
  return `via ${reach.nextHop} dev ${reach.link}${reach.isOnlink ? ' onlink' : ''} mtu ${reach.mtuBytes}`
}

const cases: readonly {
  name: string
  driver: typeof direct
  local?: Partial<Local>
  peer?: Partial<Peer>
  want4: string
  want6: string
}[] = [
  {
    name: 'direct: a peer on our subnet is the next hop',
    driver: direct,
    want4: 'via 192.0.2.2 dev eth0 onlink mtu 1500',
    want6: 'via 2001:db8::2 dev eth0 onlink mtu 1500',
  },
  {
    name: 'direct: a peer behind a router can not be reached',
    driver: direct,
    peer: far,
    want4: '198.51.100.2 is not on our subnet (192.0.2.0/24): direct mode needs one',
    want6: '2001:db8:0:2::2 is not on our subnet (2001:db8::/64): direct mode needs one',
  },
  {
    name: 'direct: a host whose Node states no subnet has nobody on its subnet',
    driver: direct,
    local: { underlay: { 4: anUnderlay('192.0.2.1', '192.0.2.1/32'), 6: anUnderlay('2001:db8::1', '2001:db8::1/128') } },
    want4: '192.0.2.2 is not on our subnet (192.0.2.1/32): direct mode needs one',
    want6: '2001:db8::2 is not on our subnet (2001:db8::1/128): direct mode needs one',
  },
  {
    name: 'a peer with our own address can not be reached',
    driver: direct,
    peer: { underlay: { 4: parseIp('192.0.2.1') } },
    want4: 'its Node has our own address 192.0.2.1',
    want6: 'its Node has no IPv6 address (spec.bgp.ipv6Address)',
  },
  {
    name: 'a host without an address of the family reaches nobody in it',
    driver: vxlan,
    local: { underlay: { 4: anUnderlay() } },
    want4: 'via 10.65.1.0 dev margay.vxlan onlink mtu 1450',
    want6: 'this host has no IPv6 address for other hosts',
  },
  {
    name: 'vxlan: every peer is behind its tunnel address',
    driver: vxlan,
    want4: 'via 10.65.1.0 dev margay.vxlan onlink mtu 1450',
    want6: 'via fd65::1:0 dev margay.vxlan6 onlink mtu 1430',
  },
  {
    name: 'vxlan: a peer without a tunnel address can not be reached',
    driver: vxlan,
    peer: { vtep: {} },
    want4: 'its Node has no VXLAN tunnel address yet (spec.ipv4VXLANTunnelAddr)',
    want6: 'its Node has no VXLAN tunnel address yet (spec.ipv6VXLANTunnelAddr)',
  },
  {
    name: 'vxlan: without a tunnel address of our own nobody can be reached',
    driver: vxlan,
    local: { vtep: {} },
    want4: 'this host has no VXLAN tunnel address yet',
    want6: 'this host has no VXLAN tunnel address yet',
  },
  {
    name: 'vxlan: a peer whose tunnel address is taken can not be reached, in that family only',
    driver: vxlan,
    peer: { conflict: { 4: 'its tunnel address 10.65.1.0 is also that of h0, which has it first' } },
    want4: 'its tunnel address 10.65.1.0 is also that of h0, which has it first',
    want6: 'via fd65::1:0 dev margay.vxlan6 onlink mtu 1430',
  },
  {
    name: 'cross-subnet: a peer on our subnet is routed directly',
    driver: crossSubnet,
    want4: 'via 192.0.2.2 dev eth0 onlink mtu 1500',
    want6: 'via 2001:db8::2 dev eth0 onlink mtu 1500',
  },
  {
    name: 'cross-subnet: a peer behind a router is wrapped',
    driver: crossSubnet,
    peer: far,
    want4: 'via 10.65.1.0 dev margay.vxlan onlink mtu 1450',
    want6: 'via fd65::1:0 dev margay.vxlan6 onlink mtu 1430',
  },
  {
    name: 'cross-subnet: a peer on our subnet needs no tunnel address',
    driver: crossSubnet,
    peer: { vtep: {} },
    want4: 'via 192.0.2.2 dev eth0 onlink mtu 1500',
    want6: 'via 2001:db8::2 dev eth0 onlink mtu 1500',
  },
  {
    name: 'ipip is refused by name',
    driver: ipip,
    want4: 'its pool has ipipMode, and IP-in-IP is not built in this version: use vxlanMode',
    want6: 'its pool has ipipMode, and IP-in-IP is not built in this version: use vxlanMode',
  },
]
for (const { name, driver, local, peer, want4, want6 } of cases) {
  test(name, () => {
    const reached = ([4, 6] as const).map((family) => show(driver.reach(aLocal(local), aPeer(peer), family)))
    assert.equal(reached, [want4, want6])
  })
}

test('vxlan: neighbour and FDB entry lead from the tunnel address to the underlay address', () => {
  const reach = vxlan.reach(aLocal(), aPeer(), 4)
  assert.is(reach.via, 'vxlan')
  if (reach.via === 'none') return
  assert.equal(reach.neighbours, [{ link: 'margay.vxlan', ip: '10.65.1.0', mac: MAC2 }])
  assert.equal(reach.fdb, [{ link: 'margay.vxlan', mac: MAC2, dst: '192.0.2.2' }])
})

test('vxlan: the devices are made of the underlay, the VTEP and the settings', () => {
  const local = aLocal({ vxlan: { vni: 5000, port: 4790, mtuBytes: { 6: 1400 } } })
  const common = { kind: 'vxlan', mac: MAC1, vni: 5000, port: 4790, uplink: 'eth0' }
  assert.equal(vxlan.devices(local, 4), [{ ...common, name: 'margay.vxlan', mtuBytes: 1450, local: '192.0.2.1' }])
  assert.equal(vxlan.devices(local, 6), [{ ...common, name: 'margay.vxlan6', mtuBytes: 1400, local: '2001:db8::1' }])
  assert.equal(vxlan.devices(aLocal({ vtep: {} }), 4), [])
  assert.equal(crossSubnet.devices(local, 4), vxlan.devices(local, 4))
  assert.equal(direct.devices(local, 4), [])
})

test('a host says by pool how packets may arrive', () => {
  const pools = [aPool('10.65.0.0/16'), aPool('10.66.0.0/16', { vxlanMode: 'CrossSubnet' }), aPool('fd65::/64', { vxlanMode: 'Never' })]
  assert.equal(receivesOf(pools), { '10.65.0.0/16': ['vxlan'], '10.66.0.0/16': ['direct', 'vxlan'], 'fd65::/64': ['direct'] })
})

test.run()
