import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeError } from '../errors.ts'
import { decodeEntry, decodeResource } from './codec.ts'
import { ENDPOINTS_PREFIX } from './keys.ts'
import { plainEndpoint } from './plain-endpoint.ts'
import { SharedParts } from './shared-parts.ts'

const test = suite('model/plain-endpoint')

const METADATA = {
  ...{ name: 'h1-mgy-w1-eth0', namespace: 'n', uid: '00000000-0000-4000-8000-000000000000', creationTimestamp: '2026-11-21T10:11:12Z' },
  labels: { app: 'web', empty: '' },
}
const SPEC = {
  ...{ orchestrator: 'margay', workload: 'w1', node: 'h1', endpoint: 'eth0', interfaceName: 'mgy1', mac: 'ee:ee:00:00:00:01' },
  ...{ ipNetworks: ['10.65.0.1/32', '2001:db8::1/128'], profiles: ['kns.n'], ports: [{ name: 'http', protocol: 'TCP', port: 8080 }] },
}
const WHOLE = { kind: 'WorkloadEndpoint', apiVersion: 'projectcalico.org/v3', metadata: METADATA, spec: SPEC }

const PLAIN: readonly unknown[] = [
  WHOLE,
  { ...WHOLE, metadata: { name: 'a' } },
  { ...WHOLE, metadata: { name: 'a', labels: {} } },
  { ...WHOLE, spec: {} },
  { ...WHOLE, spec: { ipNetworks: [], profiles: [], ports: [] } },
]
const OTHER: readonly unknown[] = [
  ...[
    { kind: 'x' },
    { apiVersion: 'v1' },
    { status: {} },
    { more: 1 },
    { metadata: undefined },
    { spec: undefined },
    { spec: null },
    { spec: [] },
  ],
  ...[
    { resourceVersion: '7' },
    { annotations: { a: 'b' } },
    { uid: '' },
    { uid: 7 },
    { labels: { app: 7 } },
    { labels: null },
    { labels: [] },
  ].map((part) => ({ metadata: { ...METADATA, ...part } })),
  { metadata: { ...METADATA, name: null } },
  ...[
    ...[{ node: '' }, { node: null }, { node: 7 }, { more: 'x' }, { constructor: 'x' }, { allowSpoofedSourcePrefixes: ['10.0.0.0/8'] }],
    ...[
      { ipNetworks: ['10.65.0.1'] },
      { ipNetworks: ['10.65.0.1/33'] },
      { ipNetworks: ['2001:DB8::1/128'] },
      { ipNetworks: '10.65.0.1/32' },
    ],
    ...[{ mac: 'EE:EE:00:00:00:01' }, { mac: 'x' }, { profiles: [''] }, { profiles: [7] }, { profiles: null }, { profiles: {} }],
    ...[{ ports: [{ name: 'a', protocol: 6, port: 1 }] }, { ports: [{ name: 'a', protocol: 'tcp', port: 1 }] }, { ports: [null] }],
    ...[{ ports: [{ name: 'a', protocol: 'TCP', port: 65_536 }] }, { ports: [{ name: 'a', protocol: 'TCP', port: 1.5 }] }],
    ...[{ ports: [{ protocol: 'TCP', port: 1 }] }, { ports: [{ name: 'a', protocol: 'TCP', port: 1, hostPort: 2 }] }],
  ].map((part) => ({ spec: { ...SPEC, ...part } })),
].map((part) => ({ ...WHOLE, ...part }))

function outcomeOf(read: () => unknown): unknown {
  try {
    return read()
  } catch (error) {
    return describeError(error)
  }
}

test('what is taken as plain is read as the schema reads it, and the rest as before', () => {
  const shared = new SharedParts()
  const texts = [...PLAIN, ...OTHER].map((given) => JSON.stringify(given))
  const odd = JSON.stringify(WHOLE).replace('"app"', '"__proto__"')
  for (const text of [...texts, odd, odd.replace('"labels":{', '"__proto__":{'), '7', 'null', '[]', '{']) {
    const read = outcomeOf(() => decodeEntry(`${ENDPOINTS_PREFIX}n/a`, text, 42, shared)?.value)
    assert.equal(
      read,
      outcomeOf(() => decodeResource('WorkloadEndpoint', text, 42)),
      text,
    )
  }
})

for (const [isPlain, given] of [...PLAIN.map((one) => [true, one] as const), ...OTHER.map((one) => [false, one] as const)]) {
  test(`${JSON.stringify(given)} is ${isPlain ? '' : 'not '}plain`, () => {
    const read = plainEndpoint(JSON.parse(JSON.stringify(given)), 42, new SharedParts())
    assert.is(read !== undefined, isPlain)
  })
}

test('equal parts of endpoints are one, and nobody can change them', () => {
  const shared = new SharedParts()
  const [a, b] = [1, 2].map((revision) => plainEndpoint(JSON.parse(JSON.stringify(WHOLE)), revision, shared))
  assert.is(a?.metadata.labels, b?.metadata.labels)
  assert.is(a?.spec.profiles, b?.spec.profiles)
  assert.is(a?.spec.ports, b?.spec.ports)
  assert.ok(Object.isFrozen(a?.metadata.labels) && Object.isFrozen(a?.spec.ports?.[0]))
  assert.is(b?.metadata.resourceVersion, '2')
})

test('more parts than are remembered are each what was given', () => {
  const shared = new SharedParts()
  for (let i = 0; i < 20_000; i++) assert.equal(shared.part({ a: `${i}` }), { a: `${i}` })
  assert.equal(shared.part(['7']), ['7'])
  assert.is(shared.text('["7"]'), '["7"]')
})

test.run()
