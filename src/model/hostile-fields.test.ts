import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type * as z from 'zod'
import { parseDocument } from './document.ts'
import { kindInfo, RESOURCE_KINDS } from './kinds.ts'

const test = suite('model/hostile-fields')

const ENTITY = {
  ...{ nets: ['192.0.2.0/24'], notNets: ['192.0.2.1/32'], selector: 'a == "b"', notSelector: 'has(c)', namespaceSelector: 'all()' },
  ...{
    ports: [80, '1:2', 'http'],
    notPorts: [1],
    services: { name: 's', namespace: 'n' },
    serviceAccounts: { names: ['x'], selector: 'has(y)' },
  },
}
const RULE = {
  ...{ action: 'Allow', ipVersion: 4, protocol: 'TCP', notProtocol: 17, icmp: { type: 8, code: 0 }, notICMP: { type: 1 } },
  ...{ source: ENTITY, destination: ENTITY, http: { methods: ['GET'], paths: [{ exact: '/' }] }, metadata: { annotations: { a: 'b' } } },
}
const POLICY = {
  tier: 'default',
  order: 1,
  ingress: [RULE],
  egress: [RULE],
  selector: 'all()',
  types: ['Ingress'],
  performanceHints: ['x'],
}
const LABELS = { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }
const PEER = { podSelector: LABELS, namespaceSelector: LABELS, ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.1/32'] } }
const PORT = { protocol: 'TCP', port: 80, endPort: 90 }
const KUBERNETES = {
  podSelector: LABELS,
  ingress: [{ ports: [PORT], from: [PEER] }],
  egress: [{ ports: [PORT], to: [PEER] }],
  policyTypes: ['Ingress'],
}

const CALICO = 'projectcalico.org/v3'
const WHOLE: readonly (readonly [string, string, object])[] = [
  [CALICO, 'GlobalNetworkPolicy', { ...POLICY, doNotTrack: true, preDNAT: true, applyOnForward: true, namespaceSelector: 'all()' }],
  [CALICO, 'NetworkPolicy', POLICY],
  [CALICO, 'StagedNetworkPolicy', { ...POLICY, stagedAction: 'Delete' }],
  [CALICO, 'StagedKubernetesNetworkPolicy', { ...KUBERNETES, stagedAction: 'Set' }],
  [CALICO, 'Profile', { ingress: [RULE], egress: [RULE], labelsToApply: { a: 'b' } }],
  [
    CALICO,
    'HostEndpoint',
    { node: 'h', interfaceName: 'e', expectedIPs: ['192.0.2.1'], profiles: ['p'], ports: [{ name: 'a', protocol: 'TCP', port: 1 }] },
  ],
  [CALICO, 'GlobalNetworkSet', { nets: ['192.0.2.1'] }],
  [CALICO, 'Tier', { order: 1, defaultAction: 'Deny' }],
  ['networking.k8s.io/v1', 'NetworkPolicy', KUBERNETES],
  [
    'v1',
    'Service',
    { selector: { a: 'b' }, ports: [{ name: 'a', protocol: 'TCP', port: 1, targetPort: 'http', nodePort: 1 }], ipFamilies: ['IPv4'] },
  ],
  ['v1', 'Namespace', { finalizers: ['kubernetes'] }],
]

const junk = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e30,
    2n ** 53n,
    '',
    'x',
    'global()',
    '::/0',
    '0:0',
    '__proto__',
    [2n ** 53n],
    [],
    {},
    [[]],
    [null],
    { a: {} },
  ),
  fc.jsonValue({ maxDepth: 2 }),
)

/** The value with something else in one or more of its places; which, the numbers say. */
function spoil(value: unknown, [step, ...rest]: readonly number[], by: unknown): unknown {
  if (step === undefined || typeof value !== 'object' || value === null) return by
  const entries = Object.entries(value)
  const chosen = entries[step % Math.max(1, entries.length)]
  if (chosen === undefined) return by
  const spoiled = entries.map(([name, member]) => [name, name === chosen[0] ? spoil(member, rest, by) : member] as const)
  return Array.isArray(value) ? spoiled.map(([, member]) => member) : Object.fromEntries(spoiled)
}

for (const [apiVersion, kind, spec] of WHOLE) {
  test(`${kind} of ${apiVersion} is judged whatever stands in it`, () => {
    const place = fc.array(fc.nat(9), { maxLength: 7 })
    const changes = fc.array(fc.tuple(place, junk), { minLength: 1, maxLength: 3 })
    const isJudged = fc.property(changes, (given) => {
      const whole: unknown = { apiVersion, kind, metadata: { name: 'p', labels: { a: 'b' }, annotations: { c: 'd' } }, spec }
      const value = given.reduce((document, [path, by]) => spoil(document, path, by), whole)
      const { resource, issues } = parseDocument({ value, placeOf: () => ({ line: 1, column: 1 }), warnings: [] }, 'default')
      assert.is(issues.length > 0 || resource !== undefined || !(typeof value === 'object' && value !== null), true)
      assert.ok(issues.every(({ message }) => message !== ''))
    })
    void fc.assert(isJudged, { seed: 20_260_802, numRuns: 250 })
  })
}

test('ten thousand rules with three faults each are judged in time that grows with them, not with their square', () => {
  const ingress = Array.from({ length: 10_000 }, (_, index) => ({ action: `a${index}`, icmp: { code: 1 } }))
  const value = { apiVersion: CALICO, kind: 'GlobalNetworkPolicy', metadata: { name: 'p' }, spec: { ingress } }
  const start = performance.now()
  const { issues } = parseDocument({ value, placeOf: () => ({ line: 1, column: 1 }), warnings: [] }, 'default')
  assert.is(issues.length, 30_001)
  // A second alone, twenty on a busy machine; with the square of them it is minutes.
  assert.ok(performance.now() - start < 20_000)
})

/** Texts of which each is right somewhere. */
const TEXTS = [
  ...['x', '', 'all()', '192.0.2.1', '192.0.2.1/24', '2001:db8::/32', '65000:1', '90s', '1:2', 'TCP', 'eth0', 'Enabled', '^a$', 'h1', '9'],
]

/** A value of the shape that the schema says, with leaves that are right now and then. */
function shaped(schema: z.core.$ZodType): fc.Arbitrary<unknown> {
  const { def } = schema._zod
  switch (def.type) {
    case 'optional':
      return shaped((schema as z.ZodOptional).def.innerType)
    case 'pipe':
      return shaped((schema as z.ZodPipe).def.in)
    case 'object': {
      const members = Object.entries((schema as z.ZodObject).shape).map(([name, member]) => [name, shaped(member)] as const)
      return fc.record(Object.fromEntries(members), { requiredKeys: [] })
    }
    case 'array':
      return fc.array(shaped((schema as z.ZodArray).element), { maxLength: 2 })
    case 'union':
      return fc.oneof(...(schema as z.ZodUnion).options.map(shaped))
    case 'enum':
      return fc.constantFrom(...(schema as z.ZodEnum).options)
    case 'boolean':
      return fc.boolean()
    case 'number':
      return fc.constantFrom(0, 1, 4, 26, 64_512, -1, 1.5)
    case 'record':
      return fc.dictionary(fc.constantFrom('a', 'b/c', '__proto__'), fc.constantFrom('x', ' '), { maxKeys: 2 })
    default:
      return fc.constantFrom(...TEXTS)
  }
}

for (const kind of RESOURCE_KINDS) {
  const { apiVersion, specSchema, isNamespaced } = kindInfo(kind)
  test(`${kind} with any fields is judged, right or spoilt`, () => {
    const place = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 })
    const given = fc.tuple(shaped(specSchema), fc.array(fc.tuple(place, junk), { maxLength: 2 }))
    const isJudged = fc.property(given, ([spec, changes]) => {
      const spoilt = changes.reduce((whole, [path, by]) => spoil(whole, path, by), spec)
      const value = { apiVersion, kind, metadata: { name: 'default', ...(isNamespaced ? { namespace: 'n' } : {}) }, spec: spoilt }
      const { resource, issues } = parseDocument({ value, placeOf: () => ({ line: 1, column: 1 }), warnings: [] }, 'default')
      assert.is(resource !== undefined || issues.length > 0, true)
    })
    void fc.assert(isJudged, { seed: 20_260_802, numRuns: 60 })
  })
}

test.run()
