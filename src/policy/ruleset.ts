import { keyOf, type NftObject } from '../kernel/objects.ts'
import type { Pieces } from './chains.ts'
import {
  type DispatchInput,
  type DispatchSettings,
  FORWARD_FROM_WORKLOAD,
  FROM_WORKLOADS,
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

/** The name under which pieces of the base chains are known: no workload has it. */
export const BASES = ''

/**
 * The rule set of a host's endpoints, kept up endpoint by endpoint: what is told takes the place of what was, and what nobody refers to
 * any more goes. What it comes to does not depend on the order in which it was told.
 */
export class Ruleset {
  readonly objects = new KeptObjects()
  readonly held = new HeldPieces(this.objects)
  readonly #maps = new WorkloadMaps()
  readonly #workloads = new Map<string, readonly WorkloadChain[]>()
  /** Whose each of the held pieces is: a workload's id, or `BASES`. */
  readonly #owners = new Map<Pieces, string>()
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
    this.#hold(BASES, pieces)
    if (this.#bases) this.#release(this.#bases)
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
    const egress = yield* planWorkload({ endpoint, direction: 'egress', settings }, lists)
    const ingress = yield* planWorkload({ endpoint, direction: 'ingress', settings }, lists)
    this.#replace(id, [egress, ingress])
    this.#maps.set(id, { link, chains: { egress: egress.chain, ingress: ingress.chain } })
  }

  /** Whose rules name one of these sets. */
  usersOf(sets: ReadonlySet<string>, lists: ListCompiler): ReadonlySet<string> {
    const users = new Set<string>()
    for (const pieces of this.held.usersOf(sets)) {
      lists.forget(pieces)
      const owner = this.#owners.get(pieces)
      if (owner !== undefined) users.add(owner)
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
    for (const one of chains) this.#hold(id, one)
    for (const one of before) this.#release(one)
    if (chains.every(({ isOpen }) => isOpen)) this.#restricted.delete(id)
    else this.#restricted.add(id)
    if (chains.length > 0) this.#workloads.set(id, chains)
    else this.#workloads.delete(id)
  }

  #hold(owner: string, pieces: Pieces): void {
    this.held.hold(pieces)
    this.#owners.set(pieces, owner)
  }

  #release(pieces: Pieces): void {
    this.held.release(pieces)
    this.#owners.delete(pieces)
  }
}
