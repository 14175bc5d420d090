import { keyOf, type NftObject } from '../kernel/objects.ts'
import type { Pieces } from './chains.ts'
import {
  type DispatchInput,
  type DispatchSettings,
  FORWARD_FROM_WORKLOAD,
  FROM_WORKLOADS,
  type KnownChains,
  planDispatch,
  planWorkload,
  TO_WORKLOADS,
  type WorkloadChain,
  type WorkloadState,
} from './dispatch.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { HeldPieces } from './held-pieces.ts'
import { KeptObjects } from './kept-objects.ts'
import type { ListCompiler } from './lists.ts'
import { WorkloadMaps } from './workload-maps.ts'

/** A workload of this host, by its interface. */
export interface LocalWorkload {
  readonly link: string
  readonly endpoint: LocalEndpoint
}

/** With what rules are made. */
export interface Making {
  readonly settings: DispatchSettings
  readonly lists: ListCompiler
}

/** The owner of the pieces of the base chains: no workload has this id. */
export const BASES = ''

/**
 * The rule set of a host's endpoints, kept up endpoint by endpoint: what is told takes the place of what was, and what nobody refers to
 * any more goes. What it comes to does not depend on the order in which it was told.
 */
export class Ruleset {
  readonly objects = new KeptObjects()
  readonly held = new HeldPieces(this.objects)
  readonly #maps = new WorkloadMaps()
  readonly #chains: KnownChains = new WeakMap()
  readonly #workloads = new Map<string, readonly WorkloadChain[]>()
  #bases: Pieces | undefined
  #baseObjects: readonly NftObject[] = []
  #hasMaps = false
  /** Ids of workloads that are not open in both directions. */
  readonly #restricted = new Set<string>()

  /** What the base chains must know of the workloads. */
  get workloads(): WorkloadState {
    if (this.#restricted.size > 0) return 'restricted'
    return this.#workloads.size > 0 ? 'open' : 'none'
  }

  /** Takes over the host endpoints. */
  setHostEndpoints(input: DispatchInput, lists: ListCompiler): void {
    const { bases, pieces } = planDispatch(input, lists)
    this.held.hold(pieces, BASES)
    if (this.#bases) this.held.release(this.#bases, BASES)
    this.#bases = pieces
    this.#hasMaps = bases.some(({ name }) => name === FORWARD_FROM_WORKLOAD)
    const now = new Set(bases.map(keyOf.policy))
    for (const before of this.#baseObjects.map(keyOf.policy)) if (!now.has(before)) this.objects.delete(before)
    for (const chain of bases) this.objects.put(chain)
    this.#baseObjects = bases
  }

  /** Takes over a workload as it is now; undefined: it is gone. */
  *setWorkload(id: string, workload: LocalWorkload | undefined, { settings, lists }: Making): Generator<undefined, void> {
    if (!workload) {
      this.#replace(id, [])
      this.#maps.set(id, undefined)
      return
    }
    const { endpoint, link } = workload
    const egress = yield* planWorkload({ endpoint, direction: 'egress', settings }, lists, this.#chains)
    const ingress = yield* planWorkload({ endpoint, direction: 'ingress', settings }, lists, this.#chains)
    this.#replace(id, [egress, ingress])
    this.#maps.set(id, { link, chains: { egress: egress.chain, ingress: ingress.chain } })
  }

  /** Whose rules name one of these sets. */
  usersOf(sets: ReadonlySet<string>, lists: ListCompiler): ReadonlySet<string> {
    const users = new Set<string>()
    for (const user of this.held.usersOf(sets)) {
      if (typeof user === 'string') users.add(user)
      else lists.forget(user)
    }
    return users
  }

  /** Ends a change: what nobody refers to goes. */
  settle(lists: ListCompiler): void {
    for (const pieces of this.held.settle()) lists.forget(pieces)
    lists.sweep((list) => this.held.isHeld(list))
    const maps = this.#maps.settle()
    if (this.#hasMaps) for (const map of maps) this.objects.put(map)
    else for (const name of [FROM_WORKLOADS, TO_WORKLOADS]) this.objects.delete(`set ${name}`)
  }

  /** What is new is held before what was is released: what both refer to stays. */
  #replace(id: string, chains: readonly WorkloadChain[]): void {
    const before = this.#workloads.get(id) ?? []
    for (const one of chains) this.held.hold(one, id)
    for (const one of before) if (!chains.includes(one)) this.held.release(one, id)
    if (chains.every(({ isOpen }) => isOpen)) this.#restricted.delete(id)
    else this.#restricted.add(id)
    if (chains.length > 0) this.#workloads.set(id, chains)
    else this.#workloads.delete(id)
  }
}
