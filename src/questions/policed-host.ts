import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { LocalEndpoint } from '../policy/evaluate.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import { endpointId } from '../policy/explain-host.ts'
import { policySettings } from '../policy/felix-settings.ts'
import { planHostEndpoints } from '../policy/host-endpoints.ts'
import { type Labelled, labelledOf } from '../policy/labelled.ts'
import { selects } from '../policy/members.ts'
import type { Policy } from '../policy/policies.ts'
import { readProfile } from '../policy/profiles.ts'
import { orderPolicies } from '../policy/tiers.ts'
import type { ExplainSource } from './known-host.ts'
import { relevantMembers } from './relevant-members.ts'

/** The endpoints of one host with the policies that apply to them, by what they are called. */
export interface HostPolicies {
  readonly endpoints: ReadonlyMap<string, LocalEndpoint>
  readonly host: PolicedHost
}

/**
 * What decides about packets on a host, with all its endpoints, for packets between these addresses. Resumes where the caller left it at a
 * `yield`. Many endpoints are alike: of those the policies are asked once.
 */
export function* policeHost(source: ExplainSource, node: string, addresses: Iterable<Ip>): Generator<undefined, HostPolicies> {
  const { maps } = source
  const { felix, known, implicit, isWorkloadInterface } = source.hosts.of(node)
  const selection = new Selection(source)
  const endpoints = new Map<string, LocalEndpoint>()
  const workloads = new Map<string, LocalEndpoint>()
  for (const endpoint of maps.get('WorkloadEndpoint').values()) {
    yield
    if (endpoint.spec.node !== node || !endpoint.spec.ipNetworks?.length) continue
    const local = yield* selection.localOf(endpoint)
    endpoints.set(local.id, local)
    workloads.set(endpoint.spec.interfaceName ?? '', local)
  }
  const stored = [...maps.get('HostEndpoint').values()].filter(({ spec }) => spec.node === node)
  const hostEndpoints = [...stored, ...(source.closings?.hostEndpoints(node) ?? [])]
  const locals = new Map<HostEndpoint, LocalEndpoint>()
  for (const endpoint of hostEndpoints) {
    const local = yield* selection.localOf(endpoint)
    endpoints.set(local.id, local)
    locals.set(endpoint, local)
  }
  const { byInterface, wildcard } = planHostEndpoints(hostEndpoints, known.interfaces, isWorkloadInterface)
  const host: PolicedHost = {
    settings: {
      ...policySettings(felix),
      isWorkloadInterface,
      implicit,
    },
    workloads,
    hostEndpoints: new Map([...byInterface].flatMap(([name, endpoint]) => entry(name, locals.get(endpoint)))),
    wildcard: wildcard && locals.get(wildcard),
    members: yield* relevantMembers(maps, addresses),
  }
  return { endpoints, host }
}

function entry<T>(name: string, value: T | undefined): readonly (readonly [string, T])[] {
  return value === undefined ? [] : [[name, value]]
}

class Selection {
  readonly #source: ExplainSource
  readonly #known = new Map<string, readonly Policy[]>()

  constructor(source: ExplainSource) {
    this.#source = source
  }

  *localOf(endpoint: WorkloadEndpoint | HostEndpoint): Generator<undefined, LocalEndpoint> {
    const { maps } = this.#source
    const labelled = labelledOf(endpoint)
    const local: LocalEndpoint = {
      id: endpointId(endpoint),
      tiers: orderPolicies(labelled === undefined ? [] : yield* this.#policiesOf(labelled), maps.get('Tier')),
      profiles: (endpoint.spec.profiles ?? []).map((name) => readProfile(name, maps.get('Profile').get(name))),
    }
    const link = endpoint.kind === 'WorkloadEndpoint' ? endpoint.spec.interfaceName : undefined
    return this.#source.closings?.applyTo(local, labelled, link) ?? local
  }

  *#policiesOf(labelled: Labelled): Generator<undefined, readonly Policy[]> {
    const { maps, read } = this.#source
    const key = JSON.stringify([Object.entries(labelled.labels).sort(), labelled.profiles])
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const selected: Policy[] = []
    for (const policy of read.policies) {
      if (selects(policy.selector, labelled, maps.get('Profile'))) selected.push(policy)
      yield
    }
    this.#known.set(key, selected)
    return selected
  }
}

/** Runs steps to their end at once: where nobody else waits. */
export function finish<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}
