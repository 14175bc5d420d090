import type { Issue } from '../errors.ts'
import { doubles } from './doubles.ts'
import { isDnsLabel, isSubdomain } from './metadata.ts'
import type { GlobalNetworkPolicySpec, NetworkPolicySpec } from './network-policy.ts'
import type { PolicySpec } from './policy.ts'
import type { Metadata } from './resource.ts'
import { checkRules, checkSelectorLength } from './rule-check.ts'

/** A policy of one of the kinds, as far as it is checked. */
type Policy<Spec> = { readonly metadata: Metadata; readonly spec: Spec }

/** What is wrong with a policy of a namespace beyond the shape of its fields. */
export function checkNetworkPolicy({ metadata, spec }: Policy<NetworkPolicySpec>): readonly Issue[] {
  return [...checkName(metadata.name, true), ...checkPolicySpec(spec, 'policy')]
}

/** What is wrong with a policy without a namespace beyond the shape of its fields. */
export function checkGlobalNetworkPolicy({ metadata, spec }: Policy<GlobalNetworkPolicySpec>): readonly Issue[] {
  return [
    ...checkName(metadata.name, false),
    ...checkPolicySpec(spec, 'global policy'),
    ...checkSelectorLength(spec.namespaceSelector, 'spec.namespaceSelector'),
    ...checkStage(spec),
  ]
}

/**
 * A name is one label, or two with a dot between (older versions wrote `TIER.NAME`); what Kubernetes' policies become has a prefix of its own.
 * A name that is none for any kind is checkMetadata's to tell.
 */
function checkName(name: string, isNamespaced: boolean): readonly Issue[] {
  const translated = isNamespaced ? /^(?:knp|ossg)\.default\.(.+)$/.exec(name)?.[1] : undefined
  if (translated !== undefined || !isSubdomain(name) || name.split('.').length <= 2) return []
  const rule = `lower-case letters, digits and inner "-", at most one "."${isNamespaced ? ', or knp.default.NAME' : ''}`
  return [{ path: 'metadata.name', message: `${JSON.stringify(name)} is not the name of a policy (${rule})` }]
}

function checkPolicySpec(spec: PolicySpec, kind: 'policy' | 'global policy'): readonly Issue[] {
  return [
    ...checkTierName(spec.tier),
    ...checkRules(spec.ingress, 'spec.ingress', { direction: 'ingress', kind }),
    ...checkRules(spec.egress, 'spec.egress', { direction: 'egress', kind }),
    ...checkSelectorLength(spec.selector, 'spec.selector'),
    ...doubledIn(spec.types, 'spec.types'),
    ...checkSelectorLength(spec.serviceAccountSelector, 'spec.serviceAccountSelector'),
    ...doubledIn(spec.performanceHints, 'spec.performanceHints'),
    ...checkHints(spec.performanceHints),
  ]
}

function checkTierName(tier: string | undefined): readonly Issue[] {
  if (tier === undefined || isDnsLabel(tier)) return []
  return [
    { path: 'spec.tier', message: `${JSON.stringify(tier)} is not a tier's name (lower-case letters, digits and inner "-", up to 63)` },
  ]
}

function checkHints(hints: readonly string[] | undefined): readonly Issue[] {
  return (hints ?? []).flatMap((hint, index) => {
    if (hint === 'AssumeNeededOnEveryNode' || hint === undefined) return []
    return [{ path: `spec.performanceHints[${index}]`, message: `${JSON.stringify(hint)} is not one of AssumeNeededOnEveryNode` }]
  })
}

function doubledIn(list: readonly string[] | undefined, path: string): readonly Issue[] {
  return doubles(list ?? []).flatMap((item) => (item === undefined ? [] : [{ path, message: `${item} stands there more than once` }]))
}

/** The rules between the members that move a policy to another stage of a packet's way. */
function checkStage(spec: GlobalNetworkPolicySpec): readonly Issue[] {
  const { preDNAT = false, doNotTrack = false, applyOnForward = false } = spec
  const issues: Issue[] = []
  if (preDNAT && doNotTrack) issues.push({ path: 'spec.preDNAT', message: "can't be true together with doNotTrack" })
  if (preDNAT && spec.egress?.length)
    issues.push({ path: 'spec.egress', message: `a preDNAT policy has no egress rules, here are ${spec.egress.length}` })
  if (preDNAT && spec.types?.includes('Egress'))
    issues.push({ path: 'spec.types', message: 'a preDNAT policy governs Ingress only, not Egress' })
  if ((preDNAT || doNotTrack) && !applyOnForward) {
    issues.push({ path: 'spec.applyOnForward', message: `must be true with ${preDNAT ? 'preDNAT' : 'doNotTrack'}` })
  }
  return issues
}
