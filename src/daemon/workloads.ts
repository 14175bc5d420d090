import { describeError, isTransient } from '../errors.ts'
import { workloadHandle } from '../ipam/handle.ts'
import type { Ipam } from '../ipam/ipam.ts'
import { keyOf } from '../kernel/objects.ts'
import type { Logger } from '../log.ts'
import type { AttachRequest, WorkloadReport } from '../model/own/api.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { ipOf } from '../net/cidr.ts'
import { attachWorkload, detachWorkload, endpointId, ORCHESTRATOR, type WorkloadHost, workloadOf } from '../plugins/workload.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import { getResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { workloadInterface, workloadMac } from '../workloads/interfaces.ts'
import type { Applied, Verdict } from './applied.ts'
import type { Attachments } from './attachments.ts'
import type { Planner } from './planner.ts'

/** What the workloads of this host are made of. */
export interface WorkloadParts {
  readonly node: string
  readonly store: Store
  readonly ipam: Ipam
  readonly log: Logger
  readonly attachments: Attachments
  readonly applied: Applied
  readonly planner: Planner
  readonly merger: Merger
  readonly reconciler: Reconciler
  /** Asks for a pass. */
  readonly wake: () => void
}

/** The workloads of this host: attached, shown and detached; two requests for one workload go one after the other. */
export class Workloads {
  readonly #parts: WorkloadParts
  readonly #host: WorkloadHost
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(parts: WorkloadParts) {
    this.#parts = parts
    const { attachments, wake, planner, applied } = parts
    this.#host = {
      node: parts.node,
      store: parts.store,
      ipam: parts.ipam,
      log: parts.log,
      interfaceName: workloadInterface,
      mac: workloadMac,
      attach: (endpoint, given) => {
        attachments.attach(endpoint, given)
        wake()
      },
      detach: (endpoint) => attachments.detach(endpoint),
      holderOf: (given) => attachments.holderOf(given),
      applied: (endpoint, revision, signal) => {
        const check = (): Verdict =>
          this.#revision() < revision || !planner.context?.endpoints.has(endpoint) ? 'waiting' : this.#verdict(endpoint)
        return this.#afterPass(applied.wait(`setting up ${endpoint}`, check, signal))
      },
      removed: (endpoint, signal) => this.#afterPass(applied.wait(`taking down ${endpoint}`, () => this.#removal(endpoint), signal)),
    }
  }

  list(): readonly WorkloadReport[] {
    const { context } = this.#parts.planner
    if (context === undefined) return []
    return [...context.endpoints].sort().flatMap((id) => {
      const endpoint = context.view.get('WorkloadEndpoint').get(id)
      return endpoint === undefined ? [] : [this.#report(id, endpoint)]
    })
  }

  get(namespace: string, name: string): WorkloadReport | undefined {
    return this.list().find((report) => report.namespace === namespace && report.name === name)
  }

  /** The handles of all workloads whose network namespaces are held here, whether or not their endpoints are still there. */
  standingHandles(): ReadonlySet<string> {
    const { attachments, node } = this.#parts
    const workloads = [...attachments.endpoints()].map((id) => workloadOf(node, id))
    return new Set(workloads.flatMap((workload) => (workload === undefined ? [] : [workloadHandle(workload.namespace, workload.name)])))
  }

  async attach(request: AttachRequest, signal: AbortSignal): Promise<WorkloadReport> {
    const id = endpointId(this.#parts.node, request.namespace, request.name)
    const endpoint = await this.#inTurn(id, () => attachWorkload(this.#host, request, signal))
    return this.#report(id, endpoint)
  }

  detach(namespace: string, name: string, signal: AbortSignal): Promise<boolean> {
    return this.#inTurn(endpointId(this.#parts.node, namespace, name), () => detachWorkload(this.#host, namespace, name, signal))
  }

  /** Takes up what a daemon that was killed in the middle of detaching left: the pin of an endpoint that is no more. */
  async forgetGone(signal: AbortSignal): Promise<void> {
    const { attachments, planner, log } = this.#parts
    for (const id of [...attachments.endpoints()]) {
      const { context } = planner
      if (context === undefined || context.view.get('WorkloadEndpoint').has(id) || this.#turns.has(id)) continue
      try {
        const isDone = await this.#inTurn(id, () => this.#forget(id, signal))
        if (isDone) log.info({ endpoint: id }, 'endpoint that was removed elsewhere is detached')
      } catch (error) {
        // What needs a store that is away is done when it is back; the follower says that it is away.
        const level = isTransient(error) ? 'debug' : 'warn'
        log[level]({ endpoint: id, reason: describeError(error) }, 'endpoint that was removed elsewhere could not be detached')
      }
    }
  }

  /** The store is asked, not the view: a saved view may be older than the endpoint. */
  async #forget(id: string, signal: AbortSignal): Promise<boolean> {
    const { attachments, store, node } = this.#parts
    const [namespace = '', endpoint = ''] = id.split('/')
    if ((await getResource(store, { kind: 'WorkloadEndpoint', namespace, name: endpoint }, signal)) !== undefined) return false
    const name = workloadOf(node, id)?.name
    if (name === undefined) attachments.detach(id)
    else await detachWorkload(this.#host, namespace, name, signal)
    return true
  }

  /** What is waited for may have been done by the pass before: another one looks. */
  #afterPass(waiting: Promise<void>): Promise<void> {
    this.#parts.wake()
    return waiting
  }

  #revision(): number {
    return this.#parts.planner.context?.view.revision ?? 0
  }

  /** Whether everything that the endpoint's plan wants stands. */
  #verdict(endpoint: string): Verdict {
    const { merger, reconciler, planner } = this.#parts
    const problem = planner.problemsOf(`endpoint/${endpoint}`)[0]
    if (problem !== undefined) return { reason: problem.replace(`endpoint ${endpoint}: `, '') }
    const part = merger.partOf(`endpoint/${endpoint}`)
    const wanted = new Set([
      ...(part?.links ?? []).map((value) => `links ${keyOf.links(value)}`),
      ...(part?.addresses ?? []).map((value) => `addresses ${keyOf.addresses(value)}`),
      ...(part?.routes ?? []).map((value) => `routes ${keyOf.routes(value)}`),
      ...(part?.sysctls ?? []).map((value) => `sysctls ${keyOf.sysctls(value)}`),
    ])
    const failure = reconciler.failures().find(({ table, key }) => wanted.has(`${table} ${key}`))
    return failure === undefined ? 'done' : { reason: this.#asGiven(endpoint, describeError(failure.error)) }
  }

  /** The kernel's words name the pin; who attached the workload knows the path or the process that was given. */
  #asGiven(endpoint: string, reason: string): string {
    const { attachments } = this.#parts
    const [pin, source] = [attachments.pins.get(endpoint), attachments.sourceOf(endpoint)]
    if (pin === undefined || source === undefined) return reason
    return reason.replaceAll(pin, 'path' in source ? source.path : `the network namespace of process ${source.pid}`)
  }

  #removal(endpoint: string): Verdict {
    const { planner, merger, reconciler, node } = this.#parts
    const { context } = planner
    if (context === undefined) return 'waiting'
    const isGone = !context.view.get('WorkloadEndpoint').has(endpoint) && merger.partOf(`endpoint/${endpoint}`) === undefined
    if (!isGone) return 'waiting'
    const name = workloadOf(node, endpoint)?.name
    const link = name === undefined ? undefined : workloadInterface(endpoint.split('/')[0] ?? '', name)
    const failure = reconciler.failures().find(({ table, key }) => table === 'links' && key === link)
    return failure === undefined ? 'done' : { reason: describeError(failure.error) }
  }

  #report(id: string, { metadata, spec }: WorkloadEndpoint): WorkloadReport {
    const { attachments } = this.#parts
    const source = attachments.sourceOf(id)
    const verdict = this.#verdict(id)
    const problem = attachments.problemOf(id) ?? (typeof verdict === 'object' ? verdict.reason : undefined)
    return {
      name: spec.orchestrator === ORCHESTRATOR ? (spec.workload ?? metadata.name) : metadata.name,
      namespace: metadata.namespace ?? 'default',
      orchestrator: spec.orchestrator ?? '',
      addresses: (spec.ipNetworks ?? []).map((network) => ipOf(network)),
      interface: spec.interfaceName ?? '',
      labels: metadata.labels ?? {},
      ...(source === undefined ? {} : { netns: 'path' in source ? source.path : `/proc/${source.pid}/ns/net` }),
      state: problem ?? 'up',
    }
  }

  async #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve()
    const turn = before.then(work, work)
    const settled = turn.catch(() => {})
    this.#turns.set(id, settled)
    try {
      return await turn
    } finally {
      if (this.#turns.get(id) === settled) this.#turns.delete(id)
    }
  }
}
