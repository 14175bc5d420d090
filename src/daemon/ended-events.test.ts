import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FlowLine } from '../model/own/flows.ts'
import { parseIp } from '../net/ip.ts'
import type { Flow } from '../policy/flow.ts'
import type { Denial } from '../policy/judge-flows.ts'
import { EndedEvents, MOST_TOLD } from './ended-events.ts'

const test = suite('daemon/ended-events')

const [client, server] = [parseIp('192.0.2.1'), parseIp('192.0.2.2')]
const flow: Flow = {
  family: 4,
  original: { source: client, destination: server, protocol: 6, sourcePort: 40_000, destinationPort: 80 },
  reply: { source: server, destination: client, protocol: 6, sourcePort: 80, destinationPort: 40_000 },
}

function tell(because: Denial, ...counts: readonly number[]): readonly FlowLine[] {
  const lines: FlowLine[] = []
  const events = new EndedEvents((line) => lines.push(line), undefined)
  for (const count of counts) events.add(Array.from({ length: count }, () => ({ flow, because })))
  events.finish()
  return lines
}

const at = { place: 'to-host', endpoint: 'HostEndpoint/h1-eth0', direction: 'ingress' } as const
const cases: readonly { readonly name: string; readonly because: Denial; readonly decider: unknown }[] = [
  {
    name: 'a rule of a policy',
    because: { ...at, policy: 'web/shop/NetworkPolicy', tier: 'ops', rule: 3, by: 'NetworkPolicy shop/web ingress rule 3' },
    decider: { by: 'policy', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', tier: 'ops', rule: 3, action: 'Deny' },
  },
  {
    name: 'a rule of a profile',
    because: { ...at, profile: 'kns.shop', rule: 0, by: 'profile kns.shop ingress rule 0' },
    decider: { by: 'profile', kind: 'Profile', name: 'kns.shop', rule: 0, action: 'Deny' },
  },
  { name: 'the end of a tier', because: { ...at, tier: 'ops', by: 'tier ops' }, decider: { by: 'tier', tier: 'ops', action: 'Deny' } },
  { name: 'that no profile allows it', because: { ...at, by: 'no profile allows it' }, decider: { by: 'end', action: 'Deny' } },
  {
    name: 'that its profile does not exist',
    because: { ...at, profile: 'gone', isMissing: true, by: 'profile gone does not exist' },
    decider: { by: 'missing-profile', kind: 'Profile', name: 'gone', action: 'Deny' },
  },
  {
    name: 'that a policy can not be read',
    because: { ...at, closed: { kind: 'GlobalNetworkPolicy', name: 'web' }, by: "closed: GlobalNetworkPolicy web can't be read" },
    decider: { by: 'closed', kind: 'GlobalNetworkPolicy', name: 'web', action: 'Deny' },
  },
  { name: 'nothing that has a rule', because: { ...at, by: 'no workload endpoint has this interface' }, decider: undefined },
]
for (const { name, because, decider } of cases) {
  test(`a flow that was ended is told of with its endpoint and with what denies it: ${name}`, () => {
    const [line, ...others] = tell(because, 1)
    assert.equal(others, [])
    const { time, ...rest } = line as Extract<FlowLine, { readonly type: 'ended' }>
    assert.ok(Date.parse(time) > 0)
    assert.equal(rest, {
      ...{ type: 'ended', direction: 'ingress', endpoint: 'h1-eth0', endpointKind: 'HostEndpoint' },
      ...(decider === undefined ? {} : { decider }),
      by: because.by,
      ...{ protocol: 'TCP', source: client, sourcePort: 40_000, destination: server, destinationPort: 80 },
    })
  })
}

test('of many the first are told of one by one, and the others in one', () => {
  const because = { ...at, tier: 'ops', by: 'tier ops' }
  assert.is(tell(because, MOST_TOLD - 1, 1).length, MOST_TOLD)
  const lines = tell(because, MOST_TOLD - 1, 50, 7)
  const { time, ...last } = lines.at(-1) ?? { time: '' }
  assert.equal([lines.length, last, time > ''], [MOST_TOLD + 1, { type: 'ended-more', flows: 56 }, true])
})

test.run()
