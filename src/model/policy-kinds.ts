import { checkHostEndpoint, type HostEndpoint, hostEndpointSpecSchema } from './host-endpoint.ts'
import { asGiven, GLOBAL_KIND, type KindInfos, NAMESPACED_KIND } from './kind-info.ts'
import { type GlobalNetworkPolicy, globalNetworkPolicySpecSchema, type NetworkPolicy, networkPolicySpecSchema } from './network-policy.ts'
import { checkNetworkSet, type GlobalNetworkSet, type NetworkSet, networkSetSpecSchema } from './network-set.ts'
import { defaultPolicySpec } from './policy.ts'
import { checkGlobalNetworkPolicy, checkNetworkPolicy } from './policy-check.ts'
import { checkProfile, type Profile, profileSpecSchema } from './profile.ts'
import {
  checkStagedKubernetesNetworkPolicy,
  defaultStagedKubernetesSpec,
  type StagedKubernetesNetworkPolicy,
  stagedKubernetesNetworkPolicySpecSchema,
} from './staged-kubernetes-network-policy.ts'
import {
  checkStagedGlobalNetworkPolicy,
  checkStagedNetworkPolicy,
  defaultStagedSpec,
  type StagedGlobalNetworkPolicy,
  type StagedNetworkPolicy,
  stagedGlobalNetworkPolicySpecSchema,
  stagedNetworkPolicySpecSchema,
} from './staged-policy.ts'
import { checkTier, defaultTierSpec, type Tier, tierSpecSchema } from './tier.ts'

/** The kinds of policies, and of what policies apply to beside workloads. */
export interface PolicyTypes {
  readonly Tier: Tier
  readonly Profile: Profile
  readonly GlobalNetworkPolicy: GlobalNetworkPolicy
  readonly NetworkPolicy: NetworkPolicy
  readonly StagedGlobalNetworkPolicy: StagedGlobalNetworkPolicy
  readonly StagedNetworkPolicy: StagedNetworkPolicy
  readonly StagedKubernetesNetworkPolicy: StagedKubernetesNetworkPolicy
  readonly GlobalNetworkSet: GlobalNetworkSet
  readonly NetworkSet: NetworkSet
  readonly HostEndpoint: HostEndpoint
}

/** Their rows of the registry (kinds.ts). */
export const POLICY_KINDS: KindInfos<PolicyTypes> = {
  Tier: { ...GLOBAL_KIND, kind: 'Tier', plural: 'tiers', specSchema: tierSpecSchema, defaults: defaultTierSpec, validate: checkTier },
  Profile: {
    ...GLOBAL_KIND,
    kind: 'Profile',
    plural: 'profiles',
    aliases: ['pro', 'pros'],
    specSchema: profileSpecSchema,
    defaults: asGiven,
    validate: checkProfile,
    judgesParts: true,
  },
  GlobalNetworkPolicy: {
    ...GLOBAL_KIND,
    kind: 'GlobalNetworkPolicy',
    plural: 'globalnetworkpolicies',
    aliases: ['gnp', 'gnps'],
    specSchema: globalNetworkPolicySpecSchema,
    defaults: defaultPolicySpec,
    validate: checkGlobalNetworkPolicy,
    judgesParts: true,
  },
  NetworkPolicy: {
    ...NAMESPACED_KIND,
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    aliases: ['policy', 'policies', 'np', 'nps', 'pol', 'pols'],
    specSchema: networkPolicySpecSchema,
    defaults: defaultPolicySpec,
    validate: checkNetworkPolicy,
    judgesParts: true,
  },
  StagedGlobalNetworkPolicy: {
    ...GLOBAL_KIND,
    kind: 'StagedGlobalNetworkPolicy',
    plural: 'stagedglobalnetworkpolicies',
    aliases: ['sgnp', 'sgnps'],
    specSchema: stagedGlobalNetworkPolicySpecSchema,
    defaults: defaultStagedSpec,
    validate: checkStagedGlobalNetworkPolicy,
    judgesParts: true,
  },
  StagedNetworkPolicy: {
    ...NAMESPACED_KIND,
    kind: 'StagedNetworkPolicy',
    plural: 'stagednetworkpolicies',
    aliases: ['snp', 'snps', 'stagedpolicy', 'stagedpolicies', 'spol', 'spols'],
    specSchema: stagedNetworkPolicySpecSchema,
    defaults: defaultStagedSpec,
    validate: checkStagedNetworkPolicy,
    judgesParts: true,
  },
  StagedKubernetesNetworkPolicy: {
    ...NAMESPACED_KIND,
    kind: 'StagedKubernetesNetworkPolicy',
    plural: 'stagedkubernetesnetworkpolicies',
    aliases: ['sknp', 'sknps'],
    specSchema: stagedKubernetesNetworkPolicySpecSchema,
    defaults: defaultStagedKubernetesSpec,
    validate: checkStagedKubernetesNetworkPolicy,
    judgesParts: true,
  },
  GlobalNetworkSet: {
    ...GLOBAL_KIND,
    kind: 'GlobalNetworkSet',
    plural: 'globalnetworksets',
    aliases: ['gnetset', 'gnetsets'],
    specSchema: networkSetSpecSchema,
    defaults: asGiven,
    validate: checkNetworkSet,
    judgesParts: true,
  },
  NetworkSet: {
    ...NAMESPACED_KIND,
    kind: 'NetworkSet',
    plural: 'networksets',
    aliases: ['netset', 'netsets'],
    specSchema: networkSetSpecSchema,
    defaults: asGiven,
    validate: checkNetworkSet,
    judgesParts: true,
  },
  HostEndpoint: {
    ...GLOBAL_KIND,
    kind: 'HostEndpoint',
    plural: 'hostendpoints',
    aliases: ['hep', 'heps'],
    specSchema: hostEndpointSpecSchema,
    defaults: asGiven,
    validate: checkHostEndpoint,
    judgesParts: true,
  },
}
