import * as z from 'zod'
import type { DeepReadonly } from './fields.ts'
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
