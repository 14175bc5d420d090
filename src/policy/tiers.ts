import type { Tier } from '../model/tier.ts'
import { comparePolicies, type Direction, type Policy } from './policies.ts'

/** A tier that policies name. */
export interface TierInfo {
  readonly name: string
  /** What happens to what none of its policies decided. */
  readonly defaultAction: 'Deny' | 'Pass'
}

/** The policies of one tier that select an endpoint, in their order, staged ones too. */
export interface TierPolicies extends TierInfo {
  readonly policies: readonly Policy[]
}

/**
 * Puts an endpoint's policies in the order in which they are asked: tiers by their order (absent: last), equal ones by name; a tier
 * that does not exist comes after all others and denies, because a policy must not become void when its tier is deleted.
 */
export function orderPolicies(policies: Iterable<Policy>, tiers: ReadonlyMap<string, Tier>): readonly TierPolicies[] {
  const byTier = new Map<string, Policy[]>()
  for (const policy of policies) {
    const siblings = byTier.get(policy.tier)
    if (siblings) siblings.push(policy)
    else byTier.set(policy.tier, [policy])
  }
  return [...byTier]
    .sort(([a], [b]) => compareTiers(a, b, tiers))
    .map(([name, siblings]) => ({
      name,
      defaultAction: tiers.get(name)?.spec.defaultAction ?? 'Deny',
      policies: siblings.sort(comparePolicies),
    }))
}

/** Where on its way a packet is when a list of policies is asked. */
export type ListStage = 'untracked' | 'pre-dnat' | 'normal' | 'forward'

/**
 * The tiers with a policy that is asked at this stage in this direction, each with those policies; found once for tiers that are the same
 * object, because the evaluator asks for every packet.
 */
export function policiesAt(tiers: readonly TierPolicies[], stage: ListStage, direction: Direction): readonly TierPolicies[] {
  const found = FOUND.get(tiers) ?? { ingress: new Map(), egress: new Map() }
  FOUND.set(tiers, found)
  const known = found[direction].get(stage) ?? findPolicies(tiers, stage, direction)
  found[direction].set(stage, known)
  return known
}

type Found = Readonly<Record<Direction, Map<ListStage, readonly TierPolicies[]>>>

const FOUND = new WeakMap<readonly TierPolicies[], Found>()

function findPolicies(tiers: readonly TierPolicies[], stage: ListStage, direction: Direction): readonly TierPolicies[] {
  const isThere = (policy: Policy) =>
    policy.rules[direction] !== undefined &&
    (stage === 'forward' ? policy.stage === 'normal' && policy.appliesOnForward : policy.stage === stage)
  return tiers.flatMap(({ policies, ...tier }) => {
    const asked = policies.filter(isThere)
    // Rules before tracking and before NAT only pick out what they name: nothing is dropped there by default.
    const defaultAction = stage === 'untracked' || stage === 'pre-dnat' ? 'Pass' : tier.defaultAction
    return asked.length === 0 ? [] : [{ ...tier, defaultAction, policies: asked }]
  })
}

/** Whether some policy that is enforced is asked at this stage in this direction. */
export function isAsked(tiers: readonly TierPolicies[], stage: ListStage, direction: Direction): boolean {
  return policiesAt(tiers, stage, direction).some(({ policies }) => policies.some(({ isStaged }) => !isStaged))
}

/** The order in which tiers are asked; one that does not exist comes last. */
export function compareTiers(a: string, b: string, tiers: ReadonlyMap<string, Tier>): number {
  const [x, y] = [tiers.get(a), tiers.get(b)]
  if ((x === undefined) !== (y === undefined)) return x === undefined ? 1 : -1
  const [left, right] = [x?.spec.order ?? Number.POSITIVE_INFINITY, y?.spec.order ?? Number.POSITIVE_INFINITY]
  if (left !== right) return left - right
  return a === b ? 0 : a < b ? -1 : 1
}
