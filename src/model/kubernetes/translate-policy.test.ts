import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type KubernetesPolicySpec, kubernetesPolicySchema } from './network-policy.ts'
import { translatePolicy } from './translate-policy.ts'

const test = suite('model/kubernetes/translate-policy')

const WORKLOAD = 'has(projectcalico.org/orchestrator)'
const A = { podSelector: { matchLabels: { tenant: 'A' } } }
const A_SELECTED = { selector: `${WORKLOAD} && tenant == 'A'` }
const ALL = { tier: 'default', order: 1000, selector: 'all()', types: ['Ingress'] }

const cases: readonly (readonly [string, unknown, object])[] = [
  ['nothing said: all workloads are closed to what comes in', {}, ALL],
  ['a selector of workloads', { podSelector: { matchLabels: { b: '2', a: '1' } } }, { ...ALL, selector: "a == '1' && b == '2'" }],
  [
    'every operator',
    {
      podSelector: {
        matchLabels: { x: '' },
        matchExpressions: [
          { key: 'a', operator: 'In', values: ['1', '2'] },
          { key: 'example.com/b', operator: 'NotIn', values: ['3'] },
          { key: 'c', operator: 'Exists' },
          { key: 'd', operator: 'DoesNotExist', values: [] },
        ],
      },
    },
    { ...ALL, selector: "x == '' && a in {'1', '2'} && example.com/b not in {'3'} && has(c) && !has(d)" },
  ],
  ['an empty rule allows all', { ingress: [{}] }, { ...ALL, ingress: [{ action: 'Allow' }] }],
  ['empty lists are none', { ingress: [{ from: [], ports: [] }] }, { ...ALL, ingress: [{ action: 'Allow' }] }],
  ['workloads of the same namespace', { ingress: [{ from: [A] }] }, { ...ALL, ingress: [{ action: 'Allow', source: A_SELECTED }] }],
  [
    'every workload of the same namespace',
    { ingress: [{ from: [{ podSelector: {} }] }] },
    { ...ALL, ingress: [{ action: 'Allow', source: { selector: WORKLOAD } }] },
  ],
  [
    'every workload of every namespace',
    { ingress: [{ from: [{ namespaceSelector: {} }] }] },
    { ...ALL, ingress: [{ action: 'Allow', source: { selector: WORKLOAD, namespaceSelector: 'all()' } }] },
  ],
  [
    'workloads of some namespaces',
    { ingress: [{ from: [{ ...A, namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } }] }] },
    { ...ALL, ingress: [{ action: 'Allow', source: { ...A_SELECTED, namespaceSelector: "kubernetes.io/metadata.name == 'shop'" } }] },
  ],
  [
    'a block without parts of it, host bits masked',
    { ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.9/24', except: ['192.0.2.128/25', '192.0.2.1/32'] } }] }] },
    { ...ALL, ingress: [{ action: 'Allow', source: { nets: ['192.0.2.0/24'], notNets: ['192.0.2.128/25', '192.0.2.1/32'] } }] },
  ],
  [
    'a block of IPv6',
    { ingress: [{ from: [{ ipBlock: { cidr: '2001:DB8::/32' } }] }] },
    { ...ALL, ingress: [{ action: 'Allow', source: { nets: ['2001:db8::/32'] } }] },
  ],
  [
    'several peers are a rule each',
    { ingress: [{ from: [A, { ipBlock: { cidr: '0.0.0.0/0' } }] }] },
    {
      ...ALL,
      ingress: [
        { action: 'Allow', source: A_SELECTED },
        { action: 'Allow', source: { nets: ['0.0.0.0/0'] } },
      ],
    },
  ],
  [
    'ports by protocol, TCP where none is named, ranges, names',
    {
      ingress: [
        {
          ports: [
            { port: 80 },
            { protocol: 'UDP', port: 53 },
            { port: 'http' },
            { port: 8000, endPort: 8100 },
            { port: 80, protocol: 'TCP' },
          ],
        },
      ],
    },
    {
      ...ALL,
      ingress: [
        { action: 'Allow', protocol: 'TCP', destination: { ports: [80, 'http', '8000:8100'] } },
        { action: 'Allow', protocol: 'UDP', destination: { ports: [53] } },
      ],
    },
  ],
  [
    'a protocol without a port is all of it, whatever else is named',
    { ingress: [{ ports: [{ port: 80 }, { protocol: 'SCTP' }, {}] }] },
    {
      ...ALL,
      ingress: [
        { action: 'Allow', protocol: 'SCTP' },
        { action: 'Allow', protocol: 'TCP' },
      ],
    },
  ],
  [
    'a range of one port',
    { ingress: [{ ports: [{ port: 80, endPort: 80 }] }] },
    { ...ALL, ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }] },
  ],
  [
    'peers times protocols',
    { ingress: [{ from: [A, { podSelector: {} }], ports: [{ port: 1 }, { protocol: 'UDP', port: 2 }] }] },
    {
      ...ALL,
      ingress: [
        { action: 'Allow', protocol: 'TCP', source: A_SELECTED, destination: { ports: [1] } },
        { action: 'Allow', protocol: 'TCP', source: { selector: WORKLOAD }, destination: { ports: [1] } },
        { action: 'Allow', protocol: 'UDP', source: A_SELECTED, destination: { ports: [2] } },
        { action: 'Allow', protocol: 'UDP', source: { selector: WORKLOAD }, destination: { ports: [2] } },
      ],
    },
  ],
  [
    'egress: the peer and the port are both the destination, and both directions are governed',
    { egress: [{ to: [A], ports: [{ port: 5432 }] }] },
    { ...ALL, types: ['Ingress', 'Egress'], egress: [{ action: 'Allow', protocol: 'TCP', destination: { ...A_SELECTED, ports: [5432] } }] },
  ],
  ['egress alone', { policyTypes: ['Egress'], egress: [{}] }, { ...ALL, types: ['Egress'], egress: [{ action: 'Allow' }] }],
  ['both directions closed', { policyTypes: ['Egress', 'Ingress'] }, { ...ALL, types: ['Ingress', 'Egress'] }],
  ['rules of a direction that is not governed do nothing', { policyTypes: ['Ingress'], egress: [{}] }, ALL],
  [
    'an empty list of types is none',
    { policyTypes: [], egress: [{}] },
    { ...ALL, types: ['Ingress', 'Egress'], egress: [{ action: 'Allow' }] },
  ],
]
for (const [title, given, want] of cases) {
  test(title, () => assert.equal(translatePolicy(kubernetesPolicySchema.parse(given)), want))
}

test('more ports than a rule of ours holds are several rules', () => {
  const ports = Array.from({ length: 51 }, (_, index) => ({ port: 2 * index + 1 }))
  const spec: KubernetesPolicySpec = { ingress: [{ ports }] }
  const counts = translatePolicy(spec).ingress?.map((rule) => rule.destination?.ports?.length)
  assert.equal(counts, [50, 1])
})

test.run()
