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

/** A port as a resource names it; one without name or protocol is nobody's by name. */
export interface OfferedPort {
  readonly name?: string | undefined
  readonly protocol?: string | number | undefined
  readonly port: number
}

/**
 * What selectors choose from: an endpoint or a network set, reduced to what they see and give. As far as can be it consists of parts of the
 * resource, not of copies: there may be a hundred thousand.
 */
export interface Labelled {
  /** Its own labels, which go before inherited ones. */
  readonly labels: Readonly<Record<string, string>>
  /** Names of profiles from which it inherits labels; of two the first counts. */
  readonly profiles: readonly string[]
  readonly addresses: readonly Cidr[]
  readonly ports: readonly OfferedPort[]
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
        ports: checked(resource.spec.ports),
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

/** The ports that have a name and a protocol. */
export function namedPorts(ports: readonly OfferedPort[]): readonly NamedPort[] {
  return ports.flatMap(({ name, protocol, port }) =>
    name === undefined || protocol === undefined ? [] : [{ name, protocol: parseProtocol(String(protocol)), port }],
  )
}

/** Whoever asks for them later must not be the one who finds a fault in them. */
function checked(ports: readonly OfferedPort[] | undefined): readonly OfferedPort[] {
  if (ports === undefined || ports.length === 0) return NO_PORTS
  for (const { name, protocol } of ports) if (name !== undefined && protocol !== undefined) parseProtocol(String(protocol))
  return ports
}

const NO_PORTS: readonly OfferedPort[] = []

function labelledWorkload({ metadata, spec }: WorkloadEndpoint): Labelled {
  return {
    labels: labelsOf(metadata.labels ?? {}, metadata.namespace ?? '', spec.serviceAccountName),
    profiles: spec.profiles ?? [],
    addresses: networks(spec.ipNetworks),
    ports: checked(spec.ports),
  }
}

/** Labels that say where a workload belongs come from where it belongs: one that gives itself others must not get into their policies. */
function labelsOf(given: Labelled['labels'], namespace: string, account: string | undefined): Labelled['labels'] {
  if (given[NAMESPACE_LABEL] === namespace && given[SERVICE_ACCOUNT_LABEL] === account && areOwn(given)) return given
  return {
    ...Object.fromEntries(Object.entries(given).filter(([name]) => isOwn(name))),
    [NAMESPACE_LABEL]: namespace,
    ...(account === undefined ? {} : { [SERVICE_ACCOUNT_LABEL]: account }),
  }
}

function areOwn(labels: Labelled['labels']): boolean {
  for (const name in labels) if (!isOwn(name)) return false
  return true
}

function isOwn(name: string): boolean {
  return !name.startsWith(NAMESPACE_PREFIX) && !name.startsWith(SERVICE_ACCOUNT_PREFIX)
}

/** The very list that was given, where it says everything in its canonical form. */
function networks(nets: readonly string[] | undefined): readonly Cidr[] {
  if (nets?.every((net) => parseCidrLoosely(net) === net)) return nets as readonly Cidr[]
  return (nets ?? []).map(parseCidrLoosely)
}
