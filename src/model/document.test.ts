import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeIssue, documentsError, parseDocuments } from './document.ts'
import type { AnyResource } from './kinds.ts'

const test = suite('model/document')

const POOL = 'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\n'
const WEP = 'apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n'

function issuesOf(text: string): string[] {
  return parseDocuments(text).flatMap((document) => document.issues.map(describeIssue))
}

const refused: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a misspelt field',
    `${POOL}spec:\n  cdir: 10.0.0.0/8\n`,
    ['unknown field "spec.cdir" (line 5, column 3): did you mean "spec.cidr"?', 'spec.cidr (line 4, column 1): is required (a string)'],
  ],
  [
    'a field that stands outside of spec',
    `${POOL}cidr: 10.0.0.0/8\n`,
    ['unknown field "cidr" (line 4, column 1): did you mean "spec.cidr"?', 'spec.cidr (line 1, column 1): is required (a string)'],
  ],
  ['a field without any likeness', `${POOL}spec: {cidr: 10.0.0.0/8, zzz: 1}\n`, ['unknown field "spec.zzz" (line 4, column 26)']],
  [
    'a field that every object has in JavaScript',
    `${POOL}spec: {cidr: 10.0.0.0/8, constructor: 1}\n`,
    ['unknown field "spec.constructor" (line 4, column 26)'],
  ],
  [
    'a misspelt member of metadata',
    'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t, lables: {}}\n',
    ['unknown field "metadata.lables" (line 3, column 21): did you mean "metadata.labels"?'],
  ],
  [
    'host bits',
    `${POOL}spec:\n  cidr: 10.1.2.3/16\n`,
    ['spec.cidr (line 5, column 3): "10.1.2.3/16" has host bits set, the prefix is 10.1.0.0/16'],
  ],
  [
    'several faults at once',
    `${POOL.replace('name: p', 'name: Bad_Name')}spec:\n  cidr: 10.0.0.0/8\n  natOutgoing: yes\n  vxlanMode: always\n`,
    [
      'metadata.name (line 3, column 12): "Bad_Name" is not a name (lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit)',
      'spec.vxlanMode (line 7, column 3): "always" is not one of Never, Always, CrossSubnet: did you mean "Always"?',
      'spec.natOutgoing (line 6, column 3): must be true or false, not "yes"',
    ],
  ],
  [
    'an empty text in the place of a number or of a yes or no',
    `${POOL}spec:\n  cidr: 10.0.0.0/8\n  vxlanMode: ""\n  blockSize: ""\n  natOutgoing: ""\n`,
    ['spec.natOutgoing (line 8, column 3): must be true or false, not ""', 'spec.blockSize (line 7, column 3): must be a number, not ""'],
  ],
  [
    'a selector',
    `${POOL}spec:\n  cidr: 10.0.0.0/8\n  nodeSelector: role = 'db'\n`,
    [
      'spec.nodeSelector (line 6, column 3): not a selector: "role = \'db\'": at column 6 expected an operator (==, !=, in, not in, contains, starts with, ends with), found "="',
    ],
  ],
  [
    'wrong fields of a rule, and what does not fit together beside them',
    'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec:\n  doNotTrack: true\n  ingress:\n  - action: allow\n    protocol: ICMP\n    destination:\n      ports: [70000, {}]\n  - 1\n',
    [
      'spec.ingress[0].action (line 7, column 5): "allow" is not one of Allow, Deny, Log, Pass: did you mean "Allow"?',
      'spec.ingress[0].destination.ports[0] (line 10, column 15): not a port (0 to 65535) or a range such as 8000:8100: "70000"',
      'spec.ingress[0].destination.ports[1] (line 10, column 22): must be a number or a string, not {}',
      'spec.ingress[1] (line 11, column 5): must be an object, not 1',
      'spec.ingress[0].destination.ports (line 10, column 7): need protocol TCP, UDP or SCTP, not ICMP',
      'spec.applyOnForward (line 4, column 1): must be true with doNotTrack',
    ],
  ],
  [
    'global() in a selector',
    `${POOL}spec:\n  cidr: 10.0.0.0/8\n  nodeSelector: global()\n`,
    ['spec.nodeSelector (line 6, column 3): "global()" can\'t be used here: global() selects no resource by its labels'],
  ],
  [
    'a number as a label',
    `${POOL.replace('{name: p}', '{name: p, labels: {a.b/c: 5}}')}spec: {cidr: 10.0.0.0/8}\n`,
    ['metadata.labels.a.b/c (line 3, column 30): must be a string, not 5: put it in quotes'],
  ],
  [
    'a label',
    `${POOL.replace('{name: p}', '{name: p, labels: {"a b": "c d"}}')}spec: {cidr: 10.0.0.0/8}\n`,
    [
      'metadata.labels.a b (line 3, column 30): "a b" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
      'metadata.labels.a b (line 3, column 30): "c d" is not a label value (empty, or up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit)',
    ],
  ],
  ['a kind', 'apiVersion: projectcalico.org/v3\nkind: IPPol\n', ['kind (line 2, column 1): "IPPol" is not a kind: did you mean "IPPool"?']],
  [
    'a kind by its alias',
    'apiVersion: projectcalico.org/v3\nkind: pool\n',
    ['kind (line 2, column 1): "pool" is not a kind: did you mean "IPPool"?'],
  ],
  ['no kind', '{}', ['apiVersion (line 1, column 1): is required: write projectcalico.org/v3', 'kind (line 1, column 1): is required']],
  [
    "a kind of Kubernetes' own",
    'apiVersion: apps/v1\nkind: Deployment\n',
    [
      "kind (line 2, column 1): Deployment of apps/v1 is not taken: margay runs no workloads; of Kubernetes' kinds it takes Namespace and Service of v1, and NetworkPolicy of networking.k8s.io/v1",
    ],
  ],
  [
    'a ConfigMap',
    'apiVersion: v1\nkind: ConfigMap\n',
    [
      "kind (line 2, column 1): ConfigMap of v1 is not taken: margay runs no workloads; of Kubernetes' kinds it takes Namespace and Service of v1, and NetworkPolicy of networking.k8s.io/v1",
    ],
  ],
  [
    'an old version of a policy of Kubernetes',
    'apiVersion: extensions/v1beta1\nkind: NetworkPolicy\n',
    ['apiVersion (line 1, column 1): "extensions/v1beta1" is not known: write networking.k8s.io/v1'],
  ],
  [
    'an old version of a policy',
    'apiVersion: v2\nkind: NetworkPolicy\n',
    ['apiVersion (line 1, column 1): "v2" is not known: write projectcalico.org/v3'],
  ],
  [
    "a service of Calico's",
    'apiVersion: projectcalico.org/v3\nkind: Service\n',
    ['apiVersion (line 1, column 1): "projectcalico.org/v3" is not known: write v1'],
  ],
  [
    "a namespace of Calico's",
    'apiVersion: projectcalico.org/v3\nkind: Namespace\n',
    ['apiVersion (line 1, column 1): "projectcalico.org/v3" is not known: write v1'],
  ],
  ['an API version', 'apiVersion: v1\nkind: Node\n', ['apiVersion (line 1, column 1): "v1" is not known: write projectcalico.org/v3']],
  ['no object', '- 5\n', ['line 1, column 3: a document must be an object with apiVersion, kind, metadata and spec']],
  [
    'a namespace where there is none',
    `${POOL.replace('{name: p}', '{name: p, namespace: x}')}spec: {cidr: 10.0.0.0/8}\n`,
    ['metadata.namespace (line 3, column 21): this kind has no namespace: leave it out'],
  ],
  ['no metadata', 'apiVersion: projectcalico.org/v3\nkind: Tier\n', ['metadata (line 1, column 1): is required (an object)']],
  [
    'an endpoint of which no name can be made',
    `${WEP}spec: {node: h1, orchestrator: margay}\n`,
    [
      'spec (line 3, column 1): a workload endpoint needs workload',
      'spec.interfaceName (line 3, column 1): is required (the name of the interface on the host)',
    ],
  ],
  [
    'an endpoint whose name does not fit',
    `${WEP}metadata: {name: x}\nspec: {node: h-1, orchestrator: margay, workload: w, endpoint: eth0, interfaceName: mgy0}\n`,
    ['metadata.name (line 3, column 12): "x" does not fit the spec: the name is "h--1-margay-w-eth0"'],
  ],
]
for (const [name, text, want] of refused) {
  test(`${name} is refused with its place`, () => assert.equal(issuesOf(text), want))
}

const notYaml: readonly (readonly [string, RegExp])[] = [
  ['a: [', /^not YAML: Flow sequence .* \(line 1, column 5\)$/],
  ['a: 1\na: 2\n', /^not YAML: Map keys must be unique \(line 2, column 1\)$/],
  ['a: *x\n', /^not YAML: the alias \*x has no anchor$/],
  ['\ta: 1\n', /^not YAML: .*\(line 1, column 1\)$/],
  ['a: &a [*a]\n', /^not read: more than 64 objects and lists in each other$/],
  ['['.repeat(5000), /^not read: more than 64 objects and lists in each other$/],
  ['['.repeat(20_000), /^not read: more than 64 objects and lists in each other$/],
  ['{a: '.repeat(1_000_000), /^not read: more than 64 objects and lists in each other$/],
  [`${'['.repeat(4_000_000)}${']'.repeat(4_000_000)}`, /^not read: more than 64 objects and lists in each other$/],
  ['- '.repeat(4_000_000), /^not read: more than 64 objects and lists in each other$/],
  ['? '.repeat(300), /^not read: more than 64 objects and lists in each other$/],
  [
    Array.from({ length: 1000 }, (_, level) => `${' '.repeat(level)}a:`).join('\n'),
    /^not read: more than 64 objects and lists in each other$/,
  ],
  [`${'[\n'.repeat(100)}${']\n'.repeat(100)}`, /^not read: more than 64 objects and lists in each other$/],
  [
    'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n',
    /^not read: aliases stand for more than 20000 values$/,
  ],
  ['#'.repeat(9 << 20), /^the text has 9437184 characters, at most 8388608 are read$/],
]
for (const [text, message] of notYaml) {
  test(`${JSON.stringify(text.slice(0, 20))} is refused: ${message.source}`, () => assert.throws(() => parseDocuments(text), message))
}

test('documents, lists and arrays are taken one by one, with places of their own', () => {
  const tier = (name: string) => `{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: ${name}}}`
  const text = `# first\n${tier('a')}\n---\n---\n# nothing\n---\n- ${tier('b')}\n- apiVersion: projectcalico.org/v3\n  kind: TierList\n  items:\n  - ${tier('c')}\n  - ${tier('D')}\n...\n`
  const documents = parseDocuments(text)
  assert.equal(
    documents.map((document) => [document.title, document.place.line, document.issues.length]),
    [
      ['Tier a', 2, 0],
      ['Tier b', 7, 0],
      ['Tier c', 11, 0],
      ['Tier D', 12, 1],
    ],
  )
  assert.is(documents[0]?.resource?.metadata.name, 'a')
  assert.match(documentsError('t.yaml', documents).message, /^t\.yaml: Tier D: metadata\.name \(line 12, column 63\): "D" is not a name/)
})

const merged: readonly (readonly [string, string, object])[] = [
  ['one object', '- &a {action: Allow, protocol: TCP}\n  - {<<: *a, protocol: UDP}', { action: 'Allow', protocol: 'UDP' }],
  ['an object that comes last', '- &a {action: Allow, protocol: TCP}\n  - {protocol: UDP, <<: *a}', { action: 'Allow', protocol: 'UDP' }],
  [
    'several objects, of which the first counts',
    '- &a {action: Deny}\n  - &b {action: Allow, protocol: TCP}\n  - {<<: [*a, *b]}',
    { action: 'Deny', protocol: 'TCP' },
  ],
]
for (const [name, rules, want] of merged) {
  test(`a merge key brings the members of ${name}`, () => {
    const [document] = parseDocuments(
      `apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: p}\nspec:\n  ingress:\n  ${rules}\n`,
    )
    const resource = document?.resource
    assert.equal(resource?.kind === 'Profile' ? resource.spec.ingress?.at(-1) : undefined, want)
  })
}

test('a merge key of no object is an unknown field', () => {
  assert.equal(issuesOf(`${POOL}spec: {cidr: 10.0.0.0/8, <<: 5}\n`), ['unknown field "spec.<<" (line 4, column 26)'])
})

test('JSON is read as well', () => {
  assert.equal(
    issuesOf('{\n\t"apiVersion": "projectcalico.org/v3",\n\t"kind": "IPPool",\n\t"metadata": {"name": "p"},\n\t"spec": {"cidr": 5}\n}'),
    ['spec.cidr (line 5, column 11): must be a string, not 5: put it in quotes'],
  )
})

test('null is absent, and an exported resource can be applied', () => {
  const text = `${POOL.replace('{name: p}', '{name: p, uid: u, resourceVersion: "5", creationTimestamp: null, generation: 1, labels: null}')}spec: {cidr: 10.0.0.0/8, nodeSelector: ""}\nstatus: null\n`
  const [document] = parseDocuments(text)
  assert.equal(document?.resource, {
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name: 'p', uid: 'u', resourceVersion: '5', generation: 1 },
    spec: { cidr: '10.0.0.0/8' },
  } as unknown as NonNullable<typeof document>['resource'])
})

test('an unquoted selector that YAML takes for a tag is taken as the string, with a warning', () => {
  const [document] = parseDocuments(`${POOL}spec:\n  cidr: 10.0.0.0/8\n  nodeSelector: !has(x) && has(y) # why\n`)
  assert.equal(document?.issues, [])
  assert.equal(document?.resource?.spec, { cidr: '10.0.0.0/8', nodeSelector: '!has(x) && has(y)' } as unknown as AnyResource['spec'])
  assert.equal(document?.warnings.map(describeIssue), [
    'spec.nodeSelector (line 6, column 3): !has(x) && has(y) is a YAML tag without quotes; it is taken as the string "!has(x) && has(y)"',
  ])
})

test('an endpoint gets its name, and the namespace that was asked for', () => {
  const text = `${WEP}spec: {node: h-1, orchestrator: margay, workload: w, endpoint: eth0, interfaceName: mgy0}\n`
  assert.equal(parseDocuments(text, 'prod')[0]?.resource?.metadata, { namespace: 'prod', name: 'h--1-margay-w-eth0' })
  assert.equal(parseDocuments(`${text}metadata: {namespace: own}\n`, 'prod')[0]?.resource?.metadata.namespace, 'own')
})

test.run()
