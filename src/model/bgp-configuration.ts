import * as z from 'zod'
import {
  asNumberField,
  cidrField,
  type DeepReadonly,
  durationField,
  integerField,
  interfaceAddressField,
  ipv4Field,
  ipv6Field,
  zeroIsAbsent,
} from './fields.ts'
import type { Resource } from './resource.ts'

/** Severities as Calico spells them. */
export const LOG_SEVERITIES = ['Trace', 'Debug', 'Info', 'Warning', 'Error', 'Fatal'] as const

/** Which cluster routes a component programs. */
export const PROGRAM_CLUSTER_ROUTES = ['Enabled', 'Disabled', 'EnabledIPIPOnly', 'EnabledNoEncapOnly'] as const

const block = z.object({ cidr: interfaceAddressField })

/** The spec of BGPConfiguration `default` or `node.<name>`. */
export const bgpConfigurationSpecSchema = z.object({
  logSeverityScreen: z.enum(LOG_SEVERITIES).optional(),
  nodeToNodeMeshEnabled: z.boolean().optional(),
  asNumber: asNumberField.optional(),
  serviceLoadBalancerIPs: z.array(block).optional(),
  serviceExternalIPs: z.array(block).optional(),
  serviceClusterIPs: z.array(block).optional(),
  serviceLoadBalancerAggregation: z.enum(['Enabled', 'Disabled']).optional(),
  communities: z.array(z.object({ name: z.string().optional(), value: z.string().optional() })).optional(),
  prefixAdvertisements: z
    .array(z.object({ cidr: cidrField.optional(), communities: z.array(z.string()).max(50).optional() }))
    .max(500)
    .optional(),
  listenPort: zeroIsAbsent(integerField(0, 65_535)).optional(),
  nodeMeshPassword: z.object({ secretKeyRef: z.looseObject({ name: z.string().optional(), key: z.string() }).optional() }).optional(),
  nodeMeshMaxRestartTime: durationField.optional(),
  bindMode: z.enum(['None', 'NodeIP']).optional(),
  ignoredInterfaces: z.array(z.string()).optional(),
  localWorkloadPeeringIPV4: ipv4Field.optional(),
  localWorkloadPeeringIPV6: ipv6Field.optional(),
  programClusterRoutes: z.enum(PROGRAM_CLUSTER_ROUTES).optional(),
  ipv4NormalRoutePriority: integerField(1, 2_147_483_646).optional(),
  ipv6NormalRoutePriority: integerField(1, 2_147_483_646).optional(),
})

export type BGPConfigurationSpec = DeepReadonly<z.infer<typeof bgpConfigurationSpecSchema>>

/** BGP of the whole cluster, or of one host. */
export type BGPConfiguration = Resource<'BGPConfiguration', BGPConfigurationSpec>
