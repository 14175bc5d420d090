import * as z from 'zod'
import type { Issue } from '../errors.ts'
import type { DeepReadonly } from './fields.ts'
import { checkKubernetesPolicy, kubernetesPolicyFields } from './kubernetes/network-policy.ts'
import { KUBERNETES_POLICY_PREFIX, translatePolicy } from './kubernetes/translate-policy.ts'
import type { Resource } from './resource.ts'
import { checkStagedDelete, type StagedNetworkPolicy, stagedActionField } from './staged-policy.ts'

/** The spec of a StagedKubernetesNetworkPolicy: a NetworkPolicy as Kubernetes has it. */
export const stagedKubernetesNetworkPolicySpecSchema = z.object({ stagedAction: stagedActionField, ...kubernetesPolicyFields })

export type StagedKubernetesNetworkPolicySpec = DeepReadonly<z.infer<typeof stagedKubernetesNetworkPolicySpecSchema>>

/** A NetworkPolicy of Kubernetes that is counted and reported, but not enforced. */
export type StagedKubernetesNetworkPolicy = Resource<'StagedKubernetesNetworkPolicy', StagedKubernetesNetworkPolicySpec>

/** The spec with Calico's defaults. Go's writers always write a podSelector, be it empty. */
export function defaultStagedKubernetesSpec(spec: StagedKubernetesNetworkPolicySpec): StagedKubernetesNetworkPolicySpec {
  return { ...spec, stagedAction: spec.stagedAction ?? 'Set', podSelector: spec.podSelector ?? {} }
}

/** What is wrong with a StagedKubernetesNetworkPolicy beyond the shape of its fields. */
export function checkStagedKubernetesNetworkPolicy({ spec }: StagedKubernetesNetworkPolicy): readonly Issue[] {
  return [...checkKubernetesPolicy(spec), ...checkStagedDelete(spec, [])]
}

/** The same policy in Calico's form, as which it is counted and reported: what it stages is named as a translated policy is. */
export function asStagedNetworkPolicy({ apiVersion, metadata, spec }: StagedKubernetesNetworkPolicy): StagedNetworkPolicy {
  const { stagedAction, ...policy } = spec
  const name = `${KUBERNETES_POLICY_PREFIX}${metadata.name}`
  return { apiVersion, kind: 'StagedNetworkPolicy', metadata: { ...metadata, name }, spec: { stagedAction, ...translatePolicy(policy) } }
}
