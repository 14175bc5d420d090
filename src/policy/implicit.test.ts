import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { showNft } from '../../test/support/show-nft.ts'
import { parseIp } from '../net/ip.ts'
import { type ImplicitInput, planImplicit } from './implicit.ts'
import { implicitRules } from './implicit-rules.ts'

const test = suite('policy/implicit')

const nothing: ImplicitInput = {
  vxlanPort: undefined,
  hasIpip: false,
  wireguardPorts: {},
  etcd: { endpoints: [], ownPorts: [] },
  externalHosts: [],
}

function show(input: Partial<ImplicitInput>) {
  const { rules, sets } = planImplicit({ ...nothing, ...input })
  const chain = (name: string, at: 'ingress' | 'egress') => ({ kind: 'chain', name, rules: implicitRules(rules, at) }) as const
  return showNft([...sets, chain('in', 'ingress'), chain('out', 'egress')])
}

const both = (...rules: readonly string[]) => [
  'chain in',
  ...rules.map((rule) => `  ${rule.replaceAll('ADDR', 'saddr')} accept`),
  'chain out',
  ...rules.map((rule) => `  ${rule.replaceAll('ADDR', 'daddr')} accept`),
]
const bfd = (...sets: readonly string[]) =>
  [3784, 3785, 4784].flatMap((port) => sets.map((set) => `protocol 17 dport ${port} ADDR @${set}`))
const peer = (ip: string, port: number) => ({ ip: parseIp(ip), port })

const cases: readonly { name: string; input: Partial<ImplicitInput>; want: readonly string[] }[] = [
  { name: 'where nothing is used nothing is open', input: {}, want: both() },
  {
    name: 'VXLAN from and to hosts, and who stands in externalNodesList',
    input: { vxlanPort: 4790, externalHosts: ['198.51.100.0/24'] },
    want: both(...['hosts4', 'external-hosts4', 'hosts6'].map((set) => `protocol 17 dport 4790 ADDR @${set}`)),
  },
  { name: 'IP-in-IP, which is for IPv4 only', input: { hasIpip: true }, want: both('protocol 4 ADDR @hosts4') },
  {
    name: 'WireGuard, with a port for each family',
    input: { wireguardPorts: { 4: 51_820, 6: 51_821 } },
    want: both('protocol 17 dport 51820 ADDR @hosts4', 'protocol 17 dport 51821 ADDR @hosts6'),
  },
  {
    name: 'the mesh of BGP, with BFD',
    input: { bgp: { port: 179, hasHosts: true, peers: [] } },
    want: both('protocol 6 dport 179 ADDR @hosts4', 'protocol 6 dport 179 ADDR @hosts6', ...bfd('hosts4', 'hosts6')),
  },
  {
    name: 'BGP peers: they come to our port, we go to theirs',
    input: { bgp: { port: 1790, hasHosts: false, peers: [peer('192.0.2.9', 179), peer('2001:db8::9', 1791)] } },
    want: [
      'set bgp-peers4: 192.0.2.9',
      'set bgp-peers6: 2001:db8::9',
      'set bgp-peers-179-4: 192.0.2.9',
      'set bgp-peers-1791-6: 2001:db8::9',
      'chain in',
      '  protocol 6 dport 1790 saddr @bgp-peers4 accept',
      '  protocol 6 dport 1790 saddr @bgp-peers6 accept',
      ...bfd('bgp-peers4', 'bgp-peers6').map((rule) => `  ${rule.replace('ADDR', 'saddr')} accept`),
      'chain out',
      '  protocol 6 dport 179 daddr @bgp-peers-179-4 accept',
      '  protocol 6 dport 1791 daddr @bgp-peers-1791-6 accept',
      ...bfd('bgp-peers4', 'bgp-peers6').map((rule) => `  ${rule.replace('ADDR', 'daddr')} accept`),
    ],
  },
  {
    name: 'etcd: we go to where it is, hosts come to our own',
    input: { etcd: { endpoints: [peer('192.0.2.9', 2379), peer('192.0.2.8', 2379), peer('2001:db8::9', 2390)], ownPorts: [23790] } },
    want: [
      'set etcd-2379-4: 192.0.2.9 192.0.2.8',
      'set etcd-2390-6: 2001:db8::9',
      'chain in',
      '  protocol 6 dport 23790 saddr @hosts4 accept',
      '  protocol 6 dport 23790 saddr @hosts6 accept',
      'chain out',
      '  protocol 6 dport 2379 daddr @etcd-2379-4 accept',
      '  protocol 6 dport 2390 daddr @etcd-2390-6 accept',
    ],
  },
]

for (const { name, input, want } of cases) test(name, () => assert.equal(show(input), want))

test.run()
