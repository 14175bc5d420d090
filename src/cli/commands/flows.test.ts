import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run, startFakeDaemon } from '../../../test/support/cli.ts'
import type { FlowEvent, FlowLine, StatsReport } from '../../model/own/flows.ts'
import { parseIp } from '../../net/ip.ts'

const test = suite('cli/commands/flows')

const time = '2026-01-02T03:04:05.678Z'
const web = { by: 'policy', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', tier: 'default', rule: 2, action: 'Deny' } as const
const denied: FlowEvent = {
  ...{
    type: 'flow',
    time,
    verdict: 'deny',
    direction: 'ingress',
    endpoint: 'shop/front',
    endpointKind: 'WorkloadEndpoint',
    interface: 'mgy1',
  },
  decider: web,
  ...{ protocol: 'TCP', source: parseIp('192.0.2.9'), sourcePort: 40_000, destination: parseIp('10.65.0.2'), destinationPort: 81 },
  lengthBytes: 60,
}
const allowed: FlowEvent = {
  ...{ type: 'flow', time, verdict: 'allow', direction: 'egress', endpoint: 'h1-eth0', endpointKind: 'HostEndpoint', interface: 'eth0' },
  decider: { by: 'policy', kind: 'GlobalNetworkPolicy', name: 'out', tier: 'ops', rule: 0, action: 'Allow' },
  ...{ protocol: 'UDP', source: parseIp('2001:db8::1'), sourcePort: 40_000, destination: parseIp('2001:db8::2'), destinationPort: 53 },
  lengthBytes: 80,
}
const logged: FlowEvent = { ...denied, verdict: 'log', prefix: 'calico-packet', decider: { ...web, rule: 0, action: 'Log' } }
const pinged: FlowEvent = {
  ...{
    type: 'flow',
    time,
    verdict: 'deny',
    direction: 'ingress',
    interface: 'mgy9',
    decider: { by: 'tier', tier: 'default', action: 'Deny' },
  },
  ...{ protocol: 'ICMP', source: parseIp('192.0.2.9'), destination: parseIp('10.65.0.9'), icmp: { type: 8, code: 0 }, lengthBytes: 84 },
}
const suppressed: FlowLine = {
  type: 'suppressed',
  time,
  verdict: 'deny',
  direction: 'ingress',
  decider: { by: 'end', action: 'Deny' },
  packets: 90,
}
const ended: FlowLine = {
  ...{ type: 'ended', time, direction: 'ingress', endpoint: 'shop/front', endpointKind: 'WorkloadEndpoint' },
  ...{ decider: web, by: 'NetworkPolicy shop/web ingress rule 2' },
  ...{ protocol: 'TCP', source: parseIp('192.0.2.9'), sourcePort: 40_000, destination: parseIp('10.65.0.2'), destinationPort: 81 },
}
const more: FlowLine = { type: 'ended-more', time, flows: 900 }
const lost: FlowLine = { type: 'lost', time, where: 'kernel' }
const all = [denied, allowed, logged, pinged, suppressed, ended, more, lost]

async function ask(argv: readonly string[], lines: readonly FlowLine[] = all) {
  const daemon = await startFakeDaemon(() => ({ body: lines.map((line) => `${JSON.stringify(line)}\n`).join('') }))
  try {
    const { out, err, code } = await run(['flows', ...argv, '--api-socket', daemon.socket])
    return { out, err, code, asked: daemon.asked.map(({ url }) => url) }
  } finally {
    daemon.close()
  }
}

const text = {
  denied: `${time} deny  ingress shop/front: TCP 192.0.2.9:40000 > 10.65.0.2:81, 60 bytes, NetworkPolicy shop/web rule 2\n`,
  allowed: `${time} allow egress  h1-eth0: UDP [2001:db8::1]:40000 > [2001:db8::2]:53, 80 bytes, GlobalNetworkPolicy out rule 0\n`,
  logged: `${time} log   ingress shop/front: TCP 192.0.2.9:40000 > 10.65.0.2:81, 60 bytes, NetworkPolicy shop/web rule 0 [calico-packet]\n`,
  pinged: `${time} deny  ingress mgy9: ICMP 192.0.2.9 > 10.65.0.9 type 8 code 0, 84 bytes, end of tier default\n`,
  suppressed: `${time} deny  ingress 90 more packets, not told one by one: nothing allows it\n`,
  ended: `${time} ended ingress shop/front: TCP 192.0.2.9:40000 > 10.65.0.2:81, NetworkPolicy shop/web rule 2\n`,
  more: `${time} ended 900 more connections, not told one by one\n`,
  lost: `${time} some events were lost: there were too many at once\n`,
}

const cases: readonly { readonly name: string; readonly argv: readonly string[]; readonly want: readonly (keyof typeof text)[] }[] = [
  { name: 'everything', argv: [], want: ['denied', 'allowed', 'logged', 'pinged', 'suppressed', 'ended', 'more', 'lost'] },
  { name: 'what was dropped', argv: ['--dropped'], want: ['denied', 'pinged', 'suppressed', 'ended', 'more', 'lost'] },
  { name: "a policy's by its whole name", argv: ['--policy', 'shop/web'], want: ['denied', 'logged', 'ended', 'more', 'lost'] },
  { name: "a policy's by its name", argv: ['--policy', 'out'], want: ['allowed', 'more', 'lost'] },
  { name: "a workload's", argv: ['--endpoint', 'front'], want: ['denied', 'logged', 'ended', 'more', 'lost'] },
  { name: "a host endpoint's, dropped", argv: ['--endpoint', 'h1-eth0', '--dropped'], want: ['more', 'lost'] },
]
for (const { name, argv, want } of cases) {
  test(`${name}: that, and what got lost`, async () => {
    const { out, asked, code } = await ask(argv)
    assert.is(out, want.map((one) => text[one]).join(''))
    assert.equal([asked, code], [['/v1/flows?follow=false'], 0])
  })
}

const deciders: readonly (readonly [FlowEvent['decider'], string])[] = [
  [{ by: 'missing-profile', kind: 'Profile', name: 'gone', action: 'Deny' }, 'its profile gone does not exist'],
  [{ by: 'closed', action: 'Deny' }, "closed: what decides about it can't be read"],
  [{ by: 'closed', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', action: 'Deny' }, "closed: NetworkPolicy shop/web can't be read"],
]
for (const [decider, want] of deciders) {
  test(`what has no rule is said in words: ${want}`, async () => {
    const { out } = await ask([], [{ ...denied, decider }])
    assert.is(out, text.denied.replace('NetworkPolicy shop/web rule 2', want))
  })
}

test('json is the events as they are, a line each', async () => {
  const { out } = await ask(['--policy', 'out', '-o', 'json'])
  assert.is(out, `${JSON.stringify(allowed)}\n${JSON.stringify(more)}\n${JSON.stringify(lost)}\n`)
})

test('following asks for what is to come', async () => {
  const { out, asked } = await ask(['--follow'], [denied])
  assert.equal([out, asked], [text.denied, ['/v1/flows?follow=true']])
})

const stats: StatsReport = {
  node: 'h1',
  rules: [
    { direction: 'ingress', decider: { ...web, kind: 'StagedNetworkPolicy', rule: 0 }, isStaged: true, packets: 7, bytes: 420 },
    { direction: 'ingress', decider: web, isStaged: false, packets: 2, bytes: 120 },
    { direction: 'ingress', decider: { by: 'tier', tier: 'default', action: 'Deny' }, isStaged: false, packets: 11, bytes: 700 },
    {
      direction: 'egress',
      decider: { by: 'profile', kind: 'Profile', name: 'kns.shop', rule: 0, action: 'Allow' },
      isStaged: false,
      packets: 5,
      bytes: 300,
    },
    { direction: 'egress', decider: { by: 'end', action: 'Deny' }, isStaged: false, packets: 0, bytes: 0 },
  ],
}

async function askStats(...argv: readonly string[]) {
  const daemon = await startFakeDaemon(() => ({ body: stats }))
  try {
    return await run(['policy', 'stats', ...argv, '--api-socket', daemon.socket])
  } finally {
    daemon.close()
  }
}

test('statistics: a row a rule, in the order in which they are asked', async () => {
  assert.is(
    (await askStats()).out,
    [
      'TIER      POLICY                DIRECTION   RULE   ACTION          PACKETS   BYTES',
      'default   shop/web              ingress     0      Deny (staged)   7         420',
      'default   shop/web              ingress     2      Deny            2         120',
      'default   (end of tier)         ingress     -      Deny            11        700',
      '-         kns.shop (profile)    egress      0      Allow           5         300',
      '-         (nothing allows it)   egress      -      Deny            0         0',
      '',
    ].join('\n'),
  )
})

test('statistics of one policy, with kinds', async () => {
  assert.is(
    (await askStats('shop/web', '-o', 'wide')).out,
    [
      'TIER      KIND                  POLICY     DIRECTION   RULE   ACTION          PACKETS   BYTES',
      'default   StagedNetworkPolicy   shop/web   ingress     0      Deny (staged)   7         420',
      'default   NetworkPolicy         shop/web   ingress     2      Deny            2         120',
      '',
    ].join('\n'),
  )
})

test('statistics as json', async () => {
  assert.equal(JSON.parse((await askStats('kns.shop', '-o', 'json')).out), { node: 'h1', rules: [stats.rules[3]] })
})

test('a policy that no endpoint here is under is named, with what to ask', async () => {
  const { code, err } = await askStats('other')
  assert.is(code, 2)
  assert.match(err, /no endpoint of this host \(h1\) is under a policy or profile "other"/)
})

test.run()
