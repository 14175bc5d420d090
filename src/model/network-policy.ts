import * as z from 'zod'
import type { DeepReadonly } from './fields.ts'
import { globalPolicyFields, policyFields } from './policy.ts'
import type { Resource } from './resource.ts'

const { tier, order, ingress, egress, selector, types, serviceAccountSelector, performanceHints } = policyFields
const { doNotTrack, preDNAT, applyOnForward, namespaceSelector } = globalPolicyFields

/** The members of a NetworkPolicy's spec in Go's order; staged policies have them too. */
export const networkPolicyFields = { tier, order, ingress, egress, selector, types, serviceAccountSelector, performanceHints } as const

/** The members of a GlobalNetworkPolicy's spec in Go's order; staged policies have them too. */
export const globalNetworkPolicyFields = {
  ...{ tier, order, ingress, egress, selector, types, doNotTrack, preDNAT, applyOnForward },
  ...{ serviceAccountSelector, namespaceSelector, performanceHints },
} as const

/** The spec of a NetworkPolicy: which workloads of its namespace it governs, and its rules. */
export const networkPolicySpecSchema = z.object(networkPolicyFields)

/** The spec of a GlobalNetworkPolicy: which workloads and hosts it governs, and its rules. */
export const globalNetworkPolicySpecSchema = z.object(globalNetworkPolicyFields)

export type NetworkPolicySpec = DeepReadonly<z.infer<typeof networkPolicySpecSchema>>
export type GlobalNetworkPolicySpec = DeepReadonly<z.infer<typeof globalNetworkPolicySpecSchema>>

/** Rules for workloads of one namespace. */
export type NetworkPolicy = Resource<'NetworkPolicy', NetworkPolicySpec>

/** Rules for workloads of all namespaces, and for hosts. */
export type GlobalNetworkPolicy = Resource<'GlobalNetworkPolicy', GlobalNetworkPolicySpec>
