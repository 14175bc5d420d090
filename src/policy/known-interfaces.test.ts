import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aHostEndpoint } from '../../test/support/policies.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { NodeSpec } from '../model/node.ts'
import { parseIp } from '../net/ip.ts'
import { knownInterfaces } from './known-interfaces.ts'

const test = suite('policy/known-interfaces')

const ip = parseIp
const underlay = [ip('192.0.2.1'), ip('2001:db8::1')]

interface Case {
  readonly name: string
  readonly endpoints?: readonly HostEndpoint['spec'][]
  readonly interfaces?: NodeSpec['interfaces']
  /** Each interface with its addresses, the uplink first. */
  readonly want: string
  readonly assumption?: RegExp
}

const cases: readonly Case[] = [
  { name: 'nothing tells: the uplink has no name', want: '(uplink) 192.0.2.1 2001:db8::1' },
  {
    name: 'the Node names the interface of the address',
    interfaces: [
      { name: 'eth0', addresses: [ip('192.0.2.1')] },
      { name: 'eth1', addresses: [ip('198.51.100.1')] },
    ],
    endpoints: [{ interfaceName: 'eth1' }],
    want: 'eth0 192.0.2.1 2001:db8::1, eth1 198.51.100.1',
  },
  {
    name: 'a host endpoint expects the address',
    endpoints: [{ interfaceName: 'eth1' }, { interfaceName: 'eth0', expectedIPs: [ip('2001:db8::1')] }],
    want: 'eth0 2001:db8::1 192.0.2.1, eth1 ',
  },
  {
    name: 'the only interface that is named is taken',
    endpoints: [{ interfaceName: 'eth0' }],
    want: 'eth0 192.0.2.1 2001:db8::1',
    assumption: /taken to be eth0/,
  },
  {
    name: 'an interface with other addresses and loopback are not taken',
    endpoints: [{ interfaceName: 'eth1', expectedIPs: [ip('198.51.100.1')] }, { interfaceName: 'lo' }],
    want: '(uplink) 192.0.2.1 2001:db8::1, eth1 198.51.100.1, lo ',
  },
  {
    name: 'of several none is taken, and all are named',
    endpoints: [{ interfaceName: 'eth0' }, { interfaceName: 'eth1' }],
    want: '(uplink) 192.0.2.1 2001:db8::1, eth0 , eth1 ',
    assumption: /may be any of eth0, eth1/,
  },
  {
    name: 'expected addresses without a name are an interface of their own, but for the one of the uplink',
    endpoints: [{ expectedIPs: [ip('192.0.2.1')] }, { expectedIPs: [ip('203.0.113.1')] }, { interfaceName: '*' }],
    want: '(uplink) 192.0.2.1 2001:db8::1, (interface of e1) 203.0.113.1',
  },
]
for (const { name, endpoints = [], interfaces, want, assumption } of cases) {
  test(name, () => {
    const record = { apiVersion: 'projectcalico.org/v3', kind: 'Node', metadata: { name: 'h1' }, spec: { interfaces } } as const
    const known = knownInterfaces({ node: 'h1', record, underlay, endpoints: endpoints.map((spec, i) => aHostEndpoint(`e${i}`, spec)) })
    const sorted = known.interfaces.toSorted(
      (a, b) => Number(b.name === known.uplink) - Number(a.name === known.uplink) || (a.name < b.name ? -1 : 1),
    )
    assert.is(sorted.map((each) => `${each.name} ${each.addresses.join(' ')}`).join(', '), want)
    if (assumption === undefined) assert.is(known.assumption, undefined)
    else assert.match(known.assumption ?? '', assumption)
  })
}

test.run()
