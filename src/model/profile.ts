import * as z from 'zod'
import type { DeepReadonly } from './fields.ts'
import type { Resource } from './resource.ts'

/** A policy rule, so far kept as it stands: only its action is read. */
const rule = z.looseObject({ action: z.enum(['Allow', 'Deny', 'Log', 'Pass']) })

/** The spec of a Profile: rules for endpoints that no policy selects, and labels that its endpoints inherit. */
export const profileSpecSchema = z.object({
  ingress: z.array(rule).max(1024).optional(),
  egress: z.array(rule).max(1024).optional(),
  labelsToApply: z.record(z.string(), z.string()).optional(),
})

export type ProfileSpec = DeepReadonly<z.infer<typeof profileSpecSchema>>

/** Rules and labels of the endpoints that name it. A namespace is the profile `kns.<name>`. */
export type Profile = Resource<'Profile', ProfileSpec>
