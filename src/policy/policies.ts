import type { GlobalNetworkPolicy, NetworkPolicy } from '../model/network-policy.ts'
import { DEFAULT_TIER, type PolicyType } from '../model/policy.ts'
import { policySelector } from '../model/scoped-selector.ts'
import type { Selector } from '../model/selector-parse.ts'
import { asStagedNetworkPolicy, type StagedKubernetesNetworkPolicy } from '../model/staged-kubernetes-network-policy.ts'
import type { StagedGlobalNetworkPolicy, StagedNetworkPolicy } from '../model/staged-policy.ts'
import { type MatchRule, readRule } from './match-rule.ts'

/** A policy of any kind, as the store has it. */
export type PolicyResource =
  | GlobalNetworkPolicy
  | NetworkPolicy
  | StagedGlobalNetworkPolicy
  | StagedNetworkPolicy
  | StagedKubernetesNetworkPolicy

/** The kinds of policies. */
export type PolicyKind = PolicyResource['kind']

/** All kinds that hold policies. */
export const POLICY_KIND_NAMES: readonly PolicyKind[] = [
  'GlobalNetworkPolicy',
  'NetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
]

/**
 * Where on a packet's way the rules of a policy stand: before connection tracking (doNotTrack), before destination NAT (preDNAT), or
 * where packets are delivered, sent and forwarded.
 */
export type PolicyStage = 'untracked' | 'pre-dnat' | 'normal'

/** The two directions, seen from the endpoint. */
export type Direction = 'ingress' | 'egress'

/** A policy with its rules read and its selector scoped. */
export interface Policy {
  /** `<name>/<namespace>/<kind>`: by it Calico orders policies of equal order. */
  readonly key: string
  readonly kind: PolicyKind
  readonly namespace: string | undefined
  readonly name: string
  readonly tier: string
  /** Infinity where none is given. */
  readonly order: number
  readonly selector: Selector
  readonly stage: PolicyStage
  /** It governs what is forwarded through a host endpoint's interface, too. */
  readonly appliesOnForward: boolean
  /** Counted and reported, not enforced. */
  readonly isStaged: boolean
  /** What it allows is logged, too. */
  readonly logsAllowed: boolean
  /** The key of the policy that a staged one would take the place of; its own for one that is enforced. */
  readonly enforcedKey: string
  /** The rules of each direction that it governs; a direction that it does not govern is absent. */
  readonly rules: Readonly<Partial<Record<Direction, readonly MatchRule[]>>>
}

/** On a policy with the value `true`: new connections that it allows are logged. */
export const LOG_ANNOTATION = 'margay.io/log'

/**
 * Reads a policy; undefined for a staged one that stages nothing that can be evaluated (Delete, Learn, Ignore).
 *
 * @throws {ValidationError} if a selector, a protocol or a port in it does not parse
 */
export function readPolicy(resource: PolicyResource): Policy | undefined {
  if (resource.kind === 'StagedKubernetesNetworkPolicy') {
    const { metadata, kind } = resource
    const policy = readPolicy(asStagedNetworkPolicy(resource))
    return policy && { ...policy, kind, name: metadata.name, key: `${metadata.name}/${metadata.namespace ?? ''}/${kind}` }
  }
  const { kind, metadata, spec } = resource
  if ('stagedAction' in spec && spec.stagedAction !== undefined && spec.stagedAction !== 'Set') return undefined
  const namespace = kind === 'NetworkPolicy' || kind === 'StagedNetworkPolicy' ? (metadata.namespace ?? '') : undefined
  const global: GlobalNetworkPolicy['spec'] | undefined = namespace === undefined ? spec : undefined
  return {
    key: `${metadata.name}/${namespace ?? ''}/${kind}`,
    kind,
    namespace,
    name: metadata.name,
    tier: spec.tier || DEFAULT_TIER,
    order: spec.order ?? Number.POSITIVE_INFINITY,
    selector: policySelector(global ?? { ...spec, namespaceSelector: undefined }, namespace),
    stage: global?.doNotTrack ? 'untracked' : global?.preDNAT ? 'pre-dnat' : 'normal',
    appliesOnForward: global?.applyOnForward === true,
    isStaged: kind.startsWith('Staged'),
    logsAllowed: metadata.annotations?.[LOG_ANNOTATION] === 'true',
    enforcedKey: `${metadata.name}/${namespace ?? ''}/${kind.replace('Staged', '')}`,
    rules: {
      ...(governs(spec.types, 'Ingress') ? { ingress: (spec.ingress ?? []).map((rule) => readRule(rule, namespace)) } : {}),
      ...(governs(spec.types, 'Egress') ? { egress: (spec.egress ?? []).map((rule) => readRule(rule, namespace)) } : {}),
    },
  }
}

/** The order in which policies of one tier are asked; ties go by the bytes of the key, as Go compares them. */
export function comparePolicies(a: Policy, b: Policy): number {
  if (a.order !== b.order) return a.order - b.order
  return a.key === b.key ? 0 : a.key < b.key ? -1 : 1
}

/** Stored without types, a policy governs both directions. */
function governs(types: readonly PolicyType[] | undefined, type: PolicyType): boolean {
  return !types?.length || types.includes(type)
}
