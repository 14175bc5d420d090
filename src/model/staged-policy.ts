import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, defaultsTo } from './fields.ts'
import { globalNetworkPolicyFields, networkPolicyFields } from './network-policy.ts'
import { DEFAULT_TIER, defaultPolicySpec, type PolicySpec } from './policy.ts'
import { checkGlobalNetworkPolicy, checkNetworkPolicy } from './policy-check.ts'
import type { Resource } from './resource.ts'
import { enforced } from './tags.ts'

/** What a staged policy would do to the policy of the same name. */
export const stagedActionField = enforced(
  'Set: the policy of this name would become this one, whose rules count and are reported; Delete: it would go, of which nothing can be counted; Learn and Ignore are kept for other tools.',
  defaultsTo('Set', z.enum(['Set', 'Delete', 'Learn', 'Ignore'])),
).optional()

/** The spec of a StagedNetworkPolicy. */
export const stagedNetworkPolicySpecSchema = z.object({ stagedAction: stagedActionField, ...networkPolicyFields })

/** The spec of a StagedGlobalNetworkPolicy. */
export const stagedGlobalNetworkPolicySpecSchema = z.object({ stagedAction: stagedActionField, ...globalNetworkPolicyFields })

export type StagedNetworkPolicySpec = DeepReadonly<z.infer<typeof stagedNetworkPolicySpecSchema>>
export type StagedGlobalNetworkPolicySpec = DeepReadonly<z.infer<typeof stagedGlobalNetworkPolicySpecSchema>>

/** A NetworkPolicy that is counted and reported, but not enforced. */
export type StagedNetworkPolicy = Resource<'StagedNetworkPolicy', StagedNetworkPolicySpec>

/** A GlobalNetworkPolicy that is counted and reported, but not enforced. */
export type StagedGlobalNetworkPolicy = Resource<'StagedGlobalNetworkPolicy', StagedGlobalNetworkPolicySpec>

type StagedSpec = PolicySpec & { readonly stagedAction?: string | undefined }

/** The spec with Calico's defaults; one that deletes a policy says nothing but which. */
export function defaultStagedSpec<Spec extends StagedSpec>(spec: Spec): Spec {
  if (spec.stagedAction === 'Delete') return { ...spec, tier: spec.tier ?? DEFAULT_TIER }
  return { ...defaultPolicySpec(spec), stagedAction: spec.stagedAction ?? 'Set' }
}

/** What is wrong with a StagedNetworkPolicy beyond the shape of its fields. */
export function checkStagedNetworkPolicy(staged: StagedNetworkPolicy): readonly Issue[] {
  return [...checkNetworkPolicy(staged), ...checkStagedDelete(staged.spec, ['tier'])]
}

/** What is wrong with a StagedGlobalNetworkPolicy beyond the shape of its fields. */
export function checkStagedGlobalNetworkPolicy(staged: StagedGlobalNetworkPolicy): readonly Issue[] {
  return [...checkGlobalNetworkPolicy(staged), ...checkStagedDelete(staged.spec, ['tier'])]
}

/** That a staged deletion says nothing that it could not mean. */
export function checkStagedDelete(
  spec: object & { readonly stagedAction?: string | undefined },
  permitted: readonly string[],
): readonly Issue[] {
  if (spec.stagedAction !== 'Delete') return []
  const isEmpty = (value: unknown) =>
    value === undefined || value === false || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  return Object.entries(spec)
    .filter(([name, value]) => name !== 'stagedAction' && !permitted.includes(name) && !isEmpty(value))
    .map(([name]) => ({ path: `spec.${name}`, message: 'must be left out with stagedAction Delete' }))
}
