import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type BGPConfiguration, bgpConfigurationSpecSchema, checkBgpConfiguration } from './bgp-configuration.ts'
import { type ClusterInformation, checkClusterInformation, clusterInformationSpecSchema } from './cluster-information.ts'
import { checkFelixConfiguration, type FelixConfiguration, felixConfigurationSpecSchema } from './felix-configuration.ts'
import { checkIPPool, defaultIPPoolSpec, type IPPool, ipPoolSpecSchema, ipPoolStatusSchema } from './ip-pool.ts'
import type { Block } from './ipam-block.ts'
import {
  checkIPAMConfiguration,
  defaultIPAMConfigurationSpec,
  type IPAMConfiguration,
  ipamConfigurationSpecSchema,
} from './ipam-configuration.ts'
import {
  checkKubeControllersConfiguration,
  type KubeControllersConfiguration,
  kubeControllersConfigurationSpecSchema,
} from './kube-controllers-configuration.ts'
import { checkNode, type Node, nodeSpecSchema, nodeStatusSchema } from './node.ts'
import type { LiveRecord } from './own/live.ts'
import { POLICY_KINDS, type PolicyTypes } from './policy-kinds.ts'
import { checkProfile, type Profile, profileSpecSchema } from './profile.ts'
import { checkTier, defaultTierSpec, type Tier, tierSpecSchema } from './tier.ts'
import { checkWorkloadEndpoint, type WorkloadEndpoint, workloadEndpointSpecSchema } from './workload-endpoint.ts'

/** The kinds that are resources: what people get, apply and delete. */
export interface ResourceTypes extends PolicyTypes {
  readonly Node: Node
  readonly IPPool: IPPool
  readonly WorkloadEndpoint: WorkloadEndpoint
  readonly ClusterInformation: ClusterInformation
  readonly Tier: Tier
  readonly Profile: Profile
  readonly FelixConfiguration: FelixConfiguration
  readonly BGPConfiguration: BGPConfiguration
  readonly KubeControllersConfiguration: KubeControllersConfiguration
  readonly IPAMConfiguration: IPAMConfiguration
}

/** The name of a resource's kind. */
export type ResourceKind = keyof ResourceTypes

/** A resource of any kind; `kind` tells which. */
export type AnyResource = ResourceTypes[ResourceKind]

/** Everything that a host follows in the store, by kind. */
export interface ModelTypes extends ResourceTypes {
  readonly IPAMBlock: Block
  readonly Live: LiveRecord
}

/** The name of a kind that is followed. */
export type ModelKind = keyof ModelTypes

/** What is to be known of a kind by those who handle every kind alike. */
export interface KindInfo<K extends ResourceKind = ResourceKind> {
  readonly kind: K
  /** As in keys: `ippools`. */
  readonly plural: string
  readonly isNamespaced: boolean
  /** Other names on the command line, in lower case. */
  readonly aliases: readonly string[]
  readonly specSchema: z.ZodObject
  readonly statusSchema: z.ZodType
  /** The spec with what is absent filled in, as a writer stores it. */
  defaults(spec: ResourceTypes[K]['spec'], name: string): ResourceTypes[K]['spec']
  /** What is wrong with a resource beyond the shape of its fields. */
  validate(resource: ResourceTypes[K]): readonly Issue[]
}

const global = { isNamespaced: false, statusSchema: z.looseObject({}), aliases: [] } as const

/** A function that leaves a spec as it is. */
function asGiven<Spec>(spec: Spec): Spec {
  return spec
}

/** Every kind of resource that this version knows. */
export const KINDS: { readonly [K in ResourceKind]: KindInfo<K> } = {
  Node: {
    ...global,
    kind: 'Node',
    plural: 'nodes',
    aliases: ['no', 'nos'],
    specSchema: nodeSpecSchema,
    statusSchema: nodeStatusSchema,
    defaults: asGiven,
    validate: checkNode,
  },
  IPPool: {
    ...global,
    kind: 'IPPool',
    plural: 'ippools',
    aliases: ['ipp', 'ipps', 'pool', 'pools'],
    specSchema: ipPoolSpecSchema,
    statusSchema: ipPoolStatusSchema,
    defaults: defaultIPPoolSpec,
    validate: checkIPPool,
  },
  WorkloadEndpoint: {
    ...global,
    kind: 'WorkloadEndpoint',
    plural: 'workloadendpoints',
    isNamespaced: true,
    aliases: ['wep', 'weps'],
    specSchema: workloadEndpointSpecSchema,
    defaults: asGiven,
    validate: checkWorkloadEndpoint,
  },
  ClusterInformation: {
    ...global,
    kind: 'ClusterInformation',
    plural: 'clusterinformations',
    aliases: ['clusterinfo', 'clusterinfos'],
    specSchema: clusterInformationSpecSchema,
    defaults: asGiven,
    validate: checkClusterInformation,
  },
  Tier: { ...global, kind: 'Tier', plural: 'tiers', specSchema: tierSpecSchema, defaults: defaultTierSpec, validate: checkTier },
  Profile: {
    ...global,
    kind: 'Profile',
    plural: 'profiles',
    aliases: ['pro', 'pros'],
    specSchema: profileSpecSchema,
    defaults: asGiven,
    validate: checkProfile,
  },
  FelixConfiguration: {
    ...global,
    kind: 'FelixConfiguration',
    plural: 'felixconfigurations',
    aliases: ['felixconfig', 'felixconfigs'],
    specSchema: felixConfigurationSpecSchema,
    defaults: asGiven,
    validate: checkFelixConfiguration,
  },
  BGPConfiguration: {
    ...global,
    kind: 'BGPConfiguration',
    plural: 'bgpconfigurations',
    aliases: ['bgpconfig', 'bgpconfigs'],
    specSchema: bgpConfigurationSpecSchema,
    defaults: asGiven,
    validate: checkBgpConfiguration,
  },
  KubeControllersConfiguration: {
    ...global,
    kind: 'KubeControllersConfiguration',
    plural: 'kubecontrollersconfigurations',
    aliases: ['kubecontrollersconfig', 'kubecontrollersconfigs'],
    specSchema: kubeControllersConfigurationSpecSchema,
    defaults: asGiven,
    validate: checkKubeControllersConfiguration,
  },
  IPAMConfiguration: {
    ...global,
    kind: 'IPAMConfiguration',
    plural: 'ipamconfigurations',
    aliases: ['ipamconfig', 'ipamconfigs'],
    specSchema: ipamConfigurationSpecSchema,
    defaults: defaultIPAMConfigurationSpec,
    validate: checkIPAMConfiguration,
  },
  ...POLICY_KINDS,
}

/** The names of all kinds of resources. */
export const RESOURCE_KINDS: readonly ResourceKind[] = Object.values(KINDS).map((info) => info.kind)

/** A kind's facts without its types, for those who handle every kind alike. */
export function kindInfo(kind: ResourceKind): KindInfo {
  return KINDS[kind] as KindInfo
}

/** The kind that a person means: its name, its plural or an alias, in any case. */
export function findKind(text: string): ResourceKind | undefined {
  const lower = text.toLowerCase()
  return RESOURCE_KINDS.find((kind) => kind.toLowerCase() === lower || KINDS[kind].plural === lower || KINDS[kind].aliases.includes(lower))
}
