import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readResource } from './codec.ts'
import { kindInfo, type ResourceKind } from './kinds.ts'
import { policyHints } from './policy-hints.ts'

const test = suite('model/policy-hints')

const ALLOW = { action: 'Allow' }
const SSH = { action: 'Allow', protocol: 'TCP', destination: { ports: [22] } }

const cases: readonly (readonly [string, ResourceKind, object, readonly string[]])[] = [
  ['no rules', 'GlobalNetworkPolicy', {}, []],
  ['the last rule decides about everything', 'GlobalNetworkPolicy', { ingress: [SSH, { action: 'Deny' }], egress: [ALLOW] }, []],
  [
    'rules after one that decides about everything',
    'GlobalNetworkPolicy',
    { ingress: [SSH, { action: 'Deny' }, SSH, SSH] },
    ['spec.ingress[2]: is never reached: spec.ingress[1] decides about everything'],
  ],
  [
    'empty sides say nothing, notes neither',
    'Profile',
    { egress: [{ action: 'Pass', source: {}, destination: {}, metadata: { annotations: { a: 'b' } } }, ALLOW] },
    ['spec.egress[1]: is never reached: spec.egress[0] decides about everything'],
  ],
  ['Log decides nothing', 'NetworkPolicy', { ingress: [{ action: 'Log' }, ALLOW] }, []],
  ['a version of IP is not everything', 'NetworkPolicy', { ingress: [{ action: 'Deny', ipVersion: 4 }, ALLOW] }, []],
  ['a member that nobody knows may narrow it', 'NetworkPolicy', { ingress: [{ action: 'Deny', quic: true }, ALLOW] }, []],
  [
    'rules of a direction that types does not name',
    'StagedNetworkPolicy',
    { types: ['Ingress'], ingress: [SSH], egress: [ALLOW, SSH] },
    ['spec.egress: has no effect: types does not name Egress'],
  ],
  ['types that are not given are made of the rules', 'NetworkPolicy', { types: [], egress: [SSH] }, []],
  ['rules in the form of Kubernetes only allow', 'StagedKubernetesNetworkPolicy', { ingress: [{}, {}] }, []],
  ['a kind without rules', 'Tier', { order: 1 }, []],
]
for (const [title, kind, spec, want] of cases) {
  test(title, () => {
    const namespace = kindInfo(kind).isNamespaced ? { namespace: 'n' } : {}
    const { resource } = readResource(kind, { metadata: { name: 'a', ...namespace }, spec: { ...spec } })
    if (resource === undefined) throw new Error('nothing was read')
    assert.equal(
      policyHints(resource).map(({ path, message }) => `${path}: ${message}`),
      want,
    )
  })
}

test.run()
