import { ConflictError, describeError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import { autoChanges, orphans, planAutoHostEndpoints } from '../policy/auto-host-endpoints.ts'
import { createResource, removeResource, updateResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import type { Change, View } from '../store/view.ts'
import { pause, Wake } from './wake.ts'

/** What the keeper is made of. */
export interface AutoHostEndpointParts {
  readonly node: string
  readonly store: Store
  readonly log: Logger
}

/**
 * Keeps the host endpoints that this host makes for itself where KubeControllersConfiguration asks for them. What others made, under
 * whatever name, is never touched. Those of hosts that are gone are removed by the first, by name, of the hosts that are alive.
 */
export class AutoHostEndpoints {
  readonly #parts: AutoHostEndpointParts
  readonly #wake = new Wake()
  #view: View | undefined
  #problem: string | undefined

  constructor(parts: AutoHostEndpointParts) {
    this.#parts = parts
  }

  /** What is not as it is asked for, in words. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Takes note of a pass: the view is the store's own, not one from disk. */
  note(view: View, changes: readonly Change[]): void {
    const isFirst = this.#view === undefined
    this.#view = view
    if (isFirst || changes.some((change) => this.#concerns(change, view))) this.#wake.set()
  }

  /** Runs until the signal aborts; what fails is tried again each second. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wake.wait(signal)
      if (signal.aborted || this.#view === undefined) continue
      try {
        this.#problem = await this.#write(this.#view, signal)
      } catch (error) {
        if (signal.aborted) return
        const problem = `automatic host endpoints could not be brought up to date: ${describeError(error)}`
        if (problem !== this.#problem) this.#parts.log.warn({ err: error }, 'automatic host endpoints not brought up to date, trying again')
        this.#problem = problem
        this.#wake.set()
        await pause(1000, signal)
      }
    }
  }

  /** Of other hosts only that they are gone: with thousands of them something of them changes all the time. */
  #concerns({ kind, id }: Change, view: View): boolean {
    if (kind === 'Node' || kind === 'Live') return id === this.#parts.node || !view.get(kind).has(id)
    return kind === 'HostEndpoint' || kind === 'KubeControllersConfiguration'
  }

  async #write(view: View, signal: AbortSignal): Promise<string | undefined> {
    const { node } = this.#parts
    const record = view.get('Node').get(node)
    const existing = view.get('HostEndpoint')
    // Without a record of ours nothing is known of us, and nothing is to be removed for that.
    if (record === undefined) return this.#problem
    const wanted = planAutoHostEndpoints(record, view.get('KubeControllersConfiguration').get('default'))
    const { create, update, remove, taken } = autoChanges(node, wanted, existing)
    for (const one of create) await this.#put(createResource, one, 'host endpoint created', signal)
    for (const one of update) await this.#put(updateResource, one, 'host endpoint updated', signal)
    const gone = this.#isFirstAlive(view) ? orphans(existing.values(), view.get('Node')) : []
    for (const one of [...remove, ...gone]) await this.#remove(one, signal)
    if (taken.length === 0) return undefined
    return `host endpoint ${taken.join(', ')} would be made by margay, and somebody else has made one of that name: it is left alone`
  }

  #isFirstAlive(view: View): boolean {
    const { node } = this.#parts
    return ![...view.get('Live').keys()].some((other) => other < node)
  }

  async #put(write: typeof createResource, one: HostEndpoint, message: string, signal: AbortSignal): Promise<void> {
    await this.#unlessChanged(() => write(this.#parts.store, one, signal), one, message)
  }

  async #remove({ metadata, ...one }: HostEndpoint, signal: AbortSignal): Promise<void> {
    const revision = Number(metadata.resourceVersion)
    const ref = { kind: 'HostEndpoint', name: metadata.name, revision } as const
    await this.#unlessChanged(() => removeResource(this.#parts.store, ref, signal), { metadata, ...one }, 'host endpoint removed')
  }

  /** Where somebody else was faster the change comes by the view, and this is looked at again. */
  async #unlessChanged(work: () => Promise<unknown>, { metadata }: HostEndpoint, message: string): Promise<void> {
    try {
      await work()
      this.#parts.log.info({ endpoint: metadata.name }, message)
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error
    }
  }
}
