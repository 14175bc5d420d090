import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkResource } from './check.ts'
import { encodeResource, readResource } from './codec.ts'
import { type AnyResource, kindInfo, type ResourceKind } from './kinds.ts'

const test = suite('model/policy-kinds')

type Given = Readonly<Record<string, unknown>>

/** A resource of this kind as it is checked before it is written. */
function aResource(kind: ResourceKind, spec: Given, metadata: Given = {}): AnyResource {
  const namespace = kindInfo(kind).isNamespaced ? { namespace: 'n' } : {}
  const { resource, issues } = readResource(kind, { metadata: { name: 'a', ...namespace, ...metadata }, spec })
  assert.equal(issues, [])
  if (resource === undefined) throw new Error('nothing was read')
  return resource
}

function faultsOf(kind: ResourceKind, spec: Given, metadata?: Given): string[] {
  return checkResource(aResource(kind, spec, metadata)).map(({ path, message }) => `${path}: ${message}`)
}

const HEP = { node: 'h1', interfaceName: 'eth0' }
const GLOBAL_NAME = 'lower-case letters, digits and inner "-", at most one "."'
const NAME = `${GLOBAL_NAME}, or knp.default.NAME`

const permitted: readonly (readonly [ResourceKind, Given, Given?])[] = [
  ['GlobalNetworkPolicy', {}],
  ['GlobalNetworkPolicy', {}, { name: 'x'.repeat(253) }],
  ['GlobalNetworkPolicy', {}, { annotations: { 'Example.com/Why': 'any text' } }],
  ['GlobalNetworkPolicy', { tier: 'a', order: -1.5 }, { name: 'tier.policy-1' }],
  ['GlobalNetworkPolicy', { preDNAT: true, applyOnForward: true, types: ['Ingress'], egress: [] }],
  ['GlobalNetworkPolicy', { doNotTrack: true, applyOnForward: true, types: ['Egress', 'Ingress'] }],
  ['NetworkPolicy', { performanceHints: ['AssumeNeededOnEveryNode'] }, { name: 'knp.default.a.b.c' }],
  ['NetworkPolicy', { ingress: [{ action: 'Allow', source: { services: { name: 's' } } }] }],
  ['StagedNetworkPolicy', { stagedAction: 'Delete', tier: 'a', ingress: [], types: [] }],
  ['StagedGlobalNetworkPolicy', { stagedAction: 'Ignore', selector: 'has(a)' }],
  ['GlobalNetworkSet', { nets: ['192.0.2.1', '192.0.2.1/24', '2001:db8::/32'] }],
  ['NetworkSet', {}],
  ['HostEndpoint', HEP],
  ['HostEndpoint', { node: 'h1', interfaceName: '*', profiles: ['projectcalico-default-allow'] }],
  ['HostEndpoint', { node: 'h1', expectedIPs: ['192.0.2.1'], ports: [{ name: 'http', protocol: 'TCP', port: 80 }] }],
  ['Tier', { order: 5, defaultAction: 'Pass' }],
  ['Tier', { order: 1000 }, { name: 'kube-admin' }],
  ['Tier', {}, { name: 'constructor' }],
  ['Profile', { ingress: [{ action: 'Pass', protocol: 'TCP', destination: { ports: [80] } }] }, { name: 'kns.default' }],
]
for (const [kind, spec, metadata] of permitted) {
  test(`permitted: ${kind} ${JSON.stringify(spec)} ${metadata?.['name'] ?? ''}`, () => assert.equal(faultsOf(kind, spec, metadata), []))
}

const refused: readonly (readonly [ResourceKind, Given, readonly string[], Given?])[] = [
  [
    'GlobalNetworkPolicy',
    {},
    [
      'metadata.labels.Example.com/why: "Example.com/why" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
    ],
    { labels: { 'Example.com/why': 'x' } },
  ],
  ['GlobalNetworkPolicy', {}, [`metadata.name: "a.b.c" is not the name of a policy (${GLOBAL_NAME})`], { name: 'a.b.c' }],
  ['GlobalNetworkPolicy', {}, [`metadata.name: "knp.default.a" is not the name of a policy (${GLOBAL_NAME})`], { name: 'knp.default.a' }],
  ['NetworkPolicy', {}, [`metadata.name: "a.b.c" is not the name of a policy (${NAME})`], { name: 'a.b.c' }],
  ['StagedNetworkPolicy', {}, [`metadata.name: "a.b.c" is not the name of a policy (${NAME})`], { name: 'a.b.c' }],
  ['NetworkPolicy', { tier: 'a.b' }, ['spec.tier: "a.b" is not a tier\'s name (lower-case letters, digits and inner "-", up to 63)']],
  ['NetworkPolicy', { types: ['Egress', 'Egress'] }, ['spec.types: Egress stands there more than once']],
  [
    'NetworkPolicy',
    { performanceHints: ['Fast', 'AssumeNeededOnEveryNode', 'AssumeNeededOnEveryNode'] },
    [
      'spec.performanceHints: AssumeNeededOnEveryNode stands there more than once',
      'spec.performanceHints[0]: "Fast" is not one of AssumeNeededOnEveryNode',
    ],
  ],
  ['NetworkPolicy', { selector: `a == '${'x'.repeat(1020)}'` }, ['spec.selector: the selector has 1027 characters, 1024 are allowed']],
  [
    'NetworkPolicy',
    { serviceAccountSelector: `a == '${'x'.repeat(1020)}'` },
    ['spec.serviceAccountSelector: the selector has 1027 characters, 1024 are allowed'],
  ],
  [
    'GlobalNetworkPolicy',
    { namespaceSelector: `a == '${'x'.repeat(1020)}'` },
    ['spec.namespaceSelector: the selector has 1027 characters, 1024 are allowed'],
  ],
  [
    'GlobalNetworkPolicy',
    { preDNAT: true, doNotTrack: true, applyOnForward: true },
    ["spec.preDNAT: can't be true together with doNotTrack"],
  ],
  ['GlobalNetworkPolicy', { preDNAT: true }, ['spec.applyOnForward: must be true with preDNAT']],
  ['GlobalNetworkPolicy', { doNotTrack: true, applyOnForward: false }, ['spec.applyOnForward: must be true with doNotTrack']],
  [
    'StagedGlobalNetworkPolicy',
    { preDNAT: true, applyOnForward: true, egress: [{ action: 'Allow' }], types: ['Egress'] },
    ['spec.egress: a preDNAT policy has no egress rules, here are 1', 'spec.types: a preDNAT policy governs Ingress only, not Egress'],
  ],
  [
    'GlobalNetworkPolicy',
    { egress: [{ action: 'Allow', destination: { services: { name: 's' } } }] },
    ['spec.egress[0].destination.services.namespace: is required in a global policy, which has no namespace of its own'],
  ],
  [
    'StagedNetworkPolicy',
    { stagedAction: 'Delete', tier: 'a', order: 0, selector: 'has(a)' },
    ['spec.order: must be left out with stagedAction Delete', 'spec.selector: must be left out with stagedAction Delete'],
  ],
  [
    'GlobalNetworkSet',
    {},
    ['metadata.labels.projectcalico.org/namespace: is set by margay: leave it out'],
    { labels: { 'projectcalico.org/namespace': 'n' } },
  ],
  [
    'NetworkSet',
    {},
    ['metadata.labels.projectcalico.org/namespace: is set by margay: leave it out'],
    { labels: { 'projectcalico.org/namespace': 'n' } },
  ],
  [
    'HostEndpoint',
    {},
    [
      'spec.node: is required (the name of the host)',
      'spec: needs interfaceName (the interface, or "*" for all) or expectedIPs (its addresses)',
    ],
  ],
  [
    'HostEndpoint',
    { node: 'H_1', interfaceName: 'eth0 ', profiles: ['ok', 'Not'] },
    [
      'spec.node: "H_1" is not a name (lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit)',
      'spec.interfaceName: "eth0 " is not an interface (1 to 15 letters, digits, "_", "." and "-")',
      'spec.profiles[1]: "Not" is not a name (lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit)',
    ],
  ],
  [
    'HostEndpoint',
    { ...HEP, ports: [{ name: 'HTTP', protocol: 'ICMP', port: 0 }] },
    [
      'spec.ports[0].name: "HTTP" is not a port name (up to 15 lower-case letters, digits and inner "-", at least one letter)',
      'spec.ports[0].protocol: ICMP has no ports: one of TCP, UDP, SCTP',
      'spec.ports[0].port: 0 is not a port (1 to 65535)',
    ],
  ],
  ['Tier', {}, ['metadata.name: "a.b" is not a tier\'s name (lower-case letters, digits and inner "-", up to 63)'], { name: 'a.b' }],
  ['Tier', { order: 5 }, ['spec.order: the tier default is built in: its order is 1000000, not 5'], { name: 'default' }],
  [
    'Tier',
    { defaultAction: 'Deny' },
    ['spec.defaultAction: the tier kube-admin is built in: its defaultAction is Pass, not Deny'],
    { name: 'kube-admin' },
  ],
  ['Profile', {}, ["metadata.name: projectcalico-default-allow is built in and can't be written"], { name: 'projectcalico-default-allow' }],
  [
    'Profile',
    { egress: [{ action: 'Allow', destination: { services: { name: 's' }, ports: [1] } }], labelsToApply: { 'a b': 'c' } },
    [
      'spec.egress[0].destination.ports: need protocol TCP, UDP or SCTP; only names of ports can go without',
      'spec.egress[0].destination.services.namespace: is required in a profile, which has no namespace of its own',
      "spec.egress[0].destination.services: can't stand beside ports",
      'spec.labelsToApply.a b: "a b" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
    ],
  ],
]
for (const [kind, spec, want, metadata] of refused) {
  test(`refused: ${kind} ${JSON.stringify(spec).slice(0, 90)} ${metadata?.['name'] ?? ''}`, () =>
    assert.equal(faultsOf(kind, spec, metadata), want))
}

const RULE = { action: 'Allow' }
const filled: readonly (readonly [ResourceKind, Given, Given])[] = [
  ['NetworkPolicy', {}, { tier: 'default', types: ['Ingress'] }],
  ['NetworkPolicy', { ingress: [RULE] }, { tier: 'default', ingress: [RULE], types: ['Ingress'] }],
  ['GlobalNetworkPolicy', { egress: [RULE], types: [] }, { tier: 'default', egress: [RULE], types: ['Egress'] }],
  ['GlobalNetworkPolicy', { ingress: [], egress: [RULE] }, { tier: 'default', ingress: [], egress: [RULE], types: ['Egress'] }],
  [
    'NetworkPolicy',
    { ingress: [RULE], egress: [RULE] },
    { tier: 'default', ingress: [RULE], egress: [RULE], types: ['Ingress', 'Egress'] },
  ],
  ['NetworkPolicy', { tier: 'a', types: ['Egress'] }, { tier: 'a', types: ['Egress'] }],
  ['StagedNetworkPolicy', { egress: [RULE] }, { stagedAction: 'Set', tier: 'default', egress: [RULE], types: ['Egress'] }],
  ['StagedGlobalNetworkPolicy', { stagedAction: 'Delete' }, { stagedAction: 'Delete', tier: 'default' }],
  ['Tier', {}, { defaultAction: 'Deny' }],
]
for (const [kind, spec, want] of filled) {
  test(`defaults of ${kind} ${JSON.stringify(spec)}`, () => {
    const { defaults } = kindInfo(kind)
    const whole = JSON.parse(JSON.stringify(defaults(aResource(kind, spec).spec, 'a')))
    assert.equal(whole, want)
  })
}

/** Texts as Calico's own clients write them: what is read is written again, byte by byte. */
const asWritten: readonly (readonly [ResourceKind, string])[] = [
  [
    'GlobalNetworkPolicy',
    '{"tier":"default","order":100,"ingress":[{"action":"Allow","ipVersion":4,"protocol":"TCP","notProtocol":17,"source":{"nets":["203.0.113.0/24"],"selector":"a == \'b\'","namespaceSelector":"global()","notNets":["203.0.113.7/32"],"notSelector":"has(c)","notPorts":[1]},"destination":{"ports":[22,"8000:8100","http"],"serviceAccounts":{"names":["s"],"selector":"has(d)"}},"http":{"methods":["GET"],"paths":[{"exact":"/a"},{"prefix":"/b"}]},"metadata":{"annotations":{"x":"y"}}}],"egress":[{"action":"Deny","protocol":"ICMP","icmp":{"type":0,"code":0},"notICMP":{"type":8},"destination":{"services":{"name":"s","namespace":"n"}}}],"selector":"role == \'edge\'","types":["Ingress","Egress"],"doNotTrack":true,"applyOnForward":true,"serviceAccountSelector":"has(e)","namespaceSelector":"all()","performanceHints":["AssumeNeededOnEveryNode"]}',
  ],
  [
    'NetworkPolicy',
    '{"tier":"default","order":0,"ingress":[{"action":"Deny","source":{},"destination":{}}],"selector":"all()","types":["Ingress"]}',
  ],
  ['StagedNetworkPolicy', '{"stagedAction":"Set","tier":"default","selector":"all()","types":["Ingress"]}'],
  ['StagedGlobalNetworkPolicy', '{"stagedAction":"Delete","tier":"default"}'],
  ['GlobalNetworkSet', '{"nets":["198.18.0.0/15","203.0.113.7","10.0.0.1/8"]}'],
  ['NetworkSet', '{"nets":["203.0.113.7"]}'],
  [
    'HostEndpoint',
    '{"node":"h1","interfaceName":"eth0","expectedIPs":["192.0.2.10","2001:db8::10"],"profiles":["p"],"ports":[{"name":"http","protocol":"TCP","port":80}]}',
  ],
]
for (const [kind, spec] of asWritten) {
  test(`${kind} is written as it was read`, () => {
    const written = JSON.parse(encodeResource(aResource(kind, JSON.parse(spec)))) as { readonly spec: unknown }
    assert.is(JSON.stringify(written.spec), spec)
  })
}

const readWithCare: readonly (readonly [string, Given])[] = [
  ['a selector that is longer than is written now', { selector: `a == '${'x'.repeat(2000)}'` }],
  ['more prefixes than are written now', { ingress: [{ ...RULE, source: { nets: Array(300).fill('192.0.2.0/24') } }] }],
  ['hints of later versions', { performanceHints: ['Other'] }],
  ['members of later versions', { ingress: [{ ...RULE, source: { domains: ['a.example'] } }], other: { a: 1 } }],
]
for (const [title, spec] of readWithCare) {
  test(`read from the store: ${title}`, () => assert.equal(aResource('NetworkPolicy', spec).spec, spec))
}

test.run()
