import * as z from 'zod'
import type { DeepReadonly } from './fields.ts'
import { globalNetworkPolicyFields, networkPolicyFields } from './network-policy.ts'
import type { Resource } from './resource.ts'
import { enforced } from './tags.ts'

/** What a staged policy would do to the policy of the same name. */
export const stagedActionField = enforced(
  'Set (the default) or Delete the policy of this name, once it is enforced; Learn and Ignore are kept for other tools.',
  z.enum(['Set', 'Delete', 'Learn', 'Ignore']),
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
