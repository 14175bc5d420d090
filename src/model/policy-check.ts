import type { Issue } from '../errors.ts'
import { isDnsLabel, isSubdomain } from './metadata.ts'
import type { GlobalNetworkPolicySpec } from './network-policy.ts'
import type { PolicySpec } from './policy.ts'
import type { Metadata } from './resource.ts'

/** What is wrong with the name of a policy without a namespace: one label, or two with a dot between. */
export function checkGlobalPolicyName({ name }: Metadata): readonly Issue[] {
  if (isLabels(name)) return []
  return [{ path: 'metadata.name', message: `${JSON.stringify(name)} is not the name of a policy (${LABELS})` }]
}

/** What is wrong with the name of a namespace's policy: as without one, or what Kubernetes' policies are called. */
export function checkPolicyName({ name }: Metadata): readonly Issue[] {
  const translated = /^(?:knp|ossg)\.default\.(.+)$/.exec(name)?.[1]
  if (isLabels(name) || (translated !== undefined && isSubdomain(name))) return []
  return [{ path: 'metadata.name', message: `${JSON.stringify(name)} is not the name of a policy (${LABELS}, or knp.default.NAME)` }]
}

const LABELS = 'lower-case letters, digits and inner "-", with at most one "." between'

function isLabels(name: string): boolean {
  const labels = name.split('.')
  return labels.length <= 2 && labels.every(isDnsLabel) && isSubdomain(name)
}

/** What is wrong with the spec of a policy beyond the shape of its fields. */
export function checkPolicySpec(spec: PolicySpec): readonly Issue[] {
  const doubled = (spec.types ?? []).filter((type, index, all) => all.indexOf(type) !== index)
  return doubled.map((type) => ({ path: 'spec.types', message: `${type} stands there more than once` }))
}

/** What is wrong with the members that only a policy without a namespace has. */
export function checkGlobalPolicySpec(spec: GlobalNetworkPolicySpec): readonly Issue[] {
  const issues = [...checkPolicySpec(spec)]
  const { preDNAT = false, doNotTrack = false, applyOnForward = false } = spec
  if (preDNAT && doNotTrack) issues.push({ path: 'spec.preDNAT', message: 'preDNAT and doNotTrack exclude each other' })
  if (preDNAT && spec.egress?.length) issues.push({ path: 'spec.egress', message: 'a preDNAT policy has no egress rules' })
  if (preDNAT && spec.types?.includes('Egress')) {
    issues.push({ path: 'spec.types', message: 'a preDNAT policy governs Ingress only, not Egress' })
  }
  if ((preDNAT || doNotTrack) && !applyOnForward) {
    issues.push({ path: 'spec.applyOnForward', message: `must be true with ${preDNAT ? 'preDNAT' : 'doNotTrack'}` })
  }
  return issues
}
