import { type Cidr, parseCidrLoosely } from '../../net/cidr.ts'
import type { NetworkPolicySpec } from '../network-policy.ts'
import type { PolicyType } from '../policy.ts'
import type { Rule } from '../rule.ts'
import { type LabelSelector, selectorParts } from './label-selector.ts'
import type { KubernetesPeer, KubernetesPolicySpec, KubernetesPort } from './network-policy.ts'

/** What the names of translated policies begin with, as Calico's do. */
export const KUBERNETES_POLICY_PREFIX = 'knp.default.'
/** Where translated policies stand in the tier `default`, as Calico's do. */
const ORDER = 1000
/** A rule of ours holds no more ports. */
const MAX_PORTS = 50
/** What every workload has, and no network set: a podSelector means workloads only. */
const IS_WORKLOAD = 'has(projectcalico.org/orchestrator)'

/**
 * The spec of a Kubernetes NetworkPolicy as Calico's: what it selects is closed in its directions but for what its rules allow. The
 * given one has no faults (checkKubernetesPolicy).
 */
export function translatePolicy(spec: KubernetesPolicySpec): NetworkPolicySpec {
  const ingress = (spec.ingress ?? []).flatMap(({ from, ports }) =>
    rulesOf(from, ports, (far, near = {}) => ({ source: far, destination: near })),
  )
  const egress = (spec.egress ?? []).flatMap(({ to, ports }) => rulesOf(to, ports, (far, near) => ({ destination: { ...far, ...near } })))
  const types = typesOf(spec)
  return {
    tier: 'default',
    order: ORDER,
    // A direction that is not governed has no rules: Kubernetes passes over them.
    ...(ingress.length > 0 && types.includes('Ingress') ? { ingress } : {}),
    ...(egress.length > 0 && types.includes('Egress') ? { egress } : {}),
    selector: selectorParts(spec.podSelector ?? {}).join(' && ') || 'all()',
    types,
  }
}

function typesOf({ policyTypes, egress }: KubernetesPolicySpec): readonly PolicyType[] {
  if (policyTypes?.length) return (['Ingress', 'Egress'] as const).filter((type) => policyTypes.includes(type))
  return egress?.length ? ['Ingress', 'Egress'] : ['Ingress']
}

type Entity = NonNullable<Rule['source']>
type Sides = (far: Entity, near: Pick<Entity, 'ports'> | undefined) => Pick<Rule, 'source' | 'destination'>

/** One rule for each peer and each protocol; without peers, or without ports, any. */
function rulesOf(
  peers: readonly KubernetesPeer[] | undefined,
  ports: readonly KubernetesPort[] | undefined,
  sides: Sides,
): readonly Rule[] {
  const entities = peers?.length ? peers.map(entityOf) : [{}]
  return portsByProtocol(ports).flatMap(({ protocol, ports: numbers }) =>
    entities.map((entity): Rule => {
      const near = numbers === undefined ? undefined : { ports: [...numbers] }
      const { source = {}, destination = {} } = sides(entity, near)
      return {
        action: 'Allow',
        ...(protocol === undefined ? {} : { protocol }),
        ...(Object.keys(source).length > 0 ? { source } : {}),
        ...(Object.keys(destination).length > 0 ? { destination } : {}),
      }
    }),
  )
}

function entityOf({ podSelector, namespaceSelector, ipBlock }: KubernetesPeer): Entity {
  if (ipBlock !== undefined) {
    const nets = (given: readonly string[]): Cidr[] => given.map(parseCidrLoosely)
    return { nets: nets([ipBlock.cidr]), ...(ipBlock.except?.length ? { notNets: nets(ipBlock.except) } : {}) }
  }
  const selector = [IS_WORKLOAD, ...selectorParts(podSelector ?? {})].join(' && ')
  return namespaceSelector === undefined ? { selector } : { selector, namespaceSelector: ofNamespaces(namespaceSelector) }
}

function ofNamespaces(selector: LabelSelector): string {
  return selectorParts(selector).join(' && ') || 'all()'
}

type ProtocolPorts = { readonly protocol?: 'TCP' | 'UDP' | 'SCTP'; readonly ports?: readonly (number | string)[] }

/** Ports by protocol, in lists that a rule can hold; a port without a number or name stands for all of its protocol. */
function portsByProtocol(ports: readonly KubernetesPort[] | undefined): readonly ProtocolPorts[] {
  if (!ports?.length) return [{}]
  return (['SCTP', 'TCP', 'UDP'] as const).flatMap((protocol): readonly ProtocolPorts[] => {
    const own = ports.filter((port) => (port.protocol ?? 'TCP') === protocol)
    if (own.length === 0) return []
    if (own.some(({ port }) => port === undefined)) return [{ protocol }]
    const texts = [...new Set(own.map(showPort))]
    return Array.from({ length: Math.ceil(texts.length / MAX_PORTS) }, (_, part) => ({
      protocol,
      ports: texts.slice(part * MAX_PORTS, (part + 1) * MAX_PORTS),
    }))
  })
}

function showPort({ port = 0, endPort }: KubernetesPort): number | string {
  return endPort === undefined || endPort === port ? port : `${port}:${endPort}`
}
