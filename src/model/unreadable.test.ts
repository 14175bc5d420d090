import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelKind } from './kinds.ts'
import { formatSelector } from './selector.ts'
import { isGoverning, readReach } from './unreadable.ts'

const test = suite('model/unreadable')

/** In words: what a resource that does not parse would have governed. */
function show(kind: ModelKind, id: string, text: string): string {
  const reach = readReach(kind, id, text)
  if (reach === undefined) return 'unknown'
  if (reach.of === 'endpoints') return formatSelector(reach.selector)
  if (reach.of === 'host') return `${reach.node} ${reach.interfaceName ?? '-'} ${reach.expectedIps.join(' ')}`.trim()
  return `${reach.of} ${reach.name}`
}

const cases: readonly (readonly [kind: ModelKind, id: string, text: string, want: string])[] = [
  ['GlobalNetworkPolicy', 'p', `{"spec":{"order":"x","selector":"a == 'b'"}}`, 'a == "b"'],
  ['GlobalNetworkPolicy', 'p', '{"spec":{"order":"x"}}', 'all()'],
  ['GlobalNetworkPolicy', 'p', '{"spec":{"selector":null,"namespaceSelector":"has(n)"}}', 'has(pcns.n)'],
  ['NetworkPolicy', 'prod/p', '{"spec":{"ingress":5}}', 'projectcalico.org/namespace == "prod"'],
  ['NetworkPolicy', 'prod/p', '{"spec":{"selector":"has(a)","ingress":5}}', '(has(a) && projectcalico.org/namespace == "prod")'],
  ['GlobalNetworkPolicy', 'p', '{"spec":{"selector":"has (a)"}}', 'unknown'],
  ['GlobalNetworkPolicy', 'p', '{"spec":{"selector":5}}', 'unknown'],
  ['GlobalNetworkPolicy', 'p', '{"spec":{"selector":"all()","serviceAccountSelector":["x"]}}', 'unknown'],
  ['GlobalNetworkPolicy', 'p', '{"spec":{"selector":"all()"', 'unknown'],
  ['GlobalNetworkPolicy', 'p', '[]', 'unknown'],
  ['Tier', 't', '{', 'tier t'],
  ['Profile', 'kns.prod', '', 'profile kns.prod'],
  ['HostEndpoint', 'h', '{"spec":{"node":"h1","interfaceName":"eth0","ports":5}}', 'h1 eth0'],
  ['HostEndpoint', 'h', '{"spec":{"node":"h1","expectedIPs":["192.0.2.1","2001:db8::1","x",5]}}', 'h1 - 192.0.2.1 2001:db8::1'],
  ['HostEndpoint', 'h', '{"spec":{"node":"h1","expectedIPs":["x"]}}', 'unknown'],
  ['HostEndpoint', 'h', '{"spec":{"interfaceName":"eth0"}}', 'unknown'],
  ['HostEndpoint', 'h', '{"spec":{"node":"h1","interfaceName":7}}', 'unknown'],
]
for (const [kind, id, text, want] of cases) {
  test(`${kind} ${text} would have governed: ${want}`, () => assert.is(show(kind, id, text), want))
}

test('what decides about traffic is known; staged policies do not', () => {
  const kinds: readonly ModelKind[] = ['Tier', 'Profile', 'HostEndpoint', 'NetworkPolicy', 'StagedNetworkPolicy', 'NetworkSet', 'Node']
  assert.equal(kinds.map(isGoverning), [true, true, true, true, false, false, false])
})

test.run()
