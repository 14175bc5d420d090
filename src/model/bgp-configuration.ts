import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { COMMUNITY_RULE, isCommunity } from './community.ts'
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

/** What is wrong with a BGPConfiguration beyond the shape of its fields. */
export function checkBgpConfiguration(configuration: BGPConfiguration): readonly Issue[] {
  return [...checkScope(configuration), ...checkCommunities(configuration.spec)]
}

/** That a per-host or cluster-wide configuration is called `default` or `node.<name>`. */
export function checkScopedName(name: string): readonly Issue[] {
  if (name === 'default' || (name.startsWith('node.') && name.length > 'node.'.length)) return []
  return [{ path: 'metadata.name', message: `${JSON.stringify(name)}: a configuration of this kind is called "default" or "node.<name>"` }]
}

const DEFAULT_ONLY = [
  'nodeToNodeMeshEnabled',
  'asNumber',
  'serviceClusterIPs',
  'serviceExternalIPs',
  'serviceLoadBalancerIPs',
  'serviceLoadBalancerAggregation',
  'nodeMeshPassword',
  'nodeMeshMaxRestartTime',
  'localWorkloadPeeringIPV4',
  'localWorkloadPeeringIPV6',
] as const

function checkScope({ metadata, spec }: BGPConfiguration): readonly Issue[] {
  const issues = [...checkScopedName(metadata.name)]
  for (const field of metadata.name.startsWith('node.') ? DEFAULT_ONLY : []) {
    if (spec[field] !== undefined) issues.push({ path: `spec.${field}`, message: 'is for the configuration "default" only' })
  }
  const isMeshOff = spec.nodeToNodeMeshEnabled === false
  for (const field of ['nodeMeshPassword', 'nodeMeshMaxRestartTime'] as const) {
    if (isMeshOff && spec[field] !== undefined) issues.push({ path: `spec.${field}`, message: 'needs nodeToNodeMeshEnabled true' })
  }
  return issues
}

function checkCommunities(spec: BGPConfigurationSpec): readonly Issue[] {
  const issues: Issue[] = []
  const names = new Set((spec.communities ?? []).map((community) => community.name))
  for (const [index, { value }] of (spec.communities ?? []).entries()) {
    const path = `spec.communities[${index}].value`
    if (!isCommunity(value ?? '')) issues.push({ path, message: `${JSON.stringify(value ?? '')} is not a community ${COMMUNITY_RULE}` })
  }
  if (names.size > 0 && (spec.prefixAdvertisements ?? []).length === 0) {
    issues.push({ path: 'spec.communities', message: 'needs prefixAdvertisements that use them' })
  }
  for (const [index, advertisement] of (spec.prefixAdvertisements ?? []).entries()) {
    for (const community of advertisement.communities ?? []) {
      if (names.has(community) || isCommunity(community)) continue
      const path = `spec.prefixAdvertisements[${index}].communities`
      issues.push({ path, message: `${JSON.stringify(community)} is neither in spec.communities nor a community ${COMMUNITY_RULE}` })
    }
  }
  return issues
}
