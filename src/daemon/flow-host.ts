import type { Interface } from '../kernel/table.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { planHostEndpoints } from '../policy/host-endpoints.ts'
import { WORKLOAD_PREFIX } from '../workloads/interfaces.ts'
import type { FlowHost, InterfaceOwner } from './flow-event.ts'
import type { PlanContext } from './plan-context.ts'

const DEFAULT_LOG_PREFIX = 'calico-packet'

/** Whose the interfaces of this host are, as the last plan knew them. */
export class FlowHosts implements FlowHost {
  readonly #context: () => PlanContext | undefined
  readonly #names = new Map<number, string>()
  #known: { readonly context: PlanContext; readonly revision: number; readonly owners: Owners } | undefined

  constructor(context: () => PlanContext | undefined) {
    this.#context = context
  }

  get logPrefix(): string {
    return this.#context()?.felix.logPrefix ?? DEFAULT_LOG_PREFIX
  }

  /** Takes note of the interfaces as they are; those that are gone are remembered as they were. */
  note(interfaces: readonly Pick<Interface, 'name' | 'index'>[]): void {
    for (const { name, index } of interfaces) this.#names.set(index, name)
  }

  interfaceName(index: number): string | undefined {
    return this.#names.get(index)
  }

  ownerOf(name: string, isHostEndpoint: boolean): InterfaceOwner {
    const owners = this.#owners()
    if (owners === undefined) return {}
    if (!isHostEndpoint) return owners.workloads.get(name) ?? {}
    return owners.hostEndpoints.get(name) ?? owners.wildcard ?? {}
  }

  /** Made anew with each revision of the store, and only if somebody asks. */
  #owners(): Owners | undefined {
    const context = this.#context()
    if (context === undefined) return undefined
    const { revision } = context.view
    if (this.#known?.context !== context || this.#known.revision !== revision)
      this.#known = { context, revision, owners: ownersOf(context) }
    return this.#known.owners
  }
}

/** A workload as it is told of. */
export function ownerOfWorkload({ metadata, spec }: WorkloadEndpoint): InterfaceOwner {
  return { endpoint: `${metadata.namespace ?? ''}/${spec.workload ?? spec.pod ?? metadata.name}`, endpointKind: 'WorkloadEndpoint' }
}

interface Owners {
  readonly workloads: ReadonlyMap<string, InterfaceOwner>
  readonly hostEndpoints: ReadonlyMap<string, InterfaceOwner>
  readonly wildcard: InterfaceOwner | undefined
}

function ownersOf({ view, facts, endpoints }: PlanContext): Owners {
  const workloads = new Map<string, InterfaceOwner>()
  for (const id of endpoints) {
    const endpoint = view.get('WorkloadEndpoint').get(id)
    if (endpoint === undefined) continue
    const { interfaceName } = endpoint.spec
    if (interfaceName) workloads.set(interfaceName, ownerOfWorkload(endpoint))
  }
  const own = [...view.get('HostEndpoint').values()].filter(({ spec }) => spec.node === facts.node)
  const isWorkload = (name: string) => name.startsWith(WORKLOAD_PREFIX) || workloads.has(name)
  const { byInterface, wildcard } = planHostEndpoints(own, facts.interfaces, isWorkload)
  const named = (endpoint: HostEndpoint): InterfaceOwner => ({ endpoint: endpoint.metadata.name, endpointKind: 'HostEndpoint' })
  return {
    workloads,
    hostEndpoints: new Map([...byInterface].map(([name, endpoint]) => [name, named(endpoint)])),
    wildcard: wildcard && named(wildcard),
  }
}
