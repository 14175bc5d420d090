import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { byFamily } from '../../test/support/planning.ts'
import { showNft } from '../../test/support/show-nft.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { type FrameInput, planFrame, TUNNEL_INTERFACES, WORKLOAD_INTERFACES } from './frame.ts'

const test = suite('policy/frame')

function plan(more: Partial<FrameInput>): string[] {
  const interfaces = { workloadInterfaces: WORKLOAD_INTERFACES, tunnelInterfaces: TUNNEL_INTERFACES, otherInterfaces: ['docker*'] }
  return showNft(planFrame({ hosts: byFamily([]), externalHosts: [], vxlan: undefined, forwardOnlyOurs: false, ...interfaces, ...more }))
}

const hosts = byFamily(['192.0.2.1', '192.0.2.2', '2001:db8::1'].map(parseIp))
const toVxlan = 'protocol 17 dport 4789'

const cases: readonly { name: string; input: Partial<FrameInput>; want: readonly string[] }[] = [
  {
    name: 'without tunnels and workloads there is no base chain',
    input: { hosts },
    want: ['set hosts4: 192.0.2.1 192.0.2.2', 'set hosts6: 2001:db8::1'],
  },
  {
    name: 'tunnel packets are taken from known hosts and never from workloads',
    input: { hosts, vxlan: { port: 4789, isAllowedFromWorkloads: false } },
    want: [
      'set hosts4: 192.0.2.1 192.0.2.2',
      'set hosts6: 2001:db8::1',
      'chain tunnel-received',
      '  iifname mgy* counter drop',
      '  saddr @hosts4 notrack',
      '  saddr @hosts6 notrack',
      '  daddr-type local counter drop',
      'chain tunnel-sent',
      '  daddr @hosts4 notrack',
      '  daddr @hosts6 notrack',
      'chain raw-prerouting: filter prerouting -300',
      `  ${toVxlan} goto tunnel-received`,
      'chain raw-output: filter output -300',
      `  ${toVxlan} goto tunnel-sent`,
    ],
  },
  {
    name: 'external hosts are senders too, and workloads may be allowed to tunnel',
    input: { externalHosts: ['198.51.100.7', '198.51.100.0/24'], vxlan: { port: 4790, isAllowedFromWorkloads: true } },
    want: [
      'set hosts4: ',
      'set hosts6: ',
      'set external-hosts4 interval: 198.51.100.0/24',
      'chain tunnel-received',
      ...['hosts4', 'hosts6', 'external-hosts4'].map((set) => `  saddr @${set} notrack`),
      '  daddr-type local counter drop',
      'chain tunnel-sent',
      ...['hosts4', 'hosts6', 'external-hosts4'].map((set) => `  daddr @${set} notrack`),
      'chain raw-prerouting: filter prerouting -300',
      '  protocol 17 dport 4790 goto tunnel-received',
      'chain raw-output: filter output -300',
      '  protocol 17 dport 4790 goto tunnel-sent',
    ],
  },
  {
    name: 'IP-in-IP is taken from known hosts, too, where a tunnel uses it',
    input: { hosts, ipip: { isAllowedFromWorkloads: false } },
    want: [
      'set hosts4: 192.0.2.1 192.0.2.2',
      'set hosts6: 2001:db8::1',
      'chain ipip-received',
      '  iifname mgy* counter drop',
      '  saddr @hosts4 notrack',
      '  saddr @hosts6 notrack',
      '  daddr-type local counter drop',
      'chain tunnel-sent',
      '  daddr @hosts4 notrack',
      '  daddr @hosts6 notrack',
      'chain raw-prerouting: filter prerouting -300',
      '  protocol 4 goto ipip-received',
      'chain raw-output: filter output -300',
      '  protocol 4 goto tunnel-sent',
    ],
  },
  {
    name: 'workloads are asked who they are behind tunnels, and in front of them where they may tunnel themselves',
    input: {
      workloadInterfaces: ['mgy*', 'tap0'],
      vxlan: { port: 4789, isAllowedFromWorkloads: true },
      senders: {
        addresses: { 4: new Set(['mgy1,02:00:5e:00:53:01,10.65.0.2']), 6: new Set(['mgy1,02:00:5e:00:53:01,fd65::2']) },
        macs: new Set(['mgy1,02:00:5e:00:53:01']),
        addressesWithoutMac: { 4: new Set(['tap0,10.65.0.3']), 6: new Set() },
        linksWithoutMac: new Set(['tap0']),
        prefixes: new Map([['tap0', [parseCidr('198.51.100.0/24')]]]),
      },
    },
    want: [
      'set hosts4: ',
      'set hosts6: ',
      'set senders4: mgy1,02:00:5e:00:53:01,10.65.0.2',
      'set senders6: mgy1,02:00:5e:00:53:01,fd65::2',
      'set sender-macs: mgy1,02:00:5e:00:53:01',
      'set addresses4: tap0,10.65.0.3',
      'set addresses6: ',
      'set links-without-mac: tap0',
      'set workload-interfaces: tap0',
      'chain workload-sender-exceptions',
      '  saddr fe80::/10 return',
      '  saddr ::/128 protocol 58 return',
      '  saddr 0.0.0.0/32 daddr 255.255.255.255/32 protocol 17 dport 67 return',
      '  iifname tap0 saddr 198.51.100.0/24 return',
      '  counter drop',
      'chain workload-senders',
      ...['senders4', 'senders6', 'addresses4', 'addresses6'].map((set) => `  sender @${set} return`),
      ...['sender-macs', 'links-without-mac'].map((set) => `  sender @${set} goto workload-sender-exceptions`),
      '  counter drop',
      'chain tunnel-received',
      '  iifname mgy* jump workload-senders',
      '  sender @workload-interfaces jump workload-senders',
      '  saddr @hosts4 notrack',
      '  saddr @hosts6 notrack',
      '  daddr-type local counter drop',
      'chain tunnel-sent',
      '  daddr @hosts4 notrack',
      '  daddr @hosts6 notrack',
      'chain raw-prerouting: filter prerouting -300',
      '  protocol 17 dport 4789 goto tunnel-received',
      '  iifname mgy* jump workload-senders',
      '  sender @workload-interfaces jump workload-senders',
      'chain raw-output: filter output -300',
      '  protocol 17 dport 4789 goto tunnel-sent',
    ],
  },
  {
    name: 'a host that did not forward before forwards for us only',
    input: { forwardOnlyOurs: true },
    want: [
      'set hosts4: ',
      'set hosts6: ',
      'chain filter-forward: filter forward 0',
      '  iifname != mgy* oifname != mgy* iifname != margay.* oifname != margay.* iifname != docker* oifname != docker* counter drop',
    ],
  },
]

const TRACKING = ['chain tracking', '  ct-state established return']

for (const { name, input, want } of cases) test(name, () => assert.equal(plan(input), [...want, ...TRACKING]))

test.run()
