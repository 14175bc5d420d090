import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aHostEndpoint } from '../../test/support/policies.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import { parseIp } from '../net/ip.ts'
import { planHostEndpoints } from './host-endpoints.ts'

const test = suite('policy/host-endpoints')

const ips = (...list: readonly string[]) => list.map(parseIp)
const eth0 = { name: 'eth0', addresses: ips('192.0.2.1', '2001:db8::1') }
const eth1 = { name: 'eth1', addresses: ips('198.51.100.1') }
const workload = { name: 'mgyw1', addresses: ips('10.65.0.1') }
const lo = { name: 'lo', addresses: ips('127.0.0.1') }

const cases: readonly { name: string; endpoints: readonly HostEndpoint[]; want: Readonly<Record<string, string>>; any?: string }[] = [
  { name: 'none', endpoints: [], want: {} },
  { name: 'by the name of the interface', endpoints: [aHostEndpoint('a', { interfaceName: 'eth1' })], want: { eth1: 'a' } },
  {
    name: 'by an address of either family',
    endpoints: [aHostEndpoint('a', { expectedIPs: ips('192.0.2.9', '2001:db8::1') })],
    want: { eth0: 'a' },
  },
  {
    name: 'one that names an interface is not found by address elsewhere, and governs the name before there is the interface',
    endpoints: [
      aHostEndpoint('b', { interfaceName: 'eth9' }),
      aHostEndpoint('a', { interfaceName: 'eth9', expectedIPs: ips('192.0.2.1') }),
    ],
    want: { eth9: 'a' },
  },
  {
    name: 'of several the first by name, whichever way they match and whatever the order in the store',
    endpoints: [aHostEndpoint('b', { interfaceName: 'eth0' }), aHostEndpoint('a', { expectedIPs: ips('192.0.2.1') })],
    want: { eth0: 'a' },
  },
  {
    name: 'the one of all interfaces beside those with their own; of several the first by name',
    endpoints: [
      aHostEndpoint('z', { interfaceName: '*' }),
      aHostEndpoint('y', { interfaceName: '*' }),
      aHostEndpoint('a', { interfaceName: 'eth0' }),
    ],
    want: { eth0: 'a' },
    any: 'y',
  },
  {
    name: 'never the interface of a workload',
    endpoints: [aHostEndpoint('a', { interfaceName: 'mgyw1' }), aHostEndpoint('b', { expectedIPs: ips('10.65.0.1') })],
    want: {},
  },
  { name: 'loopback where it is named', endpoints: [aHostEndpoint('a', { interfaceName: 'lo' })], want: { lo: 'a' } },
  {
    name: 'one with an address on two interfaces is for both',
    endpoints: [aHostEndpoint('a', { expectedIPs: ips('192.0.2.1', '198.51.100.1') })],
    want: { eth0: 'a', eth1: 'a' },
  },
]

for (const { name, endpoints, want, any } of cases) {
  test(name, () => {
    const plan = planHostEndpoints(endpoints, [eth0, eth1, workload, lo], (interfaceName) => interfaceName.startsWith('mgy'))
    assert.equal(Object.fromEntries([...plan.byInterface].map(([key, endpoint]) => [key, endpoint.metadata.name])), want)
    assert.is(plan.wildcard?.metadata.name, any)
  })
}

test.run()
