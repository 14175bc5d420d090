import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { byFamily } from '../../test/support/planning.ts'
import { showNft } from '../../test/support/show-nft.ts'
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
    name: 'without tunnels there is no chain',
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

for (const { name, input, want } of cases) test(name, () => assert.equal(plan(input), want))

test.run()
