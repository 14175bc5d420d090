import * as z from 'zod'
import type { Issue } from '../errors.ts'
import type { DeepReadonly } from './fields.ts'
import { checkOnlyDefault } from './metadata.ts'
import type { Resource } from './resource.ts'

/** The spec of ClusterInformation `default`. `calicoVersion` is Calico's own and never written by us. */
export const clusterInformationSpecSchema = z.object({
  clusterGUID: z.string().optional(),
  clusterType: z.string().optional(),
  calicoVersion: z.string().optional(),
  datastoreReady: z.boolean().optional(),
  variant: z.string().optional(),
})

export type ClusterInformationSpec = DeepReadonly<z.infer<typeof clusterInformationSpecSchema>>

/** Which cluster this etcd holds, and whether its users may write. */
export type ClusterInformation = Resource<'ClusterInformation', ClusterInformationSpec>

/** What is wrong with a ClusterInformation beyond the shape of its fields. */
export function checkClusterInformation(info: ClusterInformation): readonly Issue[] {
  return checkOnlyDefault(info)
}
