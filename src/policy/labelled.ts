import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { GlobalNetworkSet, NetworkSet } from '../model/network-set.ts'
import { NAMESPACE_LABEL, NAMESPACE_PREFIX, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX } from '../model/scoped-selector.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { type Cidr, hostCidr, parseCidrLoosely } from '../net/cidr.ts'
import { parseProtocol } from '../net/port.ts'

/** A port that an endpoint offers by name. */
export interface NamedPort {
  readonly name: string
  readonly protocol: number
  readonly port: number
}

/** What selectors choose from: an endpoint or a network set, reduced to what they see and give. */
export interface Labelled {
  /** Its own labels, which go before inherited ones. */
  readonly labels: Readonly<Record<string, string>>
  /** Names of profiles from which it inherits labels; of two the first counts. */
  readonly profiles: readonly string[]
  readonly addresses: readonly Cidr[]
  readonly ports: readonly NamedPort[]
}

/** The kinds of which selectors choose. */
export interface LabelledTypes {
  readonly WorkloadEndpoint: WorkloadEndpoint
  readonly HostEndpoint: HostEndpoint
  readonly GlobalNetworkSet: GlobalNetworkSet
  readonly NetworkSet: NetworkSet
}

/** Their names. */
export const LABELLED_KINDS: readonly (keyof LabelledTypes)[] = ['WorkloadEndpoint', 'HostEndpoint', 'GlobalNetworkSet', 'NetworkSet']

/** What selectors see of a resource; undefined for a workload without an address, which Calico does not look at either. */
export function labelledOf(resource: LabelledTypes[keyof LabelledTypes]): Labelled | undefined {
  switch (resource.kind) {
    case 'WorkloadEndpoint':
      return resource.spec.ipNetworks?.length ? labelledWorkload(resource) : undefined
    case 'HostEndpoint':
      return {
        labels: resource.metadata.labels ?? {},
        profiles: resource.spec.profiles ?? [],
        addresses: (resource.spec.expectedIPs ?? []).map(hostCidr),
        ports: namedPorts(resource.spec.ports),
      }
    case 'GlobalNetworkSet':
      return { labels: resource.metadata.labels ?? {}, profiles: [], addresses: networks(resource.spec.nets), ports: [] }
    case 'NetworkSet':
      return {
        labels: { ...resource.metadata.labels, [NAMESPACE_LABEL]: resource.metadata.namespace ?? '' },
        profiles: [`kns.${resource.metadata.namespace}`],
        addresses: networks(resource.spec.nets),
        ports: [],
      }
  }
}

/** Labels that say where a workload belongs come from where it belongs: one that gives itself others must not get into their policies. */
function labelledWorkload({ metadata, spec }: WorkloadEndpoint): Labelled {
  const own = Object.entries(metadata.labels ?? {}).filter(
    ([name]) => !name.startsWith(NAMESPACE_PREFIX) && !name.startsWith(SERVICE_ACCOUNT_PREFIX),
  )
  return {
    labels: {
      ...Object.fromEntries(own),
      [NAMESPACE_LABEL]: metadata.namespace ?? '',
      ...(spec.serviceAccountName === undefined ? {} : { [SERVICE_ACCOUNT_LABEL]: spec.serviceAccountName }),
    },
    profiles: spec.profiles ?? [],
    addresses: networks(spec.ipNetworks),
    ports: namedPorts(spec.ports),
  }
}

type PortSpec = NonNullable<WorkloadEndpoint['spec']['ports']>[number]

function namedPorts(ports: readonly Pick<PortSpec, 'name' | 'protocol' | 'port'>[] | undefined): readonly NamedPort[] {
  return (ports ?? []).flatMap(({ name, protocol, port }) =>
    name === undefined || protocol === undefined ? [] : [{ name, protocol: parseProtocol(String(protocol)), port }],
  )
}

function networks(nets: readonly string[] | undefined): readonly Cidr[] {
  return (nets ?? []).map(parseCidrLoosely)
}
