import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anEndpoint } from '../../test/support/planning.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'
import { allowedSources } from './anti-spoofing.ts'
import { workloadInterface } from './interfaces.ts'
import { type EndpointInput, planEndpoint } from './plan.ts'

const test = suite('workloads/plan')

const both = anEndpoint('w1', 'h1', ['10.65.0.1', 'fd65::1'], { mac: parseMac('0a:00:00:00:00:01') })

function plan(over: Partial<EndpointInput> = {}) {
  return planEndpoint({
    endpoint: both,
    netns: '/run/margay/netns/default_w1',
    mtuBytes: { 4: 1450, 6: 1430 },
    hasIpv6: true,
    felix: {},
    metricOf: (family: Family, priority: number) => (family === 6 && priority === 1024 ? 0 : priority),
    ...over,
  })
}

test('a workload with both families has all that it needs', () => {
  assert.equal(plan(), {
    problem: undefined,
    part: {
      links: [
        {
          kind: 'veth',
          name: 'mgyw1',
          mtuBytes: 1430,
          mac: 'ee:ee:ee:ee:ee:ee',
          peer: {
            netns: '/run/margay/netns/default_w1',
            name: 'eth0',
            mac: '0a:00:00:00:00:01',
            addresses: ['10.65.0.1/32', 'fd65::1/128'],
            gateways: ['169.254.1.1', 'fe80::1'],
          },
        },
      ],
      sysctls: [
        { key: 'net/ipv4/conf/mgyw1/rp_filter', value: '1' },
        { key: 'net/ipv4/conf/mgyw1/proxy_arp', value: '1' },
        { key: 'net/ipv4/neigh/mgyw1/proxy_delay', value: '0' },
        { key: 'net/ipv4/conf/mgyw1/forwarding', value: '1' },
        { key: 'net/ipv4/conf/mgyw1/accept_source_route', value: '0' },
        { key: 'net/ipv6/conf/mgyw1/disable_ipv6', value: '0' },
        { key: 'net/ipv6/conf/mgyw1/accept_ra', value: '0' },
        { key: 'net/ipv6/conf/mgyw1/proxy_ndp', value: '1' },
        { key: 'net/ipv6/neigh/mgyw1/proxy_delay', value: '0' },
        { key: 'net/ipv6/conf/mgyw1/forwarding', value: '1' },
      ],
      addresses: [{ link: 'mgyw1', address: 'fe80::1/64' }],
      neighbours: [
        { link: 'mgyw1', ip: '10.65.0.1', mac: '0a:00:00:00:00:01' },
        { link: 'mgyw1', ip: 'fd65::1', mac: '0a:00:00:00:00:01' },
      ],
      routes: [
        { table: 254, destination: '10.65.0.1/32', metric: 1024, type: 'unicast', link: 'mgyw1' },
        { table: 254, destination: 'fd65::1/128', metric: 0, type: 'unicast', link: 'mgyw1' },
      ],
    },
  })
})

test('a workload of one family has nothing of the other', () => {
  const { part } = plan({ endpoint: anEndpoint('w1', 'h1', ['10.65.0.1']) })
  assert.equal(part.addresses, [])
  assert.equal(part.neighbours, [])
  assert.equal(
    part.sysctls?.filter(({ key }) => key.startsWith('net/ipv6')),
    [{ key: 'net/ipv6/conf/mgyw1/disable_ipv6', value: '1' }],
  )
  assert.equal(
    part.links?.map((link) => link.mtuBytes),
    [1450],
  )
})

test('an interface that somebody else made gets routes and parameters, and is not made again', () => {
  const endpoint = anEndpoint('w1', 'h1', ['10.65.0.1', 'fd65::1'], { orchestrator: 'cni', interfaceName: 'calia' })
  const { part, problem } = plan({ endpoint, netns: undefined })
  assert.is(problem, undefined)
  assert.equal([part.links, part.addresses], [[], []])
  assert.equal(
    part.routes?.map(({ destination, link }) => `${destination} ${link}`),
    ['10.65.0.1/32 calia', 'fd65::1/128 calia'],
  )
})

const refused: readonly { name: string; input: Partial<EndpointInput>; problem: string }[] = [
  {
    name: 'an endpoint of ours whose namespace is gone is not set up',
    input: { netns: undefined },
    problem: 'its network namespace is not there on this host',
  },
  {
    name: 'an endpoint without an address is not set up',
    input: { endpoint: anEndpoint('w1', 'h1', []) },
    problem: 'it has no address (spec.ipNetworks is empty)',
  },
  {
    name: 'an endpoint with a whole subnet is not set up',
    input: { endpoint: anEndpoint('w1', 'h1', ['10.65.0.0/26']) },
    problem: "spec.ipNetworks has 10.65.0.0/26, and an endpoint's addresses are /32 or /128",
  },
  {
    name: 'an endpoint with an address twice is not set up',
    input: { endpoint: anEndpoint('w1', 'h1', ['10.65.0.1', '10.65.0.1/32']) },
    problem: 'spec.ipNetworks has 10.65.0.1/32 twice',
  },
  {
    name: 'an endpoint without an interface is not set up',
    input: { endpoint: anEndpoint('w1', 'h1', ['10.65.0.1'], { interfaceName: undefined }) },
    problem: 'its record names no interface (spec.interfaceName)',
  },
  {
    name: 'foreign sources need the permission of FelixConfiguration',
    input: { endpoint: anEndpoint('w1', 'h1', ['10.65.0.1'], { allowSpoofedSourcePrefixes: [parseInterfaceAddress('192.0.2.0/24')] }) },
    problem: 'it has allowSpoofedSourcePrefixes, and FelixConfiguration workloadSourceSpoofing is not "Any"',
  },
  {
    name: 'an IPv6 workload on a kernel without IPv6 is not set up',
    input: { endpoint: anEndpoint('w1', 'h1', ['fd65::1']), hasIpv6: false },
    problem: "its address fd65::1 can't be used: the host's kernel has no IPv6",
  },
]
for (const { name, input, problem } of refused) test(name, () => assert.equal(plan(input), { part: {}, problem }))

test('on a kernel without IPv6 a workload of both families keeps IPv4', () => {
  const { part, problem } = plan({ hasIpv6: false })
  assert.is(problem, "its address fd65::1 can't be used: the host's kernel has no IPv6")
  assert.equal(
    part.routes?.map(({ destination }) => destination),
    ['10.65.0.1/32'],
  )
  assert.is(
    part.sysctls?.some(({ key }) => key.startsWith('net/ipv6')),
    false,
  )
})

test('permitted foreign sources turn the check of sources off', () => {
  const endpoint = anEndpoint('w1', 'h1', ['10.65.0.1'], { allowSpoofedSourcePrefixes: [parseInterfaceAddress('192.0.2.0/24')] })
  const { part } = plan({ endpoint, felix: { workloadSourceSpoofing: 'Any' } })
  assert.equal(part.sysctls?.[0], { key: 'net/ipv4/conf/mgyw1/rp_filter', value: '0' })
  assert.equal(allowedSources(endpoint, 4), { link: 'mgyw1', own: ['10.65.0.1/32'], spoofed: ['192.0.2.0/24'] })
  assert.equal(allowedSources(endpoint, 6), { link: 'mgyw1', own: [], spoofed: [] })
})

test('an interface is named by namespace and name and fits the kernel', () => {
  assert.is(workloadInterface('default', 'web'), 'mgy5887b1109c7')
  assert.is(workloadInterface('default', 'web').length, 14)
  assert.is.not(workloadInterface('a', 'b'), workloadInterface('a', 'c'))
})

test.run()
