import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeIssue, parseDocuments } from '../document.ts'

const test = suite('model/kubernetes/read')

const POLICY = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n'
const NAMESPACE = 'apiVersion: v1\nkind: Namespace\n'
const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: s}\n'

/** Documents with the first comment of each manifest that users have: what is stored, what is said, what is warned of. */
const taken: readonly (readonly [string, string, object, string | undefined, readonly string[]])[] = [
  [
    'a policy is kept under a name that tells where it is from',
    `${POLICY}spec:\n  podSelector: {matchLabels: {tenant: A}}\n  policyTypes: [Ingress]\n  ingress: [{from: [{podSelector: {matchLabels: {tenant: A}}}]}]\n`,
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'NetworkPolicy',
      metadata: { name: 'knp.default.p', namespace: 'default' },
      spec: {
        tier: 'default',
        order: 1000,
        ingress: [{ action: 'Allow', source: { selector: "has(projectcalico.org/orchestrator) && tenant == 'A'" } }],
        selector: "tenant == 'A'",
        types: ['Ingress'],
      },
    },
    'kept as NetworkPolicy "knp.default.p" of projectcalico.org/v3 in namespace default, order 1000',
    [],
  ],
  [
    'spec.audit of a policy is taken as the annotation that logs',
    `${POLICY.replace('{name: p}', '{name: p, namespace: n, labels: {a: b}, annotations: {x: y}}')}spec:\n  podSelector: {}\n  audit:\n    metadata: {}\n`,
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'NetworkPolicy',
      metadata: { name: 'knp.default.p', namespace: 'n', labels: { a: 'b' }, annotations: { 'margay.io/log': 'true', x: 'y' } },
      spec: { tier: 'default', order: 1000, selector: 'all()', types: ['Ingress'] },
    },
    'kept as NetworkPolicy "knp.default.p" of projectcalico.org/v3 in namespace n, order 1000',
    [
      'spec.audit (line 6, column 3): is no field of a NetworkPolicy of Kubernetes; it is taken as annotation margay.io/log: "true", so what the policy allows and denies is logged',
    ],
  ],
  [
    'what a cluster wrote into a policy is left out; rules that have no effect are warned of',
    `${POLICY.replace('{name: p}', '{name: p, uid: u, resourceVersion: "7", generation: 1, creationTimestamp: "2026-08-02T09:15:04Z", managedFields: [], annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}}')}spec:\n  podSelector: {}\n  policyTypes: [Ingress]\n  egress: [{}]\nstatus: {}\n`,
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'NetworkPolicy',
      metadata: { name: 'knp.default.p', namespace: 'default' },
      spec: { tier: 'default', order: 1000, selector: 'all()', types: ['Ingress'] },
    },
    'kept as NetworkPolicy "knp.default.p" of projectcalico.org/v3 in namespace default, order 1000',
    ['spec.egress (line 7, column 3): has no effect: policyTypes does not name Egress'],
  ],
  [
    'a namespace is a profile',
    `${NAMESPACE}metadata: {name: shop, labels: {stage: test}}\nspec: {finalizers: [kubernetes]}\nstatus: {phase: Active}\n`,
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'Profile',
      metadata: { name: 'kns.shop' },
      spec: {
        ingress: [{ action: 'Allow' }],
        egress: [{ action: 'Allow' }],
        labelsToApply: {
          'pcns.name': 'shop',
          'pcns.stage': 'test',
          'pcns.projectcalico.org/name': 'shop',
          'pcns.kubernetes.io/metadata.name': 'shop',
        },
      },
    },
    'kept as Profile "kns.shop", which its workloads and policies go by',
    [],
  ],
  [
    'a service stays one',
    `${SERVICE}spec:\n  selector: {app: web}\n  ports: [{port: 80, targetPort: 8080}, {name: b, protocol: UDP, port: 53, targetPort: dns}]\n  clusterIP: None\n`.replace(
      '{port: 80',
      '{name: a, port: 80',
    ),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', namespace: 'default' },
      spec: {
        ports: [
          { name: 'a', port: 80, targetPort: 8080 },
          { name: 'b', protocol: 'UDP', port: 53, targetPort: 'dns' },
        ],
        selector: { app: 'web' },
        clusterIP: 'None',
      },
    },
    undefined,
    [],
  ],
]
const fromCluster: (typeof taken)[number] = [
  'what a cluster wrote into a service is left out',
  `${SERVICE.replace('{name: s}', '{name: s, namespace: n, labels: {a: b}, uid: u, resourceVersion: "7", creationTimestamp: "2026-08-02T09:15:04Z", annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}}')}spec: {selector: {app: web}, clusterIP: None, clusterIPs: [None], internalTrafficPolicy: Cluster, ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, sessionAffinity: None, type: ClusterIP}\nstatus: {loadBalancer: {}}\n`,
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace: 'n', labels: { a: 'b' } },
    spec: {
      ...{ selector: { app: 'web' }, clusterIP: 'None', clusterIPs: ['None'], type: 'ClusterIP', sessionAffinity: 'None' },
      ...{ ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', internalTrafficPolicy: 'Cluster' },
    },
  },
  undefined,
  [],
]
for (const [title, text, resource, note, warnings] of [...taken, fromCluster]) {
  test(title, () => {
    const [document, ...others] = parseDocuments(text)
    assert.equal(others, [])
    assert.equal(document?.issues, [])
    assert.equal(document?.resource, resource)
    assert.is(document?.note, note)
    assert.equal([...(document?.warnings ?? []), ...(document?.unheeded ?? [])].map(describeIssue), warnings)
  })
}

test('a policy without a namespace stands in the given one', () => {
  assert.is(parseDocuments(`${POLICY}spec: {podSelector: {}}\n`, 'shop')[0]?.resource?.metadata.namespace, 'shop')
})

test('the items of a List are taken one by one', () => {
  const text = `apiVersion: v1\nkind: List\nitems:\n- ${POLICY.replaceAll('\n', '\n  ')}spec: {podSelector: {}}\n- ${NAMESPACE.replaceAll('\n', '\n  ')}metadata: {name: n}\n`
  assert.equal(
    parseDocuments(text).map(({ resource }) => resource?.metadata.name),
    ['knp.default.p', 'kns.n'],
  )
})

const refused: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a misspelt field of a policy',
    `${POLICY}spec:\n  podSelectr: {}\n  ingress:\n  - form: []\n`,
    [
      'unknown field "spec.podSelectr" (line 5, column 3): did you mean "spec.podSelector"?',
      'unknown field "spec.ingress[0].form" (line 7, column 5): did you mean "spec.ingress[0].from"?',
    ],
  ],
  [
    'selectors of a policy',
    `${POLICY}spec:\n  podSelector:\n    matchLabels: {"a b": "c d"}\n    matchExpressions:\n    - {key: a, operator: In}\n    - {key: b, operator: Exists, values: [x]}\n    - {key: c, operator: in, values: [x]}\n`,
    [
      'spec.podSelector.matchExpressions[2].operator (line 10, column 16): "in" is not one of In, NotIn, Exists, DoesNotExist: did you mean "In"?',
      'spec.podSelector.matchLabels.a b (line 6, column 19): "a b" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
      'spec.podSelector.matchLabels.a b (line 6, column 19): "c d" is not a label value (empty, or up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit)',
      'spec.podSelector.matchExpressions[0].values (line 8, column 7): is required with In',
      'spec.podSelector.matchExpressions[1].values (line 9, column 34): must be left out with Exists',
    ],
  ],
  [
    'peers of a policy',
    `${POLICY}spec:\n  ingress:\n  - from:\n    - {}\n    - {podSelector: {}, ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.0/24, 198.51.100.0/25]}}\n    - {ipBlock: {cidr: 192.0.2.1}}\n`,
    [
      'spec.ingress[0].from[2].ipBlock.cidr (line 9, column 18): "192.0.2.1" has no prefix length: write 192.0.2.1/32',
      'spec.ingress[0].from[0] (line 7, column 7): needs podSelector, namespaceSelector or ipBlock',
      "spec.ingress[0].from[1] (line 8, column 7): ipBlock can't stand beside podSelector or namespaceSelector",
      'spec.ingress[0].from[1].ipBlock.except[0] (line 8, column 64): 192.0.2.0/24 is not a part of 192.0.2.0/24',
      'spec.ingress[0].from[1].ipBlock.except[1] (line 8, column 78): 198.51.100.0/25 is not a part of 192.0.2.0/24',
    ],
  ],
  [
    'ports of a policy',
    `${POLICY}spec:\n  egress:\n  - ports:\n    - {port: 70000}\n    - {port: "80"}\n    - {port: 80, endPort: 79}\n    - {port: http, endPort: 90}\n    - {protocol: ICMP}\n`,
    [
      'spec.egress[0].ports[0].port (line 7, column 8): 70000 is not a port (1 to 65535)',
      'spec.egress[0].ports[1].port (line 8, column 8): "80" is not a port name (up to 15 lower-case letters, digits and inner "-", at least one letter)',
      'spec.egress[0].ports[4].protocol (line 11, column 8): "ICMP" is not one of TCP, UDP, SCTP',
      'spec.egress[0].ports[2].endPort (line 9, column 18): 79 is less than the port 80',
      'spec.egress[0].ports[3].endPort (line 10, column 20): needs a port that is a number',
    ],
  ],
  [
    'a name of a policy',
    `${POLICY.replace('{name: p}', '{name: P}')}spec: {}\n`,
    [
      'metadata.name (line 3, column 12): "P" is not a name (lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit)',
    ],
  ],
  [
    'a policy that is more than one of ours holds',
    `${POLICY}spec:\n  podSelector: {matchExpressions: [{key: a, operator: In, values: [${Array.from({ length: 200 }, (_, i) => `value-${i}`)}]}]}\n`,
    [
      `line 1, column 1: can't be stored as a NetworkPolicy of projectcalico.org/v3: spec.selector: the selector has 2495 characters, 1024 are allowed`,
    ],
  ],
  [
    'a namespace',
    `${NAMESPACE}metadata: {name: a.b, namespace: c, labels: {kubernetes.io/metadata.name: x}}\n`,
    [
      'metadata.name (line 3, column 12): "a.b" is not a namespace (lower-case letters, digits and inner "-", up to 63)',
      'metadata.labels.kubernetes.io/metadata.name (line 3, column 46): "x" is not the namespace\'s name: leave this label out, every namespace has it',
      'metadata.namespace (line 3, column 23): a namespace is in none: leave it out',
    ],
  ],
  ['a namespace without a name', `${NAMESPACE}metadata: {}\n`, ['metadata.name (line 3, column 1): is required (a string)']],
  [
    'a service',
    `${SERVICE}spec:\n  selector: {"a b": c}\n  type: Nodeport\n  ports: [{port: 80}, {name: A, port: 0, targetPort: Web}, {name: b, port: 80}]\n`,
    [
      'spec.ports[1].port (line 7, column 33): must be an integer from 1 to 65535, not 0',
      'spec.ports[1].targetPort (line 7, column 42): "Web" is not a port name (up to 15 lower-case letters, digits and inner "-", at least one letter)',
      'spec.type (line 6, column 3): "Nodeport" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName: did you mean "NodePort"?',
      'spec.selector.a b (line 5, column 14): "a b" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
      'spec.ports[0].name (line 7, column 11): is required where there are several ports',
      'spec.ports[0] (line 7, column 11): port 80/TCP stands there more than once',
      'spec.ports[1].name (line 7, column 24): "A" is not a port name (lower-case letters, digits and inner "-", up to 63)',
      'spec.ports[2] (line 7, column 60): port 80/TCP stands there more than once',
    ],
  ],
]
for (const [title, text, want] of refused) {
  test(`refused: ${title}`, () => {
    const issues = parseDocuments(text).flatMap((document) => document.issues.map(describeIssue))
    assert.equal(issues, want)
  })
}

test.run()
