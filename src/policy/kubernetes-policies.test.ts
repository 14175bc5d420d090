import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aNetworkSet, aPolicy } from '../../test/support/policies.ts'
import type { LabelSelector } from '../model/kubernetes/label-selector.ts'
import type { KubernetesPeer, KubernetesPolicySpec, KubernetesPort } from '../model/kubernetes/network-policy.ts'
import { translatePolicy } from '../model/kubernetes/translate-policy.ts'
import { namespaceProfile } from '../model/namespace.ts'
import { API_VERSION } from '../model/resource.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { cidrContains, parseCidrLoosely, parseInterfaceAddress } from '../net/cidr.ts'
import { familyOf, type Ip, parseIp } from '../net/ip.ts'
import { PROTOCOL_NUMBERS } from '../net/port.ts'
import { evaluateList } from './evaluate.ts'
import { labelledOf } from './labelled.ts'
import { SearchedMembers, selects } from './members.ts'
import type { Packet } from './packet.ts'
import { readPolicy } from './policies.ts'
import { orderPolicies } from './tiers.ts'

const test = suite('policy/kubernetes-policies')

/**
 * A translated policy must say what Kubernetes says of the same policy. Here stands what Kubernetes says, written from its API reference
 * (NetworkPolicySpec) and nothing of ours: random policies of a small world are asked about random packets both ways.
 */
const CASES = 20_000
const SEED = 20_260_802

type Labels = Readonly<Record<string, string>>

interface Pod {
  readonly name: string
  readonly namespace: string
  readonly labels: Labels
  readonly addresses: readonly Ip[]
  readonly ports: readonly { readonly name: string; readonly protocol: 'TCP' | 'UDP' | 'SCTP'; readonly port: number }[]
}

const NAMESPACES: Readonly<Record<string, Labels>> = { n1: { stage: 'test' }, n2: { stage: 'live', team: 'a' } }
const PODS: readonly Pod[] = ['n1', 'n2'].flatMap((namespace, n) =>
  [{}, { app: 'web' }, { app: 'db', tier: 'back' }, { app: 'web', tier: 'front' }].map((labels, index) => ({
    ...{ name: `p${n}${index}`, namespace, labels: labels as Labels },
    addresses: [parseIp(`10.65.${n}.${index + 1}`), parseIp(`2001:db8:${n + 1}::${index + 1}`)],
    ports:
      index % 2 === 0
        ? []
        : [
            { name: 'http', protocol: 'TCP' as const, port: 8000 + index },
            { name: 'dns', protocol: 'UDP' as const, port: 53 },
          ],
  })),
)
/** No pods: a selector of pods must not find them, whatever their labels. */
const SETS = [aNetworkSet('n1/s', { app: 'web', tier: 'front' }, '198.51.100.0/24', '2001:db8:99::/48')]
const OUTSIDE: readonly Ip[] = ['198.51.100.7', '203.0.113.9', '2001:db8:99::7'].map(parseIp)

/** xorshift32: the same numbers on every run. */
function randomOf(seed: number) {
  let state = seed
  const next = (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
  const pick = <T>(list: readonly T[]): T => list[next(list.length)] as T
  return { next, pick, some: <T>(most: number, make: () => T): T[] => Array.from({ length: next(most + 1) }, make) }
}

type Random = ReturnType<typeof randomOf>

function aSelector({ pick, next }: Random, labels: readonly (readonly [string, string])[]): LabelSelector {
  const [key, value] = pick(labels)
  const expression = pick([
    { key, operator: 'In' as const, values: [value, 'other'] },
    { key, operator: 'NotIn' as const, values: [value] },
    { key, operator: 'Exists' as const },
    { key, operator: 'DoesNotExist' as const },
  ])
  return pick([
    {},
    { matchLabels: { [key]: value } },
    { matchExpressions: [expression] },
    { matchLabels: next(2) === 0 ? {} : { [key]: value }, matchExpressions: [expression] },
  ])
}

const POD_LABELS = [
  ['app', 'web'],
  ['app', 'db'],
  ['tier', 'front'],
  ['tier', 'back'],
] as const
const NAMESPACE_LABELS = [
  ['stage', 'test'],
  ['stage', 'live'],
  ['team', 'a'],
  ['kubernetes.io/metadata.name', 'n1'],
  ['kubernetes.io/metadata.name', 'n2'],
] as const
const BLOCKS = [
  { cidr: '0.0.0.0/0' },
  { cidr: '10.65.0.0/16', except: ['10.65.0.0/31', '10.65.1.2/32'] },
  { cidr: '198.51.100.9/24', except: ['198.51.100.0/29'] },
  { cidr: '::/0', except: ['2001:db8:99::/64'] },
  { cidr: '2001:db8:1::/48' },
]

function aPeer(random: Random): KubernetesPeer {
  const podSelector = aSelector(random, POD_LABELS)
  const namespaceSelector = aSelector(random, NAMESPACE_LABELS)
  return random.pick([{ podSelector }, { namespaceSelector }, { podSelector, namespaceSelector }, { ipBlock: random.pick(BLOCKS) }])
}

function aPort({ pick }: Random): KubernetesPort {
  const protocol = pick([undefined, 'TCP', 'UDP', 'SCTP'] as const)
  return { protocol, ...pick([{}, { port: 53 }, { port: 'http' }, { port: 'dns' }, { port: 8000, endPort: 8001 }, { port: 8003 }]) }
}

function aSpec(random: Random): KubernetesPolicySpec {
  const ports = () => random.some(2, () => aPort(random))
  const peers = () => random.some(2, () => aPeer(random))
  return {
    podSelector: random.pick([{}, aSelector(random, POD_LABELS)]),
    ...random.pick([{}, { ingress: random.some(2, () => ({ ports: ports(), from: peers() })) }]),
    ...random.pick([{}, { egress: random.some(2, () => ({ ports: ports(), to: peers() })) }]),
    policyTypes: random.pick([undefined, undefined, ['Ingress'], ['Egress'], ['Ingress', 'Egress']]),
  }
}

interface Flow {
  readonly from: Ip
  readonly to: Ip
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
}

/** What Kubernetes says of packets to (Ingress) or from (Egress) a pod; undefined: the policy is not about that. */
function saysKubernetes(spec: KubernetesPolicySpec, pod: Pod, type: 'Ingress' | 'Egress', flow: Flow): 'allow' | 'deny' | undefined {
  const types = spec.policyTypes?.length ? spec.policyTypes : spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']
  if (pod.namespace !== 'n1' || !isSelected(spec.podSelector ?? {}, pod.labels) || !types.includes(type)) return undefined
  const rules =
    type === 'Ingress'
      ? (spec.ingress ?? []).map(({ ports, from }) => ({ ports, peers: from }))
      : (spec.egress ?? []).map(({ ports, to }) => ({ ports, peers: to }))
  const far = type === 'Ingress' ? flow.from : flow.to
  const isAllowed = rules.some(
    ({ ports, peers }) =>
      (!ports?.length || ports.some((port) => isPort(port, flow))) && (!peers?.length || peers.some((peer) => isPeer(peer, far))),
  )
  return isAllowed ? 'allow' : 'deny'
}

function isSelected({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      if (operator === 'Exists') return value !== undefined
      if (operator === 'DoesNotExist') return value === undefined
      return (value !== undefined && values.includes(value)) === (operator === 'In')
    })
  )
}

function isPort({ protocol = 'TCP', port, endPort }: KubernetesPort, flow: Flow): boolean {
  if (protocol !== flow.protocol) return false
  if (port === undefined) return true
  if (typeof port === 'number') return port <= flow.port && flow.port <= (endPort ?? port)
  const destination = PODS.find(({ addresses }) => addresses.includes(flow.to))
  return destination?.ports.some((own) => own.name === port && own.protocol === protocol && own.port === flow.port) === true
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: KubernetesPeer, address: Ip): boolean {
  if (ipBlock !== undefined) {
    return (
      cidrContains(parseCidrLoosely(ipBlock.cidr), address) &&
      !ipBlock.except?.some((part) => cidrContains(parseCidrLoosely(part), address))
    )
  }
  const pod = PODS.find(({ addresses }) => addresses.includes(address))
  if (pod === undefined || !isSelected(podSelector ?? {}, pod.labels)) return false
  if (namespaceSelector === undefined) return pod.namespace === 'n1'
  return isSelected(namespaceSelector, { 'kubernetes.io/metadata.name': pod.namespace, ...NAMESPACES[pod.namespace] })
}

const profiles = new Map(Object.entries(NAMESPACES).map(([name, labels]) => [`kns.${name}`, namespaceProfile(name, labels)]))
const endpoints = new Map(PODS.map((pod) => [pod, endpointOf(pod)]))
const labelled = [...endpoints.values(), ...SETS].flatMap((one) => labelledOf(one) ?? [])
const members = new SearchedMembers({ labelled, profiles })

function endpointOf({ name, namespace, labels, addresses, ports }: Pod): WorkloadEndpoint {
  const own = { 'projectcalico.org/orchestrator': 'margay', 'projectcalico.org/namespace': namespace }
  const spec = { profiles: [`kns.${namespace}`], ipNetworks: addresses.map(parseInterfaceAddress), ports: [...ports] }
  return { apiVersion: API_VERSION, kind: 'WorkloadEndpoint', metadata: { name, namespace, labels: { ...labels, ...own } }, spec }
}

/** What we say of the same, by the translated policy. */
function weSay(spec: KubernetesPolicySpec, pod: Pod, type: 'Ingress' | 'Egress', flow: Flow): string | undefined {
  const policy = readPolicy(aPolicy('n1/knp.default.p', translatePolicy(spec)))
  const endpoint = endpoints.get(pod)
  const seen = endpoint && labelledOf(endpoint)
  if (policy === undefined || seen === undefined) throw new Error('nothing to ask')
  const direction = type === 'Ingress' ? 'ingress' : 'egress'
  if (!selects(policy.selector, seen, profiles) || policy.rules[direction] === undefined) return undefined
  const local = { id: pod.name, tiers: orderPolicies([policy], new Map()), profiles: [] }
  return evaluateList(local, 'normal', direction, packetOf(flow), members).verdict
}

function packetOf({ from, to, protocol, port }: Flow): Packet {
  return {
    family: familyOf(from),
    protocol: PROTOCOL_NUMBERS[protocol],
    source: { address: from, port: 40_000 },
    destination: { address: to, port },
  }
}

test(`a translated policy says what Kubernetes says of it, in ${CASES} random cases`, () => {
  const random = randomOf(SEED)
  const counts = { allow: 0, deny: 0, none: 0 }
  for (let index = 0; index < CASES; index++) {
    const spec = aSpec(random)
    const pod = random.pick(PODS.slice(0, 5))
    const type = random.pick(['Ingress', 'Egress'] as const)
    const near = random.pick(pod.addresses)
    const far = random.pick([...PODS.flatMap(({ addresses }) => addresses), ...OUTSIDE].filter((ip) => familyOf(ip) === familyOf(near)))
    const ends = type === 'Ingress' ? { from: far, to: near } : { from: near, to: far }
    const flow = { ...ends, protocol: random.pick(['TCP', 'UDP', 'SCTP'] as const), port: random.pick([53, 8000, 8001, 8002, 8003, 9]) }
    const want = saysKubernetes(spec, pod, type, flow)
    counts[want ?? 'none']++
    if (want !== weSay(spec, pod, type, flow)) assert.equal({ says: weSay(spec, pod, type, flow), spec, pod, type, flow }, { says: want })
  }
  assert.ok(Math.min(counts.allow, counts.deny, counts.none) > CASES / 20, `the cases are lopsided: ${JSON.stringify(counts)}`)
})

test('a staged policy in the form of Kubernetes stages the translated one', () => {
  const resource = {
    apiVersion: API_VERSION,
    kind: 'StagedKubernetesNetworkPolicy',
    metadata: { name: 'p', namespace: 'n1' },
    spec: {},
  } as const
  const { key, enforcedKey, isStaged, name, order } = readPolicy(resource) ?? {}
  assert.equal(
    { key, enforcedKey, isStaged, name, order },
    {
      key: 'p/n1/StagedKubernetesNetworkPolicy',
      enforcedKey: 'knp.default.p/n1/NetworkPolicy',
      isStaged: true,
      name: 'p',
      order: 1000,
    },
  )
  assert.is(readPolicy({ ...resource, spec: { stagedAction: 'Delete' } }), undefined)
})

test.run()
