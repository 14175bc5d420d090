import type { Decider, FlowLine } from '../model/own/flows.ts'
import type { Flow } from '../policy/flow.ts'
import type { Denial, DeniedFlow } from '../policy/judge-flows.ts'
import { type InterfaceOwner, protocolName } from './flow-event.ts'
import { ownerOfWorkload } from './flow-host.ts'
import type { PlanContext } from './plan-context.ts'

/** So many of the connections that one change ends are told of one by one: the others were to read theirs, too. */
export const MOST_TOLD = 100

/** Tells of the connections that one change ends: of the first of them, and how many there were more. */
export class EndedEvents {
  readonly #tell: (line: FlowLine) => void
  readonly #view: PlanContext['view'] | undefined
  #count = 0

  constructor(tell: (line: FlowLine) => void, view: PlanContext['view'] | undefined) {
    this.#tell = tell
    this.#view = view
  }

  add(ended: readonly DeniedFlow<Flow>[]): void {
    const time = new Date().toISOString()
    for (const { flow, because } of ended.slice(0, Math.max(0, MOST_TOLD - this.#count))) {
      const { direction, by } = because
      const { protocol, ...ends } = flow.original
      const decider = deciderOf(because)
      this.#tell({
        ...{ type: 'ended', time, ...(direction && { direction }), ...this.#ownerOf(because), ...(decider && { decider }), by },
        ...{ protocol: protocolName(protocol), ...ends },
      })
    }
    this.#count += ended.length
  }

  /** That was all. */
  finish(): void {
    if (this.#count > MOST_TOLD) this.#tell({ type: 'ended-more', time: new Date().toISOString(), flows: this.#count - MOST_TOLD })
  }

  #ownerOf({ endpoint = '' }: Denial): InterfaceOwner {
    const [kind, id] = splitOnce(endpoint)
    if (kind === 'HostEndpoint') return { endpoint: id, endpointKind: kind }
    const workload = this.#view?.get('WorkloadEndpoint').get(id)
    return workload === undefined ? {} : ownerOfWorkload(workload)
  }
}

function deciderOf({ policy, profile, tier = '', rule = -1, by, isMissing, closed }: Denial): Decider | undefined {
  if (closed !== undefined) return { by: 'closed', ...closed, action: 'Deny' }
  if (isMissing) return { by: 'missing-profile', kind: 'Profile', ...(profile && { name: profile }), action: 'Deny' }
  if (policy !== undefined) {
    const [name = '', namespace = '', kind = ''] = policy.split('/')
    return { by: 'policy', kind, ...(namespace === '' ? {} : { namespace }), name, tier, rule, action: 'Deny' }
  }
  if (profile !== undefined) return { by: 'profile', kind: 'Profile', name: profile, rule, action: 'Deny' }
  if (tier !== '') return { by: 'tier', tier, action: 'Deny' }
  if (by === 'no profile allows it') return { by: 'end', action: 'Deny' }
  return by === 'defaultEndpointToHostAction' ? { by: 'endpoint-to-host', action: 'Deny' } : undefined
}

function splitOnce(text: string): readonly [string, string] {
  const at = text.indexOf('/')
  return [text.slice(0, at), text.slice(at + 1)]
}
