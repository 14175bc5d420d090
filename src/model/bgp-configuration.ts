import * as z from 'zod'
import { type Issue, ValidationError } from '../errors.ts'
import { parseAsNumber } from '../net/as-number.ts'
import { COMMUNITY_RULE, isCommunity } from './community.ts'
import {
  asNumberField,
  checkedText,
  type DeepReadonly,
  defaultsTo,
  durationField,
  integerField,
  ipv4Field,
  ipv6Field,
  strictNetField,
  wordField,
  zeroIsAbsent,
} from './fields.ts'
import { checkName } from './metadata.ts'
import type { Resource } from './resource.ts'
import { secretPasswordField } from './secret.ts'
import { soundEntries } from './sound-parts.ts'
import { later } from './tags.ts'

/** AS number of hosts when nobody says another (RFC 6996: for private use). */
const DEFAULT_AS_NUMBER = parseAsNumber('64512')

/** Severities as Calico spells them. */
export const LOG_SEVERITIES = ['Trace', 'Debug', 'Info', 'Warning', 'Error', 'Fatal'] as const

/** Which cluster routes a component programs. */
export const PROGRAM_CLUSTER_ROUTES = ['Enabled', 'Disabled', 'EnabledIPIPOnly', 'EnabledNoEncapOnly'] as const

const blocks = (description: string) => z.array(z.object({ cidr: later(description, strictNetField) })).optional()
const priorityField = defaultsTo(1024, integerField(1, 2_147_483_646))

/** Name of an interface in which `*` stands for any characters; `*` alone would ignore every interface. */
const ignoredInterfaceField = checkedText((text) => {
  if (/^[a-zA-Z0-9_.*-]{1,15}$/.test(text) && text !== '*') return
  throw new ValidationError(
    `${JSON.stringify(text)} is not an interface or a pattern (1 to 15 letters, digits, "_", ".", "-" and "*", not "*" alone)`,
  )
})

/** The spec of BGPConfiguration `default` or `node.<name>`. */
export const bgpConfigurationSpecSchema = z.object({
  logSeverityScreen: later("How much BGP's daemon logs.", defaultsTo('Info', wordField(LOG_SEVERITIES))).optional(),
  nodeToNodeMeshEnabled: later('Every host has a session with every other.', defaultsTo(true, z.boolean())).optional(),
  asNumber: later('AS number of hosts whose Node names none.', defaultsTo(DEFAULT_AS_NUMBER, asNumberField)).optional(),
  serviceLoadBalancerIPs: blocks('Range of addresses of load balancers that BGP peers are told of.'),
  serviceExternalIPs: blocks('Range of external addresses of Services that BGP peers are told of.'),
  serviceClusterIPs: blocks('Range of addresses of Services that BGP peers are told of.'),
  serviceLoadBalancerAggregation: later(
    'Whether peers are told of the ranges of load balancers, or of each address.',
    defaultsTo('Enabled', z.enum(['Enabled', 'Disabled'])),
  ).optional(),
  communities: z
    .array(
      z.object({
        name: later('Name by which prefixAdvertisements means the community.', z.string()).optional(),
        value: later('The community, `aa:nn` or `aa:bb:cc`.', z.string()).optional(),
      }),
    )
    .optional(),
  prefixAdvertisements: z
    .array(
      z.object({
        cidr: later('Routes within this prefix get the communities.', strictNetField).optional(),
        communities: later('Names of communities, or communities themselves, up to 50.', z.array(z.string())).optional(),
      }),
    )
    .optional(),
  listenPort: later("Port of BGP's daemon.", defaultsTo(179, zeroIsAbsent(integerField(0, 65_535)))).optional(),
  nodeMeshPassword: secretPasswordField.optional(),
  nodeMeshMaxRestartTime: later(
    'How long routes of another host are kept while it restarts (RFC 4724).',
    defaultsTo('120s', durationField),
  ).optional(),
  bindMode: later(
    "Whether BGP's daemon listens on the host's own address only.",
    defaultsTo('None', z.enum(['None', 'NodeIP'])),
  ).optional(),
  ignoredInterfaces: later(
    'Interfaces whose networks BGP tells nobody; `*` stands for any characters.',
    z.array(ignoredInterfaceField),
  ).optional(),
  localWorkloadPeeringIPV4: later('Address that workloads peer with.', ipv4Field).optional(),
  localWorkloadPeeringIPV6: later('IPv6 address that workloads peer with.', ipv6Field).optional(),
  programClusterRoutes: later(
    "Which routes between hosts BGP's daemon programs; FelixConfiguration decides about margay's.",
    z.enum(PROGRAM_CLUSTER_ROUTES),
  ).optional(),
  ipv4NormalRoutePriority: later('Metric of the IPv4 routes that BGP learns.', priorityField).optional(),
  ipv6NormalRoutePriority: later('Metric of the IPv6 routes that BGP learns.', priorityField).optional(),
})

export type BGPConfigurationSpec = DeepReadonly<z.infer<typeof bgpConfigurationSpecSchema>>

/** BGP of the whole cluster, or of one host. */
export type BGPConfiguration = Resource<'BGPConfiguration', BGPConfigurationSpec>

/** The spec with Calico's defaults; what is for one host only says what differs there. */
export function defaultBgpConfigurationSpec(spec: BGPConfigurationSpec, name: string): BGPConfigurationSpec {
  if (name !== 'default') return spec
  const { logSeverityScreen = 'Info', serviceLoadBalancerAggregation = 'Enabled' } = spec
  return { ...spec, logSeverityScreen, serviceLoadBalancerAggregation }
}

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
  const communities = soundEntries(spec.communities)
  const issues: Issue[] = communities.flatMap(([index, { name, value }]) => {
    const path = `spec.communities[${index}]`
    return [
      ...named(`${path}.name`, name === undefined ? 'is required' : checkName(name)),
      ...named(`${path}.value`, isCommunity(value) ? undefined : `${JSON.stringify(value ?? '')} is not a community ${COMMUNITY_RULE}`),
    ]
  })
  if (communities.length > 0 && (spec.prefixAdvertisements ?? []).length === 0) {
    issues.push({ path: 'spec.communities', message: 'needs prefixAdvertisements that use them' })
  }
  return [...issues, ...checkAdvertisements(spec, new Set(communities.map(([, { name }]) => name)))]
}

/** Most entries of prefixAdvertisements, and most communities of each. */
const MOST_ADVERTISEMENTS = 500
const MOST_COMMUNITIES = 50

function checkAdvertisements({ prefixAdvertisements = [] }: BGPConfigurationSpec, names: ReadonlySet<unknown>): readonly Issue[] {
  const path = 'spec.prefixAdvertisements'
  if (prefixAdvertisements.length > MOST_ADVERTISEMENTS) {
    return [{ path, message: `has ${prefixAdvertisements.length} items, ${MOST_ADVERTISEMENTS} are allowed` }]
  }
  return soundEntries(prefixAdvertisements).flatMap(([index, { cidr, communities = [] }]) => {
    const at = `${path}[${index}].communities`
    const unknown = soundEntries(communities).filter(([, community]) => !names.has(community) && !isCommunity(community))
    return [
      ...named(`${path}[${index}].cidr`, cidr === undefined ? 'is required (a prefix)' : undefined),
      ...named(at, communities.length === 0 ? 'is required (names of communities, or communities)' : undefined),
      ...named(at, communities.length > MOST_COMMUNITIES ? `has ${communities.length} items, ${MOST_COMMUNITIES} are allowed` : undefined),
      ...unknown.map(([, name]) => ({
        path: at,
        message: `${JSON.stringify(name)} is neither in spec.communities nor a community ${COMMUNITY_RULE}`,
      })),
    ]
  })
}

function named(path: string, message: string | undefined): readonly Issue[] {
  return message === undefined ? [] : [{ path, message }]
}
