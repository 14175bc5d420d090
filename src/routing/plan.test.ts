import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aBlock, aLocal, aPeer } from '../../test/support/planning.ts'
import { unreachable } from '../encap/direct.ts'
import type { Reach, Unreachable } from '../encap/driver.ts'
import { vxlan } from '../encap/vxlan.ts'
import type { Block } from '../model/ipam-block.ts'
import { parseIp } from '../net/ip.ts'
import { blockRoutes } from './blocks.ts'
import { planBlock, routeMetric, showRoute } from './plan.ts'

const test = suite('routing/plan')

const reaches: Readonly<Record<string, Reach | Unreachable>> = {
  h2: vxlan.reach(aLocal(), aPeer(), 4),
  h3: vxlan.reach(aLocal(), aPeer({ vtep: { 4: { ip: parseIp('10.65.3.0'), mac: aPeer().vtep[4]?.mac ?? fail() } } }), 4),
}

function fail(): never {
  throw new Error('the builder gives a VTEP')
}

function plan(block: Block): readonly string[] {
  return planBlock('h1', blockRoutes(block), (node) => reaches[node] ?? unreachable(`there is no Node ${node}`)).map(showRoute)
}

const cases: readonly { name: string; block: Block; want: readonly string[] }[] = [
  {
    name: 'a block of a peer goes to the peer',
    block: aBlock('10.65.1.0/26', 'h2', { '10.65.1.0': 'h2', '10.65.1.5': 'h2' }),
    want: ['10.65.1.0/26 via 10.65.1.0 dev margay.vxlan onlink'],
  },
  { name: 'our own block is a blackhole', block: aBlock('10.65.0.0/26', 'h1', { '10.65.0.1': 'h1' }), want: ['blackhole 10.65.0.0/26'] },
  { name: 'our own block of one address has no blackhole', block: aBlock('10.65.0.7/32', 'h1'), want: [] },
  { name: 'our own IPv6 block is a blackhole', block: aBlock('fd65::/122', 'h1'), want: ['blackhole fd65::/122'] },
  {
    name: 'an address that another host borrowed from us is on that host',
    block: aBlock('10.65.0.0/26', 'h1', { '10.65.0.1': 'h1', '10.65.0.9': 'h2' }),
    want: ['blackhole 10.65.0.0/26', '10.65.0.9/32 via 10.65.1.0 dev margay.vxlan onlink'],
  },
  {
    name: 'an address that we borrowed goes nowhere when no workload here has it',
    block: aBlock('10.65.1.0/26', 'h2', { '10.65.1.9': 'h1' }),
    want: ['10.65.1.0/26 via 10.65.1.0 dev margay.vxlan onlink', 'blackhole 10.65.1.9/32 metric 32768'],
  },
  {
    name: 'addresses that a third host borrowed are on that host',
    block: aBlock('10.65.1.0/26', 'h2', { '10.65.1.9': 'h3', '10.65.1.10': 'h3' }),
    want: [
      '10.65.1.0/26 via 10.65.1.0 dev margay.vxlan onlink',
      '10.65.1.9/32 via 10.65.3.0 dev margay.vxlan onlink',
      '10.65.1.10/32 via 10.65.3.0 dev margay.vxlan onlink',
    ],
  },
  {
    name: 'a tunnel address that was borrowed is on the device, not its own next hop',
    block: aBlock('10.65.3.0/26', 'h2', { '10.65.3.0': 'h3' }),
    want: ['10.65.3.0/26 via 10.65.1.0 dev margay.vxlan onlink', '10.65.3.0/32 dev margay.vxlan'],
  },
  {
    name: 'a block that nobody has still has its addresses',
    block: aBlock('10.65.9.0/26', undefined, { '10.65.9.1': 'h2', '10.65.9.2': 'h1' }),
    want: ['10.65.9.1/32 via 10.65.1.0 dev margay.vxlan onlink', 'blackhole 10.65.9.2/32 metric 32768'],
  },
  { name: 'a block of a host that can not be reached has no route', block: aBlock('10.65.9.0/26', 'h9'), want: [] },
]
for (const { name, block, want } of cases) test(name, () => assert.equal(plan(block), want))

test('a block that is nobody’s host’s (virtual) has no owner', () => {
  assert.is(blockRoutes({ ...aBlock('10.65.1.0/26', undefined), affinity: 'virtual:load-balancer' }).owner, undefined)
})

test('an address that was released is with the block again', () => {
  const block = aBlock('10.65.1.0/26', 'h2', { '10.65.1.9': 'h3' })
  const released = { ...block, attributes: block.attributes.map((each) => ({ ...each, releasedAt: '2026-01-01T00:00:00Z' })) }
  assert.is(blockRoutes(released).borrowed.size, 0)
})

test('an address whose holder names no node is with the block', () => {
  const block = aBlock('10.65.1.0/26', 'h2', { '10.65.1.9': 'h3' })
  assert.is(blockRoutes({ ...block, attributes: [{ handleId: 'a' }] }).borrowed.size, 0)
})

test('a metric is given as the kernel reads it back', () => {
  assert.equal([routeMetric(4, 1024), routeMetric(6, 1024), routeMetric(6, 512)], [1024, 0, 512])
})

test.run()
