import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { showNft } from '../../test/support/show-nft.ts'
import type { IPPool } from '../model/ip-pool.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { type NatInput, planNat } from './nat.ts'

const test = suite('routing/nat')

function aPool(cidr: string, natOutgoing: boolean, disabled = false): IPPool {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name: cidr },
    spec: { cidr: parseCidr(cidr), natOutgoing, disabled },
  }
}

function plan(more: Partial<NatInput>): string[] {
  const hostSets = { 4: 'hosts4', 6: 'hosts6' }
  return showNft(planNat({ pools: [], felix: {}, tunnels: [], vxlanPort: undefined, hostSets, ...more }))
}

const chain = 'chain nat-postrouting: nat postrouting 110'
const pool4 = aPool('10.65.0.0/16', true)
const pool6 = aPool('2001:db8:65::/48', true)
const sets4 = ['set masq4 interval: 10.65.0.0/16', 'set all-pools4 interval: 10.65.0.0/16']
const toOutside4 = 'saddr @masq4 daddr != @all-pools4'

const cases: readonly { name: string; input: Partial<NatInput>; want: readonly string[] }[] = [
  { name: 'a host without pools and tunnels gets no NAT chain', input: {}, want: [] },
  { name: 'a pool without natOutgoing is not translated', input: { pools: [aPool('10.65.0.0/16', false)] }, want: [chain] },
  {
    name: 'both families are translated when they leave all pools',
    input: { pools: [pool4, pool6] },
    want: [
      ...sets4,
      'set masq6 interval: 2001:db8:65::/48',
      'set all-pools6 interval: 2001:db8:65::/48',
      chain,
      `  ${toOutside4} counter masquerade random`,
      '  saddr @masq6 daddr != @all-pools6 counter masquerade random',
    ],
  },
  {
    name: 'a disabled pool counts, and a pool within another is covered',
    input: { pools: [aPool('10.66.0.0/16', true, true), pool4, aPool('10.65.8.0/24', true), aPool('10.67.0.0/16', false)] },
    want: [
      'set masq4 interval: 10.65.0.0/16 10.66.0.0/16',
      'set all-pools4 interval: 10.65.0.0/16 10.66.0.0/16 10.67.0.0/16',
      chain,
      `  ${toOutside4} counter masquerade random`,
    ],
  },
  {
    name: 'UDP keeps off the port of the tunnels',
    input: { pools: [pool4], vxlanPort: 4789 },
    want: [
      ...sets4,
      chain,
      `  ${toOutside4} protocol 17 counter masquerade 4790-65535 random`,
      `  ${toOutside4} counter masquerade random`,
    ],
  },
  {
    name: 'a range of ports is used for TCP and UDP, without the port of the tunnels',
    input: { pools: [pool4], vxlanPort: 4789, felix: { natPortRange: '4000:5000' } },
    want: [
      ...sets4,
      chain,
      `  ${toOutside4} protocol 6 counter masquerade 4000-5000 random`,
      `  ${toOutside4} protocol 17 counter masquerade 4000-4788 random`,
      `  ${toOutside4} counter masquerade random`,
    ],
  },
  {
    name: 'hosts are left out on demand, an interface filter and an address are kept to',
    input: {
      pools: [pool4, pool6],
      felix: {
        natOutgoingExclusions: 'IPPoolsAndHostIPs',
        iptablesNATOutgoingInterfaceFilter: 'eth+',
        natOutgoingAddress: parseIp('192.0.2.9'),
      },
    },
    want: [
      ...sets4,
      'set masq6 interval: 2001:db8:65::/48',
      'set all-pools6 interval: 2001:db8:65::/48',
      chain,
      `  ${toOutside4} daddr != @hosts4 oifname eth* counter snat 192.0.2.9 random`,
      '  saddr @masq6 daddr != @all-pools6 daddr != @hosts6 oifname eth* counter masquerade random',
    ],
  },
  {
    name: "the host's own packets into a tunnel get the tunnel's address",
    input: {
      tunnels: [
        { link: 'margay.vxlan', address: parseIp('10.65.1.0') },
        { link: 'margay.vxlan6', address: parseIp('2001:db8:65::1') },
      ],
      vxlanPort: 4789,
    },
    want: [
      chain,
      '  oifname margay.vxlan saddr != 10.65.1.0 saddr-type local protocol 17 counter masquerade 4790-65535 random',
      '  oifname margay.vxlan saddr != 10.65.1.0 saddr-type local counter masquerade random',
      '  oifname margay.vxlan6 saddr != 2001:db8:65::1 saddr-type local protocol 17 counter masquerade 4790-65535 random',
      '  oifname margay.vxlan6 saddr != 2001:db8:65::1 saddr-type local counter masquerade random',
    ],
  },
]

for (const { name, input, want } of cases) test(name, () => assert.equal(plan(input), want))

test.run()
