import { underlayAddresses, underlayOf, vtepOf } from '../encap/peer.ts'
import { VXLAN_DEFAULTS } from '../encap/vxlan.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { FAMILIES, type Ip } from '../net/ip.ts'
import type { ImplicitAllow } from '../policy/evaluate-path.ts'
import { type ReadPolicies, type ResourceMaps, readPolicies } from '../policy/explain-host.ts'
import { type EtcdUse, planImplicit } from '../policy/implicit.ts'
import { type KnownInterfaces, knownInterfaces } from '../policy/known-interfaces.ts'
import type { RouteSource } from '../routing/explain-route.ts'
import { hostUse } from '../routing/host-use.ts'
import { felixSettings } from '../routing/settings.ts'
import { WORKLOAD_PREFIX } from '../workloads/interfaces.ts'
import { Closings } from './closings.ts'

/** One host as far as the store tells. */
export interface KnownHost {
  readonly node: string
  readonly felix: FelixConfigurationSpec
  readonly known: KnownInterfaces
  readonly isWorkloadInterface: (name: string) => boolean
  readonly implicit: readonly ImplicitAllow[]
  /** It takes packets of a VXLAN tunnel. */
  readonly hasTunnel: boolean
  /** The addresses of all hosts for other hosts. */
  readonly hosts: ReadonlySet<Ip>
}

/** What a host knows of itself that is not in the store. */
export interface OwnInterfaces {
  readonly node: string
  readonly known: KnownInterfaces
  readonly etcd?: EtcdUse
  /** Why workloads are closed whose rules the kernel does not take, by their interfaces. */
  readonly refused?: ReadonlyMap<string, string>
}

/** All that an explanation is made of. */
export interface ExplainSource {
  readonly maps: ResourceMaps
  readonly read: ReadPolicies
  readonly routes: RouteSource
  readonly hosts: { of(node: string): KnownHost }
  /** What closes endpoints whatever policies say, where a host tells of itself. */
  readonly closings?: Closings
}

/** Prepares resources for questions about them; `own` is what a host knows of itself, which goes before what the store says of it. */
export function createExplainSource(maps: ResourceMaps, own?: OwnInterfaces, read: ReadPolicies = readPolicies(maps)): ExplainSource {
  const interfaces = new Map<string, Set<string>>()
  for (const { spec } of maps.get('WorkloadEndpoint').values()) {
    const { node = '', interfaceName = '' } = spec
    interfaces.set(node, (interfaces.get(node) ?? new Set()).add(interfaceName))
  }
  const addresses = new Set([...maps.get('Node').values()].flatMap(underlayAddresses))
  return {
    maps,
    read,
    routes: { nodes: maps.get('Node'), pools: maps.get('IPPool'), blocks: maps.get('IPAMBlock'), live: maps.get('Live') },
    ...(own && { closings: new Closings(maps, own.refused) }),
    hosts: { of: (node) => findHost(maps, node, { addresses, workloads: interfaces.get(node) ?? new Set(), own }) },
  }
}

interface Gathered {
  /** Those of all hosts. */
  readonly addresses: ReadonlySet<Ip>
  /** The interfaces of the host's workloads. */
  readonly workloads: ReadonlySet<string>
  readonly own: OwnInterfaces | undefined
}

function findHost(maps: ResourceMaps, node: string, { addresses: hosts, workloads, own }: Gathered): KnownHost {
  const record = maps.get('Node').get(node)
  const felix = felixSettings(maps.get('FelixConfiguration'), node, record?.metadata.labels)
  const underlay = record === undefined ? [] : underlayAddresses(record)
  const endpoints = [...maps.get('HostEndpoint').values()].filter(({ spec }) => spec.node === node)
  const hasVxlan = [...maps.get('IPPool').values()].some(({ spec }) => (spec.vxlanMode ?? 'Never') !== 'Never')
  const hasVtep = FAMILIES.some(
    (family) => record !== undefined && vtepOf(record, family) !== undefined && underlayOf(record, family) !== undefined,
  )
  const use = hostUse({
    ...{ node, labels: record?.metadata.labels, felix, pools: maps.get('IPPool').values() },
    ...{ bgpConfigurations: maps.get('BGPConfiguration'), bgpPeers: maps.get('BGPPeer').values() },
  })
  const implicit = planImplicit({
    ...use,
    vxlanPort: hasVxlan && hasVtep ? (felix.vxlanPort ?? VXLAN_DEFAULTS.port) : undefined,
    etcd: (own?.node === node ? own.etcd : undefined) ?? { endpoints: [], ownPorts: [] },
    externalHosts: felix.externalNodesList ?? [],
  })
  return {
    node,
    felix,
    isWorkloadInterface: (name) => name.startsWith(WORKLOAD_PREFIX) || workloads.has(name),
    known: own?.node === node ? own.known : knownInterfaces({ node, record, underlay, endpoints }),
    implicit: implicit.allowsOf((ip) => hosts.has(ip)),
    hasTunnel: hasVxlan && hasVtep,
    hosts,
  }
}
