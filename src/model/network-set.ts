import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, netField } from './fields.ts'
import type { Resource } from './resource.ts'
import { NAMESPACE_LABEL } from './scoped-selector.ts'
import { enforced } from './tags.ts'

/** The spec of both kinds of network sets. Its addresses and prefixes are kept as given; host bits mean nothing (parseCidrLoosely masks them). */
export const networkSetSpecSchema = z.object({
  nets: enforced('Addresses and prefixes that rules select by the labels of the set.', z.array(netField)).optional(),
})

export type NetworkSetSpec = DeepReadonly<z.infer<typeof networkSetSpecSchema>>

/** Addresses that policies of one namespace select by labels. */
export type NetworkSet = Resource<'NetworkSet', NetworkSetSpec>

/** Addresses that policies select by labels. */
export type GlobalNetworkSet = Resource<'GlobalNetworkSet', NetworkSetSpec>

/** What is wrong with a set beyond the shape of its fields: the label that tells the namespace is not its writer's. */
export function checkNetworkSet({ metadata }: NetworkSet | GlobalNetworkSet): readonly Issue[] {
  if (metadata.labels?.[NAMESPACE_LABEL] === undefined) return []
  return [{ path: `metadata.labels.${NAMESPACE_LABEL}`, message: 'is set by margay: leave it out' }]
}
