import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, defaultsTo } from './fields.ts'
import { isDnsLabel, isSubdomain } from './metadata.ts'
import type { Resource } from './resource.ts'
import { enforced } from './tags.ts'

/** The spec of a Tier: where it stands among the tiers, and what happens to what none of its policies decided. */
export const tierSpecSchema = z.object({
  order: enforced('Where the tier stands, lowest first; absent is last. Equal orders go by name.', z.number()).optional(),
  defaultAction: enforced(
    'What happens to packets of an endpoint that has policies in this tier, of which none decided: Deny, or Pass to the next tier.',
    defaultsTo('Deny', z.enum(['Deny', 'Pass'])),
  ).optional(),
})

export type TierSpec = DeepReadonly<z.infer<typeof tierSpecSchema>>

/** A group of policies that is evaluated as one. */
export type Tier = Resource<'Tier', TierSpec>

/** The tiers that every cluster has; their orders and actions are fixed. */
export const BUILT_IN_TIERS = {
  default: { order: 1_000_000, defaultAction: 'Deny' },
  'kube-admin': { order: 1000, defaultAction: 'Pass' },
  'kube-baseline': { order: 10_000_000, defaultAction: 'Pass' },
} as const satisfies Readonly<Record<string, TierSpec>>

/** The spec with Calico's defaults. */
export function defaultTierSpec(spec: TierSpec, name: string): TierSpec {
  const fixed = builtIn(name)
  return { ...spec, order: spec.order ?? fixed?.order, defaultAction: spec.defaultAction ?? fixed?.defaultAction ?? 'Deny' }
}

/** What is wrong with a Tier beyond the shape of its fields. */
export function checkTier(tier: Tier): readonly Issue[] {
  const { name } = tier.metadata
  const issues: Issue[] = []
  // What is no name for any kind is checkMetadata's to tell.
  if (isSubdomain(name) && !isDnsLabel(name)) {
    issues.push({
      path: 'metadata.name',
      message: `${JSON.stringify(name)} is not a tier's name (lower-case letters, digits and inner "-", up to 63)`,
    })
  }
  const fixed = builtIn(name)
  for (const field of ['order', 'defaultAction'] as const) {
    const given = tier.spec[field]
    if (fixed === undefined || given === undefined || given === fixed[field]) continue
    issues.push({ path: `spec.${field}`, message: `the tier ${name} is built in: its ${field} is ${fixed[field]}, not ${given}` })
  }
  return issues
}

function builtIn(name: string): TierSpec | undefined {
  return Object.entries(BUILT_IN_TIERS).find(([tier]) => tier === name)?.[1]
}
