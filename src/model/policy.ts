import * as z from 'zod'
import { type DeepReadonly, defaultsTo, zeroIsAbsent } from './fields.ts'
import { labelSelectorField, ruleSchema } from './rule.ts'
import { enforced, stored } from './tags.ts'

/** The tier of policies that name none. */
export const DEFAULT_TIER = 'default'

/** A direction that a policy governs, seen from the endpoint. */
export type PolicyType = 'Ingress' | 'Egress'

/** Members that every kind of policy has. Each kind puts them, with its own, in the order of Go's structs. */
export const policyFields = {
  tier: enforced('The tier that the policy stands in; it must exist.', defaultsTo(DEFAULT_TIER, z.string())).optional(),
  order: enforced('Where the policy stands in its tier, lowest first; absent is last. Equal orders go by name.', z.number()).optional(),
  ingress: z.array(ruleSchema).optional(),
  egress: z.array(ruleSchema).optional(),
  selector: enforced('The endpoints that the policy applies to; absent is all().', labelSelectorField).optional(),
  types: enforced(
    'The directions that the policy governs. Default: Ingress, unless there are only egress rules; Egress, if there are egress rules.',
    z.array(z.enum(['Ingress', 'Egress'])),
  ).optional(),
  serviceAccountSelector: enforced('Only workloads of service accounts with these labels.', labelSelectorField).optional(),
  performanceHints: stored(
    'AssumeNeededOnEveryNode makes Calico program the policy on hosts that do not need it yet.',
    z.array(z.string()),
  ).optional(),
} as const

/** Members that only policies without a namespace have. */
export const globalPolicyFields = {
  doNotTrack: enforced(
    'The rules go before connection tracking, and what they allow is not tracked.',
    zeroIsAbsent(z.boolean()),
  ).optional(),
  preDNAT: enforced('The rules go before destination NAT.', zeroIsAbsent(z.boolean())).optional(),
  applyOnForward: enforced('The policy of a host endpoint also governs what is forwarded.', zeroIsAbsent(z.boolean())).optional(),
  namespaceSelector: enforced('Only workloads in namespaces with these labels.', labelSelectorField).optional(),
} as const

/** What the kinds of policies have in common. */
export type PolicySpec = DeepReadonly<z.infer<z.ZodObject<typeof policyFields>>>

/** The spec of a policy with Calico's defaults: its tier, and its types by the rules that it has. */
export function defaultPolicySpec<Spec extends PolicySpec>(spec: Spec): Spec {
  return { ...spec, tier: spec.tier ?? DEFAULT_TIER, types: spec.types?.length ? spec.types : typesOfRules(spec) }
}

function typesOfRules(spec: PolicySpec): readonly PolicyType[] {
  if (!spec.egress?.length) return ['Ingress']
  return spec.ingress?.length ? ['Ingress', 'Egress'] : ['Egress']
}
