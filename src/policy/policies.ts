import type { GlobalNetworkPolicy, NetworkPolicy } from '../model/network-policy.ts'
import { DEFAULT_TIER, type PolicyType } from '../model/policy.ts'
import type { Rule } from '../model/rule.ts'
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
 * Reads a policy; undefined for a staged one that stages nothing that can be evaluated (Delete, Learn, Ignore). Rules that say what they
 * said before, in the same place of the same policy, are the same objects: what was made of them is right still.
 *
 * @throws {ValidationError} if a selector, a protocol or a port in it does not parse
 */
export function readPolicy(resource: PolicyResource, before?: Policy): Policy | undefined {
  const given = resource.kind === 'StagedKubernetesNetworkPolicy' ? asStagedNetworkPolicy(resource) : resource
  const { spec } = given
  if ('stagedAction' in spec && spec.stagedAction !== undefined && spec.stagedAction !== 'Set') return undefined
  const head = readHead(given, resource)
  const known = before !== undefined && isAlike(before, head) ? before.rules : {}
  const { namespace } = head
  return {
    ...head,
    rules: {
      ...(governs(spec.types, 'Ingress') ? { ingress: readRules(spec.ingress ?? [], namespace, known.ingress) } : {}),
      ...(governs(spec.types, 'Egress') ? { egress: readRules(spec.egress ?? [], namespace, known.egress) } : {}),
    },
  }
}

/** All but the rules; names and kind are those of the resource as it is stored. */
function readHead(
  { kind, metadata, spec }: Exclude<PolicyResource, StagedKubernetesNetworkPolicy>,
  stored: PolicyResource,
): Omit<Policy, 'rules'> {
  const namespace = kind === 'NetworkPolicy' || kind === 'StagedNetworkPolicy' ? (metadata.namespace ?? '') : undefined
  const global: GlobalNetworkPolicy['spec'] | undefined = namespace === undefined ? spec : undefined
  return {
    key: `${stored.metadata.name}/${namespace ?? ''}/${stored.kind}`,
    kind: stored.kind,
    namespace,
    name: stored.metadata.name,
    tier: spec.tier || DEFAULT_TIER,
    order: spec.order ?? Number.POSITIVE_INFINITY,
    selector: policySelector(global ?? { ...spec, namespaceSelector: undefined }, namespace),
    stage: global?.doNotTrack ? 'untracked' : global?.preDNAT ? 'pre-dnat' : 'normal',
    appliesOnForward: global?.applyOnForward === true,
    isStaged: kind.startsWith('Staged'),
    logsAllowed: metadata.annotations?.[LOG_ANNOTATION] === 'true',
    enforcedKey: `${metadata.name}/${namespace ?? ''}/${kind.replace('Staged', '')}`,
  }
}

/** Whether rules of the one mean in the other what they mean in it. */
function isAlike(before: Policy, head: Omit<Policy, 'rules'>): boolean {
  const keys = Object.keys(head) as (keyof typeof head)[]
  return keys.every((key) => key === 'order' || key === 'selector' || before[key] === head[key])
}

function readRules(given: readonly Rule[], namespace: string | undefined, before: readonly MatchRule[] = []): readonly MatchRule[] {
  const givenBefore = GIVEN.get(before)
  const rules = given.map((rule, i) => {
    const known = before[i]
    return known !== undefined && JSON.stringify(rule) === JSON.stringify(givenBefore?.[i]) ? known : readRule(rule, namespace)
  })
  const isSame = rules.length === before.length && rules.every((rule, i) => rule === before[i])
  const list = isSame ? before : rules
  GIVEN.set(list, given)
  return list
}

/** What rules were read from: the store's view has it anyway. */
const GIVEN = new WeakMap<readonly MatchRule[], readonly Rule[]>()

/** The order in which policies of one tier are asked; ties go by the bytes of the key, as Go compares them. */
export function comparePolicies(a: Policy, b: Policy): number {
  if (a.order !== b.order) return a.order - b.order
  return a.key === b.key ? 0 : a.key < b.key ? -1 : 1
}

/** Stored without types, a policy governs both directions. */
function governs(types: readonly PolicyType[] | undefined, type: PolicyType): boolean {
  return !types?.length || types.includes(type)
}
