import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Profile } from '../model/profile.ts'
import { closedBecause, closedHostEndpoint } from '../policy/closed.ts'
import type { LocalEndpoint } from '../policy/evaluate.ts'
import { endpointId, type ResourceMaps, type UnreadableResource } from '../policy/explain-host.ts'
import type { Labelled } from '../policy/labelled.ts'
import { selects } from '../policy/members.ts'

/** Endpoints of a host that are closed: by a resource that does not parse, or because the kernel does not take their rules. */
export class Closings {
  readonly #unreadable: readonly UnreadableResource[]
  readonly #profiles: ReadonlyMap<string, Profile>
  readonly #refused: ReadonlyMap<string, string>

  constructor(maps: ResourceMaps, refused: ReadonlyMap<string, string> = new Map()) {
    this.#unreadable = [...(maps.unreadable?.values() ?? [])]
    this.#profiles = maps.get('Profile')
    this.#refused = refused
  }

  /** Host endpoints of the node that do not parse. */
  hostEndpoints(node: string): readonly HostEndpoint[] {
    return this.#unreadable.flatMap(({ id, reach }) => (reach?.of === 'host' && reach.node === node ? [closedHostEndpoint(id, reach)] : []))
  }

  /** The endpoint as it is, or closed; `link` is the interface of a workload. */
  applyTo(endpoint: LocalEndpoint, labelled: Labelled | undefined, link?: string): LocalEndpoint {
    const refused = this.#refused.get(link ?? '')
    if (refused !== undefined) return closedBecause(endpoint.id, `the kernel does not take its rules: ${refused}`)
    const cause = this.#unreadable.find((one) => this.#closes(one, endpoint, labelled))
    return cause === undefined ? endpoint : closedBecause(endpoint.id, `${cause.kind} ${cause.id} does not parse: ${cause.reason}`)
  }

  #closes({ id, reach }: UnreadableResource, { id: endpoint, tiers, profiles }: LocalEndpoint, labelled: Labelled | undefined): boolean {
    switch (reach?.of) {
      case 'tier':
        return tiers.some(({ name }) => name === reach.name)
      case 'profile':
        return profiles.some(({ name }) => name === reach.name)
      case 'endpoints':
        return labelled !== undefined && selects(reach.selector, labelled, this.#profiles)
      case 'host':
        return endpoint === endpointId(closedHostEndpoint(id, reach))
      case undefined:
        return false
    }
  }
}
