import * as z from 'zod'
import { type HostEndpoint, hostEndpointSpecSchema } from './host-endpoint.ts'
import type { GlobalNetworkPolicy, NetworkPolicy } from './network-policy.ts'
import { globalNetworkPolicySpecSchema, networkPolicySpecSchema } from './network-policy.ts'
import { type GlobalNetworkSet, type NetworkSet, networkSetSpecSchema } from './network-set.ts'
import { defaultPolicySpec } from './policy.ts'
import { checkGlobalPolicyName, checkGlobalPolicySpec, checkPolicyName, checkPolicySpec } from './policy-check.ts'
import {
  type StagedGlobalNetworkPolicy,
  type StagedNetworkPolicy,
  stagedGlobalNetworkPolicySpecSchema,
  stagedNetworkPolicySpecSchema,
} from './staged-policy.ts'

/** The kinds of policies, and of what policies apply to beside workloads. */
export interface PolicyTypes {
  readonly GlobalNetworkPolicy: GlobalNetworkPolicy
  readonly NetworkPolicy: NetworkPolicy
  readonly StagedGlobalNetworkPolicy: StagedGlobalNetworkPolicy
  readonly StagedNetworkPolicy: StagedNetworkPolicy
  readonly GlobalNetworkSet: GlobalNetworkSet
  readonly NetworkSet: NetworkSet
  readonly HostEndpoint: HostEndpoint
}

const statusSchema = z.looseObject({})

/** Their rows of the registry (kinds.ts). */
export const POLICY_KINDS = {
  GlobalNetworkPolicy: {
    kind: 'GlobalNetworkPolicy',
    plural: 'globalnetworkpolicies',
    isNamespaced: false,
    aliases: ['gnp', 'gnps'],
    specSchema: globalNetworkPolicySpecSchema,
    statusSchema,
    defaults: defaultPolicySpec,
    validate: ({ metadata, spec }: GlobalNetworkPolicy) => [...checkGlobalPolicyName(metadata), ...checkGlobalPolicySpec(spec)],
  },
  NetworkPolicy: {
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    isNamespaced: true,
    aliases: ['policy', 'policies', 'np', 'nps', 'pol', 'pols'],
    specSchema: networkPolicySpecSchema,
    statusSchema,
    defaults: defaultPolicySpec,
    validate: ({ metadata, spec }: NetworkPolicy) => [...checkPolicyName(metadata), ...checkPolicySpec(spec)],
  },
  StagedGlobalNetworkPolicy: {
    kind: 'StagedGlobalNetworkPolicy',
    plural: 'stagedglobalnetworkpolicies',
    isNamespaced: false,
    aliases: ['sgnp', 'sgnps'],
    specSchema: stagedGlobalNetworkPolicySpecSchema,
    statusSchema,
    defaults: defaultPolicySpec,
    validate: ({ metadata, spec }: StagedGlobalNetworkPolicy) => [...checkGlobalPolicyName(metadata), ...checkGlobalPolicySpec(spec)],
  },
  StagedNetworkPolicy: {
    kind: 'StagedNetworkPolicy',
    plural: 'stagednetworkpolicies',
    isNamespaced: true,
    aliases: ['snp', 'snps', 'stagedpolicy', 'stagedpolicies', 'spol', 'spols'],
    specSchema: stagedNetworkPolicySpecSchema,
    statusSchema,
    defaults: defaultPolicySpec,
    validate: ({ metadata, spec }: StagedNetworkPolicy) => [...checkPolicyName(metadata), ...checkPolicySpec(spec)],
  },
  GlobalNetworkSet: {
    kind: 'GlobalNetworkSet',
    plural: 'globalnetworksets',
    isNamespaced: false,
    aliases: ['gnetset', 'gnetsets'],
    specSchema: networkSetSpecSchema,
    statusSchema,
    defaults: asGiven,
    validate: () => [],
  },
  NetworkSet: {
    kind: 'NetworkSet',
    plural: 'networksets',
    isNamespaced: true,
    aliases: ['netset', 'netsets'],
    specSchema: networkSetSpecSchema,
    statusSchema,
    defaults: asGiven,
    validate: () => [],
  },
  HostEndpoint: {
    kind: 'HostEndpoint',
    plural: 'hostendpoints',
    isNamespaced: false,
    aliases: ['hep', 'heps'],
    specSchema: hostEndpointSpecSchema,
    statusSchema,
    defaults: asGiven,
    validate: () => [],
  },
} as const

function asGiven<Spec>(spec: Spec): Spec {
  return spec
}
