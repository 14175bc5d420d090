import type { BGPConfiguration } from './bgp-configuration.ts'
import type { ClusterInformation } from './cluster-information.ts'
import type { FelixConfiguration } from './felix-configuration.ts'
import type { IPPool } from './ip-pool.ts'
import type { Block } from './ipam-block.ts'
import type { IPAMConfiguration } from './ipam-configuration.ts'
import type { KubeControllersConfiguration } from './kube-controllers-configuration.ts'
import type { Node } from './node.ts'
import type { LiveRecord } from './own/live.ts'
import type { Profile } from './profile.ts'
import type { Tier } from './tier.ts'
import type { WorkloadEndpoint } from './workload-endpoint.ts'

/** The kinds that are resources: what people get, apply and delete. */
export interface ResourceTypes {
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
