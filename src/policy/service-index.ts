import type { Service } from '../model/own/service.ts'
import { isMember, serviceMembers } from '../model/own/service-members.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { parseProtocol } from '../net/port.ts'
import type { ServicePort } from './members.ts'

/** A Service with what each of its workload endpoints adds to it. */
interface KnownService {
  readonly service: Service
  readonly ends: Map<string, readonly ServicePort[]>
}

/** What is known of one namespace: a Service takes workloads of its own namespace only. */
interface Namespace {
  readonly services: Map<string, KnownService>
  readonly endpoints: Map<string, WorkloadEndpoint>
}

/**
 * What stands behind each Service, at the cost of what changed: an endpoint is asked by the Services of its namespace, a Service asks the
 * endpoints of it. A Service without ports has nothing behind it that a rule could name. Ids are `<namespace>/<name>`.
 */
export class ServiceIndex {
  readonly #namespaces = new Map<string, Namespace>()
  readonly #changed = new Set<string>()

  /** Whether it was told of any endpoint that is there. */
  get hasEndpoints(): boolean {
    for (const { endpoints } of this.#namespaces.values()) if (endpoints.size > 0) return true
    return false
  }

  /** Takes note of a Service as it is now; undefined: it is gone. */
  setService(id: string, service: Service | undefined): void {
    const { services, endpoints } = this.#namespaceOf(id)
    this.#changed.add(id)
    if (service === undefined) {
      services.delete(id)
      return
    }
    const known: KnownService = { service, ends: new Map() }
    services.set(id, known)
    for (const [endpointId, endpoint] of endpoints) if (isMember(service, endpoint)) known.ends.set(endpointId, endsOf(service, endpoint))
  }

  /** Takes note of a workload endpoint as it is now; undefined: it is gone. */
  setEndpoint(id: string, endpoint: WorkloadEndpoint | undefined): void {
    const { services, endpoints } = this.#namespaceOf(id)
    if (endpoint === undefined) endpoints.delete(id)
    else endpoints.set(id, endpoint)
    for (const [serviceId, { service, ends }] of services) {
      const isIn = endpoint !== undefined && isMember(service, endpoint)
      if (!isIn && !ends.has(id)) continue
      if (isIn) ends.set(id, endsOf(service, endpoint))
      else ends.delete(id)
      this.#changed.add(serviceId)
    }
  }

  /** What stands behind each Service that may have changed since the last time; undefined: it is gone. */
  takeChanges(): ReadonlyMap<string, readonly ServicePort[] | undefined> {
    const changes = new Map([...this.#changed].map((id) => [id, this.endsOf(id)]))
    this.#changed.clear()
    return changes
  }

  /** What stands behind a Service, undefined if there is none of this id. */
  endsOf(id: string): readonly ServicePort[] | undefined {
    const known = this.#namespaceOf(id).services.get(id)
    return known && [...known.ends.values()].flat()
  }

  #namespaceOf(id: string): Namespace {
    const name = id.slice(0, id.indexOf('/'))
    const known = this.#namespaces.get(name) ?? { services: new Map(), endpoints: new Map() }
    this.#namespaces.set(name, known)
    return known
  }
}

function endsOf(service: Service, endpoint: WorkloadEndpoint): readonly ServicePort[] {
  return serviceMembers(service, [endpoint]).flatMap(({ addresses, ports }) =>
    addresses.flatMap((address) => ports.map(({ protocol, port }) => ({ address, protocol: parseProtocol(protocol), port }))),
  )
}
