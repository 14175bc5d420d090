import * as z from 'zod'
import type { DeepReadonly } from './fields.ts'
import type { Resource } from './resource.ts'

/** The spec of a Tier: where it stands among the tiers (absent: last), and what happens to what none of its policies decided. */
export const tierSpecSchema = z.object({
  order: z.number().optional(),
  defaultAction: z.enum(['Deny', 'Pass']).optional(),
})

export type TierSpec = DeepReadonly<z.infer<typeof tierSpecSchema>>

/** A group of policies that is evaluated as one. */
export type Tier = Resource<'Tier', TierSpec>
