import * as z from 'zod'
import type { Issue } from '../errors.ts'
import type { DeepReadonly } from './fields.ts'
import { checkOnlyDefault } from './metadata.ts'
import type { Resource } from './resource.ts'
import { enforced, later, stored } from './tags.ts'

/** The spec of ClusterInformation `default`. `calicoVersion` is Calico's own and never written by us. */
export const clusterInformationSpecSchema = z.object({
  clusterGUID: enforced('Names the cluster for good: a saved View of another one is not used.', z.string()).optional(),
  clusterType: enforced('What the cluster consists of, with commas; each component adds its word.', z.string()).optional(),
  calicoVersion: stored(
    "Version of Calico's agents, which calicoctl compares with its own; margay never writes it.",
    z.string(),
  ).optional(),
  datastoreReady: later('Whether hosts may work; false while somebody migrates what is stored.', z.boolean()).optional(),
  variant: stored('Which edition of Calico this is.', z.string()).optional(),
})

export type ClusterInformationSpec = DeepReadonly<z.infer<typeof clusterInformationSpecSchema>>

/** Which cluster this etcd holds, and whether its users may write. */
export type ClusterInformation = Resource<'ClusterInformation', ClusterInformationSpec>

/** What is wrong with a ClusterInformation beyond the shape of its fields. */
export function checkClusterInformation(info: ClusterInformation): readonly Issue[] {
  return checkOnlyDefault(info)
}
