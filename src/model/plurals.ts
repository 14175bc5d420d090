import type { ResourceKind } from './kinds.ts'

/** Each kind as it is called in keys. */
export const PLURALS: Readonly<Record<ResourceKind, string>> = {
  Node: 'nodes',
  IPPool: 'ippools',
  WorkloadEndpoint: 'workloadendpoints',
  ClusterInformation: 'clusterinformations',
  Tier: 'tiers',
  Profile: 'profiles',
  FelixConfiguration: 'felixconfigurations',
  BGPConfiguration: 'bgpconfigurations',
  KubeControllersConfiguration: 'kubecontrollersconfigurations',
  IPAMConfiguration: 'ipamconfigurations',
}
