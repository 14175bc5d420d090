import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LoggedPacket } from '../kernel/nflog/nflog.ts'
import { parseIp } from '../net/ip.ts'
import type { CountedRule, LogText } from '../policy/counted-rule.ts'
import { type FlowHost, flowEvent } from './flow-event.ts'

const test = suite('daemon/flow-event')

const host: FlowHost = {
  interfaceName: (index) => ({ 1: 'eth0', 2: 'mgyw1', 3: 'mgyw2' })[index],
  ownerOf: (name, isHostEndpoint) => ({ endpoint: `${isHostEndpoint ? 'host' : 'workload'} at ${name}` }),
  logPrefix: '%t/%k/%n/%p %x',
}
const header: LoggedPacket['header'] = {
  ...{ family: 4, source: parseIp('192.0.2.9'), destination: parseIp('10.65.0.2'), protocol: 6, lengthBytes: 60 },
  ...{ sourcePort: 40_000, destinationPort: 80, tcpFlags: 2 },
}
const rule: CountedRule = {
  ...{ by: 'policy', direction: 'ingress', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', tier: 'default' },
  ...{ isStaged: false, rule: 0, action: 'Deny' },
}
const text: LogText = { counter: 'count_1', verdict: 'deny', stage: 'normal' }
const TIME = '2026-01-02T03:04:05.678Z'
const [ETH0, W1, W2] = [1, 2, 3]

function event(packet: Partial<LoggedPacket>, over: { readonly rule?: CountedRule; readonly text?: Partial<LogText> } = {}) {
  return flowEvent({ prefix: '', mark: 0, header, ...packet }, { ...text, ...over.text }, over.rule ?? rule, host, TIME)
}

test('an event says when, what, whose, why and which packet', () => {
  assert.equal(event({ inInterface: ETH0, outInterface: W1 }), {
    ...{ type: 'flow', time: TIME, verdict: 'deny', direction: 'ingress', endpoint: 'workload at mgyw1', interface: 'mgyw1' },
    decider: { by: 'policy', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', tier: 'default', rule: 0, action: 'Deny' },
    ...{ protocol: 'TCP', source: '192.0.2.9', sourcePort: 40_000, destination: '10.65.0.2', destinationPort: 80, lengthBytes: 60 },
  })
})

test('what has no rule is said as what it is', () => {
  const deciderOf = (counted: CountedRule) => event({ inInterface: ETH0, outInterface: W1 }, { rule: counted }).decider
  assert.equal(deciderOf({ by: 'missing-profile', direction: 'ingress', profile: 'gone' }), {
    ...{ by: 'missing-profile', kind: 'Profile', name: 'gone', action: 'Deny' },
  })
  assert.equal(deciderOf({ by: 'closed', direction: 'ingress' }), { by: 'closed', action: 'Deny' })
  assert.equal(deciderOf({ by: 'closed', direction: 'ingress', kind: 'NetworkPolicy', namespace: 'shop', name: 'web' }), {
    ...{ by: 'closed', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', action: 'Deny' },
  })
})

const egress: CountedRule = { ...rule, direction: 'egress' }
const places: readonly (readonly [string, ReturnType<typeof event>, string])[] = [
  ['forwarded to a workload', event({ inInterface: W1, outInterface: W2 }), 'workload at mgyw2'],
  ['forwarded from a workload', event({ inInterface: W1, outInterface: W2 }, { rule: egress }), 'workload at mgyw1'],
  ['from a workload to its host', event({ inInterface: W1 }, { rule: egress }), 'workload at mgyw1'],
  ['to the host', event({ inInterface: ETH0 }), 'host at eth0'],
  ['from the host', event({ outInterface: ETH0 }, { rule: egress }), 'host at eth0'],
  ['forwarded in by a host endpoint', event({ inInterface: ETH0, outInterface: W1 }, { text: { stage: 'forward' } }), 'host at eth0'],
  [
    'forwarded out by a host endpoint',
    event({ inInterface: W1, outInterface: ETH0 }, { rule: egress, text: { stage: 'forward' } }),
    'host at eth0',
  ],
  ['before tracking', event({ inInterface: ETH0 }, { text: { stage: 'untracked' } }), 'host at eth0'],
  ['before NAT', event({ inInterface: ETH0 }, { text: { stage: 'pre-dnat' } }), 'host at eth0'],
]
for (const [name, { endpoint }, want] of places) test(`${name}, it is the ${want.split(' at ')[0]}'s`, () => assert.is(endpoint, want))

test('of an interface that nobody knows any more the rest is told', () => {
  const { endpoint, interface: link, decider } = event({ inInterface: ETH0, outInterface: 99 })
  assert.equal([endpoint, link, decider.name], [undefined, undefined, 'web'])
})

test("what the action Log tells has Calico's prefix with its placeholders filled in", () => {
  assert.is(event({ inInterface: ETH0 }, { text: { verdict: 'log' } }).prefix, 'default/np/web/shop/web %x')
  assert.is(event({ inInterface: ETH0 }).prefix, undefined)
})

test('protocols without ports and without names', () => {
  const ping = { ...header, protocol: 1, icmp: { type: 8, code: 0 } }
  const { sourcePort: _source, destinationPort: _destination, ...portless } = ping
  const { protocol, icmp, sourcePort } = event({ inInterface: ETH0, header: portless })
  assert.equal({ protocol, icmp, sourcePort }, { protocol: 'ICMP', icmp: { type: 8, code: 0 }, sourcePort: undefined })
  assert.is(event({ inInterface: ETH0, header: { ...header, protocol: 47 } }).protocol, '47')
})

const deciders: readonly (readonly [CountedRule, unknown])[] = [
  [
    { by: 'profile', direction: 'ingress', profile: 'kns.shop', rule: 1, action: 'Deny' },
    { by: 'profile', kind: 'Profile', name: 'kns.shop', rule: 1, action: 'Deny' },
  ],
  [
    { by: 'tier', direction: 'ingress', tier: 'ops' },
    { by: 'tier', tier: 'ops', action: 'Deny' },
  ],
  [
    { by: 'end', direction: 'ingress' },
    { by: 'end', action: 'Deny' },
  ],
]
for (const [one, want] of deciders)
  test(`decided by ${one.by}`, () => assert.equal(event({ inInterface: ETH0 }, { rule: one }).decider, want))

test.run()
