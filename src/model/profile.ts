import * as z from 'zod'
import type { Issue } from '../errors.ts'
import type { DeepReadonly } from './fields.ts'
import { checkLabels } from './metadata.ts'
import type { Resource } from './resource.ts'
import { ruleSchema } from './rule.ts'
import { checkRules } from './rule-check.ts'
import { enforced } from './tags.ts'

/** The spec of a Profile: rules for endpoints that no policy selects, and labels that its endpoints inherit. */
export const profileSpecSchema = z.object({
  ingress: z.array(ruleSchema).optional(),
  egress: z.array(ruleSchema).optional(),
  labelsToApply: enforced(
    'Labels that the endpoints of the profile have, unless they have one of that name themselves.',
    z.record(z.string(), z.string()),
  ).optional(),
})

export type ProfileSpec = DeepReadonly<z.infer<typeof profileSpecSchema>>

/** Rules and labels of the endpoints that name it. A namespace is the profile `kns.<name>`. */
export type Profile = Resource<'Profile', ProfileSpec>

/** Calico's built-in profile: shown by its clients, never stored. */
export const DEFAULT_ALLOW_PROFILE = 'projectcalico-default-allow'

/** What is wrong with a Profile beyond the shape of its fields. */
export function checkProfile(profile: Profile): readonly Issue[] {
  const { ingress, egress, labelsToApply } = profile.spec
  const issues = [
    ...checkRules(ingress, 'spec.ingress', { direction: 'ingress', kind: 'profile' }),
    ...checkRules(egress, 'spec.egress', { direction: 'egress', kind: 'profile' }),
    ...checkLabels(labelsToApply, 'spec.labelsToApply'),
  ]
  if (profile.metadata.name !== DEFAULT_ALLOW_PROFILE) return issues
  return [...issues, { path: 'metadata.name', message: `${DEFAULT_ALLOW_PROFILE} is built in and can't be written` }]
}
