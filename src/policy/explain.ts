import type { Rule, RuleAction } from '../model/rule.ts'
import { asStagedNetworkPolicy } from '../model/staged-kubernetes-network-policy.ts'
import { reasonOfClosing } from './closed.ts'
import { describeRule } from './describe-rule.ts'
import type { ListVerdict, Step } from './evaluate.ts'
import { directionAt, evaluatePath, type PathPacket, type PathStep, type Place, type PolicedHost } from './evaluate-path.ts'
import { asIfEnforced, type ReadPolicies, type ResourceMaps } from './explain-host.ts'
import type { Direction, PolicyResource } from './policies.ts'

/** One thing that was looked at on the way to a verdict, in words. */
export interface ExplainedCheck {
  readonly by: 'policy' | 'tier' | 'profile' | 'end'
  readonly tier?: string
  /** Kind and name of a policy, with its namespace; the name of a profile. */
  readonly name?: string
  /** It only would have decided. */
  readonly isStaged?: boolean
  /** From 0; absent where no rule matched. */
  readonly rule?: number
  readonly action?: RuleAction
  /** The rule, or what came about, in words. */
  readonly text: string
}

/** One place on a packet's way through a host. `none`: nothing was decided, the packet goes on. */
export interface ExplainedStep {
  readonly place: Place
  /** The endpoint whose policies were asked. */
  readonly endpoint?: string
  readonly verdict: ListVerdict
  /** What would be if staged policies were enforced, where that is something else. */
  readonly stagedVerdict?: ListVerdict
  /** Why, where no policies were asked. */
  readonly because?: string
  readonly checks: readonly ExplainedCheck[]
}

/** What a host does with a packet, and why. */
export interface ExplainedPath {
  readonly verdict: 'allow' | 'deny'
  /** The same if staged policies were enforced. */
  readonly stagedVerdict: 'allow' | 'deny'
  readonly steps: readonly ExplainedStep[]
}

/** Where rules are looked up to be shown. */
export interface RuleSource {
  readonly maps: ResourceMaps
  readonly read: ReadPolicies
}

/** Follows a packet through a host and says in words what was decided where. */
export function explainPath(source: RuleSource, host: PolicedHost, packet: PathPacket): ExplainedPath {
  const { verdict, steps } = evaluatePath(host, packet)
  return {
    verdict,
    stagedVerdict: evaluatePath(asIfEnforced(host), packet).verdict,
    steps: steps.map((step) => explainStep(source, step, directionAt(step.place, packet))),
  }
}

function explainStep(source: RuleSource, { place, endpoint, verdict, because, list }: PathStep, direction: Direction): ExplainedStep {
  const isDifferent = list !== undefined && list.stagedVerdict !== list.verdict
  return {
    place,
    ...(endpoint === undefined ? {} : { endpoint }),
    verdict,
    ...(isDifferent ? { stagedVerdict: list.stagedVerdict } : {}),
    ...(because === undefined ? {} : { because }),
    checks: (list?.steps ?? []).map((step) => explainCheck(source, step, direction)),
  }
}

function explainCheck(source: RuleSource, step: Step, direction: Direction): ExplainedCheck {
  switch (step.by) {
    case 'policy': {
      const closed = reasonOfClosing(step.policy)
      if (closed !== undefined) return { by: 'end', action: 'Deny', text: `closed: ${closed}` }
      const resource = source.read.resources.get(step.policy)
      const { tier, isStaged } = step
      const rules = resource === undefined ? [] : rulesOf(resource, direction)
      return { by: 'policy', tier, name: nameOfPolicy(resource, step.policy), isStaged, ...matched(step, rules, direction) }
    }
    case 'tier':
      return {
        by: 'tier',
        tier: step.tier,
        action: step.action,
        text: `no policy of tier ${step.tier} decided: its default is ${step.action}`,
      }
    case 'profile': {
      const profile = source.maps.get('Profile').get(step.profile)
      if (profile === undefined) return { by: 'profile', name: step.profile, action: 'Deny', text: 'there is no such profile: Deny' }
      return { by: 'profile', name: step.profile, ...matched(step, profile.spec[direction] ?? [], direction) }
    }
    case 'end':
      return { by: 'end', action: step.action, text: 'no policy applies, and no profile allows it: Deny' }
  }
}

type Matched = Pick<Extract<Step, { readonly by: 'profile' }>, 'rule' | 'action'>

function matched(
  { rule, action }: Matched,
  rules: readonly Rule[],
  direction: Direction,
): Pick<ExplainedCheck, 'rule' | 'action' | 'text'> {
  if (rule === undefined || action === undefined) return { text: `none of its ${rules.length} ${direction} rules matches` }
  const found = rules[rule]
  return { rule, action, text: `${direction} rule ${rule}: ${found === undefined ? action : describeRule(found)}` }
}

function rulesOf(resource: PolicyResource, direction: Direction): readonly Rule[] {
  const { spec } = resource.kind === 'StagedKubernetesNetworkPolicy' ? asStagedNetworkPolicy(resource) : resource
  return spec[direction] ?? []
}

/** Kind and name of a policy, with its namespace; its key where the resource is not known. */
export function nameOfPolicy(resource: PolicyResource | undefined, key: string): string {
  if (resource === undefined) return key
  const { kind, metadata } = resource
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`
}
