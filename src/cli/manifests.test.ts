import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { resourceKey } from '../model/keys.ts'
import type { ResourceKind } from '../model/kinds.ts'
import { MemoryStore } from '../store/memory.ts'

const test = suite('cli/manifests')

const never = new AbortController().signal
const etcd = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

function shell() {
  const store = new MemoryStore()
  return { store, margay: (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env: etcd }) }
}

/** The spec that stands under a resource's key. */
async function storedSpec(store: MemoryStore, kind: ResourceKind, name: string, namespace?: string): Promise<unknown> {
  const entry = await store.get(resourceKey(kind, name, namespace), never)
  return entry === undefined ? undefined : (JSON.parse(entry.value) as { readonly spec: unknown }).spec
}

const CALICO = 'apiVersion: projectcalico.org/v3\n'
const POLICY = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n'
const IS_WORKLOAD = 'has(projectcalico.org/orchestrator)'

/** Manifests in the forms that users have them: where each is kept, as what, and what is said of it. */
const taken: readonly {
  readonly title: string
  readonly text: string
  readonly at: readonly [ResourceKind, string, string?]
  readonly spec: object
  readonly out: string
  readonly err: string
}[] = [
  {
    title: 'a policy of Kubernetes that closes tenants to each other',
    text: `${POLICY}metadata:\n  name: tenants\nspec:\n  podSelector:\n    matchLabels:\n      tenant: A\n  policyTypes:\n  - Ingress\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          tenant: A\n`,
    at: ['NetworkPolicy', 'knp.default.tenants', 'default'],
    spec: {
      tier: 'default',
      order: 1000,
      ingress: [{ action: 'Allow', source: { selector: `${IS_WORKLOAD} && tenant == 'A'` } }],
      selector: "tenant == 'A'",
      types: ['Ingress'],
    },
    out: 'networkpolicy/default/knp.default.tenants created\n',
    err: 'margay: note: standard input: NetworkPolicy tenants: kept as NetworkPolicy "knp.default.tenants" of projectcalico.org/v3 in namespace default, order 1000\n',
  },
  {
    title: 'a policy of Kubernetes with a field that it does not have, which logs',
    text: `${POLICY}metadata:\n  name: audit\nspec:\n  podSelector:\n    matchLabels:\n      role: audit\n  policyTypes: [Ingress]\n  ingress:\n  - ports:\n    - port: 80\n    from:\n    - podSelector:\n        matchLabels:\n          role: sensitive\n  audit:\n    metadata: {}\n`,
    at: ['NetworkPolicy', 'knp.default.audit', 'default'],
    spec: {
      tier: 'default',
      order: 1000,
      ingress: [
        { action: 'Allow', protocol: 'TCP', source: { selector: `${IS_WORKLOAD} && role == 'sensitive'` }, destination: { ports: [80] } },
      ],
      selector: "role == 'audit'",
      types: ['Ingress'],
    },
    out: 'networkpolicy/default/knp.default.audit created\n',
    err: 'margay: warning: standard input: NetworkPolicy audit: spec.audit (line 17, column 3): is no field of a NetworkPolicy of Kubernetes; it is taken as annotation margay.io/log: "true", so what the policy allows and denies is logged\nmargay: note: standard input: NetworkPolicy audit: kept as NetworkPolicy "knp.default.audit" of projectcalico.org/v3 in namespace default, order 1000\n',
  },
  {
    title: 'a headless service',
    text: 'apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector:\n    app: web\n  ports:\n    - protocol: TCP\n      port: 80\n      targetPort: 8080\n  clusterIP: None\n',
    at: ['Service', 'web', 'default'],
    spec: { ports: [{ protocol: 'TCP', port: 80, targetPort: 8080 }], selector: { app: 'web' }, clusterIP: 'None' },
    out: 'service/default/web created\n',
    err: '',
  },
  {
    title: 'a policy that denies by namespace',
    text: `${CALICO}kind: NetworkPolicy\nmetadata:\n  name: deny-db\n  namespace: default\nspec:\n  selector: role == 'db'\n  ingress:\n  - action: Deny\n    source:\n      namespaceSelector: name == 'default'\n  egress:\n  - action: Allow\n`,
    at: ['NetworkPolicy', 'deny-db', 'default'],
    spec: {
      tier: 'default',
      ingress: [{ action: 'Deny', source: { namespaceSelector: "name == 'default'" } }],
      egress: [{ action: 'Allow' }],
      selector: "role == 'db'",
      types: ['Ingress', 'Egress'],
    },
    out: 'networkpolicy/default/deny-db created\n',
    err: '',
  },
  {
    title: 'a pool whose selector is a YAML tag',
    text: `${CALICO}kind: IPPool\nmetadata:\n  name: nobody\nspec:\n  cidr: 172.16.16.0/20\n  nodeSelector: !all()\n`,
    at: ['IPPool', 'nobody'],
    spec: {
      cidr: '172.16.16.0/20',
      vxlanMode: 'Never',
      ipipMode: 'Never',
      blockSize: 26,
      nodeSelector: '!all()',
      allowedUses: ['Workload', 'Tunnel'],
      assignmentMode: 'Automatic',
    },
    out: 'ippool/nobody created\n',
    err: 'margay: warning: standard input: IPPool nobody: spec.nodeSelector (line 7, column 3): !all() is a YAML tag without quotes; it is taken as the string "!all()"\n',
  },
  {
    title: 'a policy of hosts, in flow style',
    text: `${CALICO}kind: GlobalNetworkPolicy\nmetadata:\n  name: edge\nspec:\n  selector: role == 'edge'\n  order: 0\n  types: [Ingress, Egress]\n  ingress:\n  - {action: Allow, protocol: TCP, source: {nets: [198.51.100.0/24]}, destination: {ports: [22]}}\n  egress:\n  - action: Allow\n`,
    at: ['GlobalNetworkPolicy', 'edge'],
    spec: {
      tier: 'default',
      order: 0,
      ingress: [{ action: 'Allow', protocol: 'TCP', source: { nets: ['198.51.100.0/24'] }, destination: { ports: [22] } }],
      egress: [{ action: 'Allow' }],
      selector: "role == 'edge'",
      types: ['Ingress', 'Egress'],
    },
    out: 'globalnetworkpolicy/edge created\n',
    err: '',
  },
  {
    title: 'a host endpoint',
    text: `${CALICO}kind: HostEndpoint\nmetadata:\n  name: h1-eth0\n  labels: {role: edge}\nspec:\n  node: h1\n  interfaceName: eth0\n  expectedIPs: [192.0.2.11]\n`,
    at: ['HostEndpoint', 'h1-eth0'],
    spec: { node: 'h1', interfaceName: 'eth0', expectedIPs: ['192.0.2.11'] },
    out: 'hostendpoint/h1-eth0 created\n',
    err: '',
  },
]
for (const { title, text, at, spec, out, err } of taken) {
  test(`${title} is applied, unchanged when applied again, and deleted`, async () => {
    const { store, margay } = shell()
    assert.equal(await margay(['apply', '-f', '-'], text), { code: 0, out, err })
    assert.equal(await storedSpec(store, ...at), spec)
    assert.equal(await margay(['apply', '-f', '-'], text), { code: 0, out: out.replace('created', 'unchanged'), err })
    assert.equal((await margay(['delete', '-f', '-'], text)).code, 0)
    assert.is(await storedSpec(store, ...at), undefined)
  })
}

test('a namespace of Kubernetes is kept as a profile, and its labels are replaced', async () => {
  const { store, margay } = shell()
  const text = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {stage: test}\n'
  const created = await margay(['apply', '-f', '-'], text)
  assert.is(created.code, 0)
  assert.is(
    created.err,
    'margay: note: standard input: Namespace shop: kept as Profile "kns.shop", which its workloads and policies go by\n',
  )
  assert.is((await margay(['apply', '-f', '-'], text.replace('test', 'live'))).code, 0)
  assert.equal(await storedSpec(store, 'Profile', 'kns.shop'), {
    ingress: [{ action: 'Allow' }],
    egress: [{ action: 'Allow' }],
    labelsToApply: {
      'pcns.kubernetes.io/metadata.name': 'shop',
      'pcns.name': 'shop',
      'pcns.projectcalico.org/name': 'shop',
      'pcns.stage': 'live',
    },
  })
})

test('a namespace that is applied again keeps the rules of its profile', async () => {
  const { store, margay } = shell()
  const profile = `${CALICO}kind: Profile\nmetadata: {name: kns.shop, labels: {a: b}}\nspec: {ingress: [{action: Deny}], labelsToApply: {own: x}}\n`
  assert.is((await margay(['apply', '-f', '-'], profile)).code, 0)
  for (const verb of ['apply', 'replace']) {
    const text = `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {stage: ${verb}}}\n`
    const { code, out } = await margay([verb, '-f', '-'], text)
    assert.equal([code, out], [0, 'profile/kns.shop updated\n'])
    assert.equal(await storedSpec(store, 'Profile', 'kns.shop'), {
      ingress: [{ action: 'Deny' }],
      labelsToApply: {
        own: 'x',
        'pcns.kubernetes.io/metadata.name': 'shop',
        'pcns.name': 'shop',
        'pcns.projectcalico.org/name': 'shop',
        'pcns.stage': verb,
      },
    })
  }
})

test('rules that do nothing are warned of', async () => {
  const { margay } = shell()
  const rules = 'types: [Ingress], ingress: [{action: Deny}, {action: Allow}], egress: [{action: Allow}]'
  const { code, err } = await margay(['validate', '-f', '-'], `${CALICO}kind: NetworkPolicy\nmetadata: {name: p}\nspec: {${rules}}\n`)
  assert.is(code, 0)
  assert.match(
    err,
    'warning: standard input: NetworkPolicy p: spec.ingress[1] (line 4, column 52): is never reached: spec.ingress[0] decides about everything',
  )
  assert.match(err, 'warning: standard input: NetworkPolicy p: spec.egress (line 4, column 70): has no effect: types does not name Egress')
})

test('all faults of all documents are told at once, and nothing is written', async () => {
  const { store, margay } = shell()
  const policy = `${CALICO}kind: GlobalNetworkPolicy\nmetadata:\n  name: Bad_Name\nspec:\n  selector: role = 'db'\n  ingress:\n  - action: allow\n    protocol: ICMP\n    destination:\n      ports: [70000]\n`
  const pools = `---\n${CALICO}kind: IPPool\nmetadata:\n  name: p1\nspec:\n  cidr: 10.1.2.3/16\n---\n${CALICO}kind: IPPool\nmetadata:\n  name: p2\nspec:\n  cidr: 10.65.0.0/16\n`
  const { code, out, err } = await margay(['apply', '-f', '-'], policy + pools)
  assert.equal([code, out], [1, ''])
  const places = err.split('\n').flatMap((line) => /: ([\w.[\]]+) \(line (\d+), column (\d+)\): /.exec(line)?.slice(1, 4).join(' ') ?? [])
  assert.equal(places, [
    'metadata.name 4 3',
    'spec.ingress[0].action 8 5',
    'spec.ingress[0].destination.ports[0] 11 15',
    'spec.selector 6 3',
    'spec.ingress[0].destination.ports 11 7',
    'spec.cidr 18 3',
  ])
  assert.is(await storedSpec(store, 'IPPool', 'p2'), undefined)
})

test('a workload of Kubernetes is refused with what is taken, and the policy beside it is not written', async () => {
  const { store, margay } = shell()
  const policy = `---\n${POLICY}metadata: {name: p}\nspec: {podSelector: {}}\n`
  const { code, err } = await margay(['apply', '-f', '-'], `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n${policy}`)
  assert.is(code, 1)
  assert.match(
    err,
    "Deployment of apps/v1 is not taken: margay runs no workloads; of Kubernetes' kinds it takes Namespace and Service of v1",
  )
  assert.is(await storedSpec(store, 'NetworkPolicy', 'knp.default.p', 'default'), undefined)
})

test('a service is shown as Kubernetes has it', async () => {
  const { margay } = shell()
  await margay(
    ['apply', '-f', '-'],
    'apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{name: a, port: 80}, {name: b, port: 53, protocol: UDP}]}\n',
  )
  const { out: wide } = await margay(['get', 'services', '-A', '-o', 'wide'])
  assert.is(wide, 'NAMESPACE   NAME   CLUSTERIP   PORTS           SELECTOR\nshop        web                80/TCP,53/UDP   app=web\n')
  const { out } = await margay(['get', 'svc', 'web', '-n', 'shop', '-o', 'yaml'])
  assert.match(out, /^apiVersion: v1\nkind: Service\nmetadata:\n.* {2}name: web\n {2}namespace: shop\n/s)
})

test.run()
