import type { RuleAction } from '../model/rule.ts'
import { matchesRule } from './evaluate-rule.ts'
import type { MatchRule } from './match-rule.ts'
import type { Members } from './members.ts'
import type { Packet } from './packet.ts'
import type { Direction, Policy } from './policies.ts'
import type { ProfileRules } from './profiles.ts'
import { type ListStage, policiesAt, type TierPolicies } from './tiers.ts'

/** An endpoint of this host with all that decides about its packets. */
export interface LocalEndpoint {
  /** `<namespace>/<name>` of a workload endpoint, the name of a host endpoint. */
  readonly id: string
  /** All policies that select it, in their order. */
  readonly tiers: readonly TierPolicies[]
  readonly profiles: readonly ProfileRules[]
}

/** What a list of policies says; `none`: it leaves the packet to what comes after it. */
export type ListVerdict = 'allow' | 'deny' | 'none'

/** One thing that was looked at on the way to a verdict. */
export type Step =
  /** A policy. `rule` counts from 0; both are absent where no rule matched. `isStaged`: it only would have. */
  | ({ readonly by: 'policy'; readonly tier: string; readonly policy: string; readonly isStaged: boolean } & Matched)
  /** None of the tier's policies decided. */
  | { readonly by: 'tier'; readonly tier: string; readonly action: 'Deny' | 'Pass' }
  | ({ readonly by: 'profile'; readonly profile: string } & Matched)
  /** No profile allowed it. */
  | { readonly by: 'end'; readonly action: 'Deny' }

interface Matched {
  readonly rule?: number
  readonly action?: RuleAction
}

/** The verdict of an endpoint's policies at one stage, and how it came about. */
export interface ListResult {
  readonly verdict: ListVerdict
  readonly steps: readonly Step[]
  /** What the verdict would be if staged policies were enforced; the same where there are none. */
  readonly stagedVerdict: ListVerdict
}

/**
 * Asks the policies of an endpoint about a packet, as Calico's agents do: tier after tier, in each policy after policy, in each rule
 * after rule. Where no tier applies or all pass, the profiles decide, and then everything is denied; but only what is delivered to the
 * endpoint or sent by it: of what is forwarded, untracked or not yet translated, only what a policy denies is.
 */
export function evaluateList(
  endpoint: LocalEndpoint,
  stage: ListStage,
  direction: Direction,
  packet: Packet,
  members: Members,
): ListResult {
  const tiers = policiesAt(endpoint.tiers, stage, direction)
  const enforced = askAll(tiers, endpoint, stage, { direction, packet, members, isStagedToo: false })
  if (!tiers.some(({ policies }) => policies.some(({ isStaged }) => isStaged))) {
    return { verdict: enforced.verdict, steps: enforced.steps, stagedVerdict: enforced.verdict }
  }
  const staged = tiers.flatMap(({ policies }) => policies.filter(({ isStaged }) => isStaged))
  const replaced = new Set(staged.map(({ enforcedKey }) => enforcedKey))
  const after = tiers.map((tier) => ({ ...tier, policies: tier.policies.filter(({ key }) => !replaced.has(key)) }))
  const { verdict } = askAll(after, endpoint, stage, { direction, packet, members, isStagedToo: true })
  return { ...enforced, stagedVerdict: verdict }
}

interface Question {
  readonly direction: Direction
  readonly packet: Packet
  readonly members: Members
  /** As if staged policies were enforced. */
  readonly isStagedToo: boolean
}

interface Answer {
  readonly verdict: ListVerdict
  readonly steps: readonly Step[]
}

function askAll(tiers: readonly TierPolicies[], endpoint: LocalEndpoint, stage: ListStage, question: Question): Answer {
  const steps: Step[] = []
  for (const tier of tiers) {
    const verdict = askTier(tier, question, steps)
    if (verdict !== 'none') return { verdict, steps }
  }
  if (stage !== 'normal') return { verdict: 'none', steps }
  return { verdict: askProfiles(endpoint.profiles, question, steps), steps }
}

function askTier({ name, defaultAction, policies }: TierPolicies, question: Question, steps: Step[]): ListVerdict {
  let isAsked = false
  for (const policy of policies) {
    const isEnforced = question.isStagedToo || !policy.isStaged
    const decision = askRules(policy.rules[question.direction] ?? [], question, (matched) => steps.push(policyStep(name, policy, matched)))
    if (!isEnforced) continue
    isAsked = true
    if (decision === 'Pass') return 'none'
    if (decision !== undefined) return decision === 'Allow' ? 'allow' : 'deny'
  }
  if (!isAsked) return 'none'
  steps.push({ by: 'tier', tier: name, action: defaultAction })
  return defaultAction === 'Deny' ? 'deny' : 'none'
}

function policyStep(tier: string, { key, isStaged }: Policy, matched: Matched): Step {
  const { rule, action } = matched
  return rule === undefined || action === undefined
    ? { by: 'policy', tier, policy: key, isStaged }
    : { by: 'policy', tier, policy: key, isStaged, rule, action }
}

function askProfiles(profiles: readonly ProfileRules[], question: Question, steps: Step[]): ListVerdict {
  for (const { name, rules } of profiles) {
    const decision = askRules(rules[question.direction], question, (matched) => steps.push({ by: 'profile', profile: name, ...matched }))
    if (decision === 'Allow' || decision === 'Deny') return decision === 'Allow' ? 'allow' : 'deny'
  }
  steps.push({ by: 'end', action: 'Deny' })
  return 'deny'
}

/** The action of the first rule that matches and ends; what is only logged is told and goes on. */
function askRules(
  rules: readonly MatchRule[],
  { packet, members }: Question,
  tell: (matched: Matched) => void,
): Exclude<RuleAction, 'Log'> | undefined {
  for (const [rule, match] of rules.entries()) {
    if (!matchesRule(match, packet, members)) continue
    tell({ rule, action: match.action })
    if (match.action !== 'Log') return match.action
  }
  tell({})
  return undefined
}
