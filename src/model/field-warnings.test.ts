import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeResource } from './codec.ts'
import { fieldWarnings } from './field-warnings.ts'
import type { AnyResource, ResourceKind } from './kinds.ts'

const test = suite('model/field-warnings')

const STORED = 'is kept for Calico, margay does not act on it'
const LATER = 'is kept, this version of margay does not act on it yet'

const cases: readonly { name: string; kind: ResourceKind; spec: unknown; want: readonly string[] }[] = [
  { name: 'fields that margay acts on', kind: 'IPReservation', spec: { reservedCIDRs: ['192.0.2.1'] }, want: [] },
  {
    name: 'a kind that margay does not act on yet',
    kind: 'BGPPeer',
    spec: { peerIP: '192.0.2.1', asNumber: 64496 },
    want: [`: BGPPeer ${LATER}`],
  },
  {
    name: "a rule's http, once for all rules",
    kind: 'GlobalNetworkPolicy',
    spec: {
      performanceHints: ['AssumeNeededOnEveryNode'],
      ingress: [
        { action: 'Deny' },
        { action: 'Allow', http: { methods: ['GET'], paths: [{ exact: '/' }, { exact: '/a' }] } },
        { action: 'Allow', http: { methods: ['PUT'] } },
      ],
    },
    want: [`spec.ingress[1].http.methods: ${STORED}`, `spec.ingress[1].http.paths[0].exact: ${STORED}`, `spec.performanceHints: ${STORED}`],
  },
]
for (const { name, kind, spec, want } of cases) {
  test(name, () => {
    const resource = decodeResource(kind, JSON.stringify({ metadata: { name: 'default' }, spec }), 1) as AnyResource
    assert.equal(
      fieldWarnings(resource).map(({ path, message }) => `${path}: ${message}`),
      want,
    )
  })
}

test.run()
