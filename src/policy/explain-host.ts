import { describeError } from '../errors.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { ModelKind, ModelTypes } from '../model/kinds.ts'
import type { Profile } from '../model/profile.ts'
import type { Reach } from '../model/unreadable.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { cidrContains } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { LocalEndpoint } from './evaluate.ts'
import type { ImplicitAllow, PolicedHost } from './evaluate-path.ts'
import { policySettings } from './felix-settings.ts'
import { planHostEndpoints } from './host-endpoints.ts'
import type { KnownInterfaces } from './known-interfaces.ts'
import { LABELLED_KINDS, type Labelled, labelledOf } from './labelled.ts'
import { SearchedMembers, type ServicePort, selects } from './members.ts'
import { POLICY_KIND_NAMES, type Policy, type PolicyResource, readPolicy } from './policies.ts'
import { readProfile } from './profiles.ts'
import { ServiceIndex } from './service-index.ts'
import { orderPolicies, type TierPolicies } from './tiers.ts'

/** Resources by kind and id, as a view of the store has them. */
export interface ResourceMaps {
  get<K extends ModelKind>(kind: K): ReadonlyMap<string, ModelTypes[K]>
  /** By `<kind>/<id>`, what decides about traffic and does not parse: what it would have governed is closed. Absent where nobody looked. */
  readonly unreadable?: ReadonlyMap<string, UnreadableResource>
}

/** A resource that does not parse. */
export interface UnreadableResource {
  readonly kind: ModelKind
  readonly id: string
  readonly reason: string
  readonly reach: Reach | undefined
}

/** All policies of a store, read once for all hosts that are asked about. */
export interface ReadPolicies {
  readonly policies: readonly Policy[]
  /** The resource of each, by the policy's key. */
  readonly resources: ReadonlyMap<string, PolicyResource>
  /** What could not be read, in words. */
  readonly problems: readonly string[]
}

/** Reads all policies; one that can't be read hinders no other. */
export function readPolicies(maps: ResourceMaps): ReadPolicies {
  const steps = readPoliciesInSteps(maps)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** The same for whoever lets others run between two; what was read already is taken from `known`, and what is read is put there. */
export function* readPoliciesInSteps(
  maps: ResourceMaps,
  known: WeakMap<PolicyResource, Policy> = new WeakMap(),
): Generator<undefined, ReadPolicies> {
  const [policies, resources, problems] = [[] as Policy[], new Map<string, PolicyResource>(), [] as string[]]
  for (const kind of POLICY_KIND_NAMES) {
    for (const [id, resource] of maps.get(kind)) {
      yield
      try {
        const policy = known.get(resource) ?? readPolicy(resource)
        if (policy === undefined) continue
        known.set(resource, policy)
        policies.push(policy)
        resources.set(policy.key, resource)
      } catch (error) {
        problems.push(`${kind} ${id} is left out: ${describeError(error)}`)
      }
    }
  }
  return { policies, resources, problems }
}

/** One host, and what about it is not in the resources. */
export interface HostQuestion {
  readonly node: string
  readonly felix: FelixConfigurationSpec
  readonly known: KnownInterfaces
  readonly implicit: readonly ImplicitAllow[]
  readonly isWorkloadInterface: (name: string) => boolean
  /** The interfaces of the workloads in question: of a thousand on the host, two at most. */
  readonly interfaces: readonly string[]
  /** All addresses that a packet in question has or gets: nobody else's membership matters. */
  readonly addresses: readonly Ip[]
}

/** What decides about packets on a host, from resources alone: as its own daemon would find it. */
export function findPolicedHost(maps: ResourceMaps, read: ReadPolicies, question: HostQuestion): PolicedHost {
  const { node, felix, known, implicit, isWorkloadInterface } = question
  const toLocal = (endpoint: WorkloadEndpoint | HostEndpoint) => localEndpoint(maps, read, endpoint)
  const workloads = [...maps.get('WorkloadEndpoint').values()].filter(
    ({ spec }) => spec.node === node && spec.ipNetworks?.length && question.interfaces.includes(spec.interfaceName ?? ''),
  )
  const hostEndpoints = [...maps.get('HostEndpoint').values()].filter(({ spec }) => spec.node === node)
  const { byInterface, wildcard } = planHostEndpoints(hostEndpoints, known.interfaces, isWorkloadInterface)
  return {
    settings: {
      ...policySettings(felix),
      isWorkloadInterface,
      implicit,
    },
    workloads: new Map(workloads.map((endpoint) => [endpoint.spec.interfaceName ?? '', toLocal(endpoint)])),
    hostEndpoints: new Map([...byInterface].map(([name, endpoint]) => [name, toLocal(endpoint)])),
    wildcard: wildcard && toLocal(wildcard),
    members: findMembers(maps, question.addresses),
  }
}

/** The same host as if its staged policies were enforced, each in the place of the one that it would replace. */
export function asIfEnforced(host: PolicedHost): PolicedHost {
  const enforce = (endpoint: LocalEndpoint) => ({ ...endpoint, tiers: endpoint.tiers.map(enforceTier) })
  const enforceAll = (endpoints: PolicedHost['workloads']) => new Map([...endpoints].map(([name, one]) => [name, enforce(one)]))
  return {
    ...host,
    workloads: enforceAll(host.workloads),
    hostEndpoints: enforceAll(host.hostEndpoints),
    wildcard: host.wildcard && enforce(host.wildcard),
  }
}

function enforceTier(tier: TierPolicies): TierPolicies {
  const replaced = new Set(tier.policies.flatMap(({ isStaged, enforcedKey }) => (isStaged ? [enforcedKey] : [])))
  const policies = tier.policies.filter(({ key }) => !replaced.has(key)).map((policy) => ({ ...policy, isStaged: false }))
  return { ...tier, policies }
}

function localEndpoint(maps: ResourceMaps, { policies }: ReadPolicies, endpoint: WorkloadEndpoint | HostEndpoint): LocalEndpoint {
  const profiles = maps.get('Profile')
  const labelled = labelledOf(endpoint)
  const selected = labelled === undefined ? [] : policies.filter(({ selector }) => selects(selector, labelled, profiles))
  return {
    id: endpointId(endpoint),
    tiers: orderPolicies(selected, maps.get('Tier')),
    profiles: (endpoint.spec.profiles ?? []).map((name) => readProfile(name, profiles.get(name))),
  }
}

/** An endpoint in words. */
export function endpointId({ kind, metadata }: WorkloadEndpoint | HostEndpoint): string {
  return kind === 'WorkloadEndpoint' ? `workload endpoint ${metadata.namespace}/${metadata.name}` : `host endpoint ${metadata.name}`
}

/** Members by searching, in the few resources only that hold an address in question: with 100,000 endpoints each rule would look at all. */
function findMembers(maps: ResourceMaps, addresses: readonly Ip[]): SearchedMembers {
  const labelled: Labelled[] = []
  for (const kind of LABELLED_KINDS) {
    for (const resource of maps.get(kind).values()) {
      const one = labelledOf(resource)
      if (one?.addresses.some((cidr) => addresses.some((ip) => cidrContains(cidr, ip)))) labelled.push(one)
    }
  }
  return new SearchedMembers({ labelled, profiles: maps.get('Profile') as ReadonlyMap<string, Profile>, services: findServices(maps) })
}

function findServices(maps: ResourceMaps): ReadonlyMap<string, readonly ServicePort[]> {
  const index = new ServiceIndex()
  const services = maps.get('Service')
  if (services.size === 0) return new Map()
  for (const [id, endpoint] of maps.get('WorkloadEndpoint')) index.setEndpoint(id, endpoint)
  for (const [id, service] of services) index.setService(id, service)
  return new Map([...services.keys()].map((id) => [id, index.endsOf(id) ?? []]))
}
