import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLocal, anUnderlay, aPeer, aPoolDriver, MAC1, MAC2 } from '../../test/support/planning.ts'
import type { Desired } from '../kernel/objects.ts'
import { workloadMtu } from './mtu.ts'
import { type DeviceInput, planDevices, planPeer, tunnelAddressRoute } from './plan.ts'

const test = suite('encap/plan')

const vxlan4 = aPoolDriver('10.65.0.0/16')
const vxlan6 = aPoolDriver('fd65::/64')
const cross4 = aPoolDriver('10.66.0.0/16', { vxlanMode: 'CrossSubnet' })
const direct4 = aPoolDriver('10.67.0.0/16', { vxlanMode: 'Never' })

function anInput(over: Partial<DeviceInput> = {}): DeviceInput {
  return { local: aLocal(), pools: [vxlan4], isSettling: false, hasIpv6: true, filteredUplinks: [], ...over }
}

function names({ links = [] }: Desired): readonly string[] {
  return links.map((link) => link.name)
}

test('a VXLAN pool has a device with its tunnel address and parameters', () => {
  const part = planDevices(anInput())
  assert.equal(part.links, [
    { kind: 'vxlan', name: 'margay.vxlan', mtuBytes: 1450, mac: MAC1, vni: 4096, port: 4789, local: '192.0.2.1', uplink: 'eth0' },
  ])
  assert.equal(part.addresses, [{ link: 'margay.vxlan', address: '10.65.0.0/32' }])
  assert.equal(part.sysctls, [
    { key: 'net/ipv4/conf/margay.vxlan/rp_filter', value: '0' },
    { key: 'net/ipv4/conf/margay.vxlan/forwarding', value: '1' },
    { key: 'net/ipv6/conf/margay.vxlan/disable_ipv6', value: '1' },
  ])
})

test('a tunnel checks sources loosely where the host checks them, and else not at all', () => {
  const checkOf = (filteredUplinks: readonly string[]) =>
    planDevices(anInput({ filteredUplinks })).sysctls?.find(({ key }) => key === 'net/ipv4/conf/margay.vxlan/rp_filter')?.value
  assert.equal([checkOf([]), checkOf(['eth0'])], ['0', '2'])
})

test('an IPv6 pool has a device of its own, over the IPv6 underlay', () => {
  const part = planDevices(anInput({ pools: [vxlan6] }))
  assert.equal(names(part), ['margay.vxlan6'])
  assert.equal(part.addresses, [{ link: 'margay.vxlan6', address: 'fd65::/128' }])
  assert.equal(part.sysctls, [
    { key: 'net/ipv6/conf/margay.vxlan6/disable_ipv6', value: '0' },
    { key: 'net/ipv6/conf/margay.vxlan6/accept_ra', value: '0' },
    { key: 'net/ipv6/conf/margay.vxlan6/forwarding', value: '1' },
  ])
})

const deviceCases: readonly { name: string; input: Partial<DeviceInput>; want: readonly string[] }[] = [
  { name: 'no pool, no device', input: { pools: [] }, want: [] },
  { name: 'pools without encapsulation need no device', input: { pools: [direct4] }, want: [] },
  { name: 'cross-subnet needs the device', input: { pools: [cross4] }, want: ['margay.vxlan'] },
  { name: 'each family has its device', input: { pools: [vxlan4, vxlan6] }, want: ['margay.vxlan', 'margay.vxlan6'] },
  { name: 'without a tunnel address there is no device', input: { local: aLocal({ vtep: {} }) }, want: [] },
  { name: 'without an underlay address there is no device', input: { local: aLocal({ underlay: {} }) }, want: [] },
  {
    name: 'the devices of before stay while a switch settles',
    input: { pools: [direct4], isSettling: true },
    want: ['margay.vxlan', 'margay.vxlan6'],
  },
]
for (const { name, input, want } of deviceCases) test(name, () => assert.equal(names(planDevices(anInput(input))), want))

test('a kernel without IPv6 is asked for nothing of it', () => {
  const part = planDevices(anInput({ hasIpv6: false }))
  assert.equal(
    part.sysctls?.filter(({ key }) => key.startsWith('net/ipv6')),
    [],
  )
})

test('an uplink that checks sources is made to check loosely where packets may come unwrapped, and only there', () => {
  const loose = { key: 'net/ipv4/conf/eth0/rp_filter', value: '2' }
  const has = (input: Partial<DeviceInput>) => planDevices(anInput(input)).sysctls?.some(({ key }) => key === loose.key)
  assert.equal(planDevices(anInput({ pools: [direct4], filteredUplinks: ['eth0'] })).sysctls, [loose])
  assert.is(has({ pools: [cross4], filteredUplinks: ['eth0'] }), true)
  assert.is(has({ pools: [vxlan4], filteredUplinks: ['eth0'] }), false)
  assert.is(has({ pools: [vxlan4], filteredUplinks: ['eth0'], isSettling: true }), true)
  assert.is(has({ pools: [direct4], filteredUplinks: ['eth1'] }), false)
})

test('a peer has one neighbour and one FDB entry for each family with a device', () => {
  assert.equal(planPeer(aLocal(), aPeer(), [4, 6]), {
    neighbours: [
      { link: 'margay.vxlan', ip: '10.65.1.0', mac: MAC2 },
      { link: 'margay.vxlan6', ip: 'fd65::1:0', mac: MAC2 },
    ],
    fdb: [
      { link: 'margay.vxlan', mac: MAC2, dst: '192.0.2.2' },
      { link: 'margay.vxlan6', mac: MAC2, dst: '2001:db8::2' },
    ],
  })
  assert.equal(planPeer(aLocal(), aPeer({ vtep: {} }), [4, 6]), { neighbours: [], fdb: [] })
  assert.equal(planPeer(aLocal(), aPeer(), []), { neighbours: [], fdb: [] })
})

test('a tunnel address by itself is on the device', () => {
  const want = { table: 254, destination: '10.65.1.0/32', metric: 0, type: 'unicast', link: 'margay.vxlan' }
  assert.equal(tunnelAddressRoute(aLocal(), aPeer(), 4, 254), want)
})

test('workloads have the smallest MTU that any pool of their family leaves', () => {
  const mtu = (pools: DeviceInput['pools'], local = aLocal()) => [workloadMtu(local, pools, 4), workloadMtu(local, pools, 6)]
  assert.equal(mtu([]), [1500, 1500])
  assert.equal(mtu([direct4]), [1500, 1500])
  assert.equal(mtu([direct4, cross4]), [1450, 1500])
  assert.equal(mtu([vxlan4, vxlan6]), [1450, 1430])
  assert.equal(mtu([vxlan4], aLocal({ underlay: { 4: anUnderlay('192.0.2.1', '192.0.2.0/24', { mtuBytes: 9000 }) } })), [8950, 9000])
  assert.equal(mtu([vxlan4], aLocal({ vxlan: { vni: 4096, port: 4789, mtuBytes: { 4: 1400 } } })), [1400, 1500])
  assert.equal(mtu([vxlan6], aLocal({ underlay: { 6: anUnderlay('2001:db8::1', '2001:db8::/64', { mtuBytes: 1300 }) } })), [1300, 1280])
  assert.equal(mtu([], aLocal({ underlay: {} })), [1500, 1500])
})

test.run()
