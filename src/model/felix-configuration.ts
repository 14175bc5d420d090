import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { LOG_SEVERITIES, PROGRAM_CLUSTER_ROUTES } from './bgp-configuration.ts'
import { FOREIGN_FELIX_FIELDS } from './felix-foreign.ts'
import {
  type DeepReadonly,
  durationField,
  emptyIsKept,
  integerField,
  interfaceAddressField,
  ipv4Field,
  ipv6Field,
  portRangeField,
  selectorField,
  wordField,
} from './fields.ts'
import type { Resource } from './resource.ts'

const flag = z.boolean().optional()
const text = z.string().optional()
const duration = durationField.optional()
const integer = z.number().int().optional()
const port = integerField(1, 65_535).optional()
const mtu = integerField(0, 65_535).optional()
const priority = integerField(1, 2_147_483_646).optional()
const severity = wordField([...LOG_SEVERITIES, 'None']).optional()
const acceptReturn = wordField(['Accept', 'Return']).optional()
const dropReject = wordField(['Drop', 'Reject']).optional()
const failsafePorts = emptyIsKept(
  z.array(z.object({ protocol: z.string().optional(), port: integerField(0, 65_535), net: interfaceAddressField.optional() })),
).optional()
const tableRange = z.object({ min: z.number().int(), max: z.number().int() })

/** What decides routes, tunnels and addresses. */
const network = {
  ipv6Support: flag,
  ipForwarding: z.enum(['Enabled', 'Disabled']).optional(),
  interfacePrefix: text,
  interfaceExclude: text,
  deviceRouteProtocol: integer,
  deviceRouteSourceAddress: ipv4Field.optional(),
  deviceRouteSourceAddressIPv6: ipv6Field.optional(),
  removeExternalRoutes: flag,
  routeSource: z.enum(['CalicoIPAM', 'WorkloadIPs']).optional(),
  routeTableRanges: z.array(tableRange).optional(),
  routeTableRange: tableRange.optional(),
  routeSyncDisabled: flag,
  programClusterRoutes: z.enum(PROGRAM_CLUSTER_ROUTES).optional(),
  ipv4NormalRoutePriority: priority,
  ipv6NormalRoutePriority: priority,
  ipv4ElevatedRoutePriority: priority,
  ipv6ElevatedRoutePriority: priority,
  ipipEnabled: flag,
  vxlanEnabled: flag,
  ipipMTU: mtu,
  vxlanMTU: mtu,
  vxlanMTUV6: mtu,
  mtuIfacePattern: text,
  vxlanPort: port,
  vxlanVNI: integerField(1, 16_777_215).optional(),
  allowVXLANPacketsFromWorkloads: flag,
  allowIPIPPacketsFromWorkloads: flag,
  externalNodesList: emptyIsKept(z.array(interfaceAddressField)).optional(),
  natPortRange: portRangeField.optional(),
  natOutgoingAddress: ipv4Field.optional(),
  natOutgoingExclusions: z.enum(['IPPoolsOnly', 'IPPoolsAndHostIPs']).optional(),
  iptablesNATOutgoingInterfaceFilter: text,
  floatingIPs: z.enum(['Enabled', 'Disabled']).optional(),
  localSubnetL2Reachability: z.enum(['Disabled', 'PodsAndLoadBalancers']).optional(),
  localSubnetL2ReachabilityRefreshInterval: duration,
  serviceLoopPrevention: z.enum(['Drop', 'Reject', 'Disabled']).optional(),
  requireMTUFile: flag,
  wireguardEnabled: flag,
  wireguardEnabledV6: flag,
  wireguardListeningPort: port,
  wireguardListeningPortV6: port,
  wireguardRoutingRulePriority: integerField(1, 32_765).optional(),
  wireguardInterfaceName: text,
  wireguardInterfaceNameV6: text,
  wireguardMTU: mtu,
  wireguardMTUV6: mtu,
  wireguardKeepAlive: duration,
  wireguardHostEncryptionEnabled: flag,
  wireguardThreadingEnabled: flag,
}

/** What decides how packets are filtered. */
const filtering = {
  chainInsertMode: wordField(['insert', 'append']).optional(),
  defaultEndpointToHostAction: wordField(['Drop', 'Return', 'Accept']).optional(),
  iptablesFilterAllowAction: acceptReturn,
  nftablesFilterAllowAction: acceptReturn,
  iptablesMangleAllowAction: acceptReturn,
  nftablesMangleAllowAction: acceptReturn,
  iptablesFilterDenyAction: dropReject,
  nftablesFilterDenyAction: dropReject,
  iptablesBackend: wordField(['legacy', 'nft', 'auto']).optional(),
  nftablesMode: z.enum(['Enabled', 'Disabled', 'Auto']).optional(),
  nftablesFlowTableOffload: z.enum(['All', 'Disabled']).optional(),
  iptablesMarkMask: integerField(0, 0xffff_ffff).optional(),
  nftablesMarkMask: integerField(0, 0xffff_ffff).optional(),
  failsafeInboundHostPorts: failsafePorts,
  failsafeOutboundHostPorts: failsafePorts,
  disableConntrackInvalidCheck: flag,
  workloadSourceSpoofing: z.enum(['Disabled', 'Any']).optional(),
  maxIpsetSize: integer,
  logPrefix: text,
  logActionRateLimit: z.union([z.string(), z.number()]).optional(),
  logActionRateLimitBurst: integer,
  xdpEnabled: flag,
  genericXDPEnabled: flag,
  policySyncPathPrefix: text,
  kubeNodePortRanges: emptyIsKept(z.array(portRangeField)).optional(),
  metadataAddr: text,
  metadataPort: integer,
  openstackRegion: text,
}

/** What decides how the agent runs and what it tells. */
const running = {
  nodeSelector: selectorField.optional(),
  routeRefreshInterval: duration,
  interfaceRefreshInterval: duration,
  iptablesRefreshInterval: duration,
  nftablesRefreshInterval: duration,
  iptablesPostWriteCheckInterval: duration,
  iptablesLockProbeInterval: duration,
  iptablesLockFilePath: text,
  iptablesLockTimeout: duration,
  ipsetsRefreshInterval: duration,
  xdpRefreshInterval: duration,
  netlinkTimeout: duration,
  logFilePath: text,
  logSeverityFile: severity,
  logSeverityScreen: severity,
  logSeveritySys: severity,
  logDebugFilenameRegex: text,
  reportingInterval: duration,
  reportingTTL: duration,
  endpointReportingEnabled: flag,
  endpointReportingDelay: duration,
  endpointStatusPathPrefix: text,
  healthEnabled: flag,
  healthHost: text,
  healthPort: port,
  healthTimeoutOverrides: z.array(z.object({ name: z.string(), timeout: durationField })).optional(),
  prometheusMetricsEnabled: flag,
  prometheusMetricsHost: text,
  prometheusMetricsPort: port,
  prometheusGoMetricsEnabled: flag,
  prometheusProcessMetricsEnabled: flag,
  prometheusWireGuardMetricsEnabled: flag,
  prometheusMetricsCAFile: text,
  prometheusMetricsCertFile: text,
  prometheusMetricsKeyFile: text,
  prometheusMetricsClientAuth: text,
  usageReportingEnabled: flag,
  usageReportingInitialDelay: duration,
  usageReportingInterval: duration,
  dataplaneWatchdogTimeout: duration,
  featureDetectOverride: text,
  featureGates: text,
  debugHost: text,
  debugPort: integer,
}

/** The spec of FelixConfiguration `default`, `node.<name>` or one with a nodeSelector: how each host's agent works. */
export const felixConfigurationSpecSchema = z.object({ ...network, ...filtering, ...running, ...FOREIGN_FELIX_FIELDS })

export type FelixConfigurationSpec = DeepReadonly<z.infer<typeof felixConfigurationSpecSchema>>

/** Settings of the hosts' agents. Calico's names; docs/resources.md says which ones this version acts on. */
export type FelixConfiguration = Resource<'FelixConfiguration', FelixConfigurationSpec>

/** What is wrong with a FelixConfiguration beyond the shape of its fields. */
export function checkFelixConfiguration({ metadata, spec }: FelixConfiguration): readonly Issue[] {
  const issues: Issue[] = []
  const isFixed = metadata.name === 'default' || metadata.name.startsWith('node.')
  if (isFixed && spec.nodeSelector !== undefined) {
    issues.push({
      path: 'spec.nodeSelector',
      message: `can't be in ${JSON.stringify(metadata.name)}, whose name already says for which hosts it is`,
    })
  }
  const ranges = [...(spec.routeTableRanges ?? []), ...(spec.routeTableRange === undefined ? [] : [spec.routeTableRange])]
  if (spec.routeTableRanges !== undefined && spec.routeTableRange !== undefined) {
    issues.push({ path: 'spec.routeTableRange', message: 'is the old form of routeTableRanges: give one of the two' })
  }
  for (const { min, max } of ranges) {
    if (min >= 1 && max <= 0xffff_ffff && min <= max && (max < 253 || min > 255)) continue
    issues.push({
      path: 'spec.routeTableRanges',
      message: `${min} to ${max} is no range of routing tables (1 or more, without 253 to 255)`,
    })
  }
  if (ranges.reduce((sum, { min, max }) => sum + max - min + 1, 0) > 65_535) {
    issues.push({ path: 'spec.routeTableRanges', message: 'names more than 65535 tables' })
  }
  return [...issues, ...checkFailsafes(spec)]
}

function checkFailsafes(spec: FelixConfigurationSpec): readonly Issue[] {
  return (['failsafeInboundHostPorts', 'failsafeOutboundHostPorts'] as const).flatMap((field) =>
    (spec[field] ?? []).flatMap(({ protocol = 'tcp' }, index) => {
      if (['tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) return []
      return [{ path: `spec.${field}[${index}].protocol`, message: `${JSON.stringify(protocol)} is not one of tcp, udp, sctp` }]
    }),
  )
}
