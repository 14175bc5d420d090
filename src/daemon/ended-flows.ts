import type { NftablesTable } from '../kernel/nftables/table.ts'
import { Pace } from '../kernel/pace.ts'
import { FAMILIES, type Family } from '../net/ip.ts'
import type { Flow } from '../policy/flow.ts'
import { hasTombstones, TOMBSTONE_MS, TOMBSTONE_SETS, type Tombstone, tombstonesOf } from '../policy/tombstones.ts'

/** Flows that were ended, as long as their tombstones stand in the kernel. */
export class EndedFlows {
  readonly #table: Pick<NftablesTable, 'changeTimed' | 'listTimed'>
  readonly #flows: Set<Flow>
  /** When the latest came; undefined: not with this daemon. */
  #addedMs: number | undefined

  constructor(table: Pick<NftablesTable, 'changeTimed' | 'listTimed'>, flows: readonly Flow[]) {
    this.#table = table
    this.#flows = new Set(flows)
  }

  get size(): number {
    return this.#flows.size
  }

  /** Whether the kernel may have let go of all: to list thousands of elements costs it more than to put them there. */
  get mayBeOver(): boolean {
    return this.size === 0 || this.#addedMs === undefined || performance.now() - this.#addedMs >= TOMBSTONE_MS
  }

  flows(): Iterable<Flow> {
    return this.#flows
  }

  /** Their packets end here from now on. */
  async add(flows: readonly Flow[]): Promise<void> {
    for (const [family, elements] of byFamily(flows)) {
      await this.#table.changeTimed(TOMBSTONE_SETS[family], { put: { elements, timeoutMs: TOMBSTONE_MS, isKept: true } })
    }
    for (const flow of flows) if (hasTombstones(flow)) this.#flows.add(flow)
    this.#addedMs = performance.now()
  }

  /** Lets those that may go on begin again. */
  async release(isAllowed: (flow: Flow) => boolean): Promise<void> {
    const released = await filterPaced(this.#flows, isAllowed)
    for (const [family, elements] of byFamily(released)) await this.#table.changeTimed(TOMBSTONE_SETS[family], { remove: elements })
    for (const flow of released) this.#flows.delete(flow)
  }

  /** Forgets those of which the kernel has no tombstone any more; gives how many are left. */
  async forgetExpired(signal: AbortSignal): Promise<number> {
    const there: Record<Family, ReadonlyMap<string, number>> = { 4: new Map(), 6: new Map() }
    for (const family of FAMILIES) there[family] = await this.#table.listTimed(TOMBSTONE_SETS[family], signal)
    const isGone = (flow: Flow) => !tombstonesOf(flow).some((tombstone) => there[flow.family].has(tombstone.join()))
    for (const flow of await filterPaced(this.#flows, isGone)) this.#flows.delete(flow)
    return there[4].size + there[6].size
  }
}

/** Gives way to others in between: there may be tens of thousands. */
async function filterPaced(flows: ReadonlySet<Flow>, isWanted: (flow: Flow) => boolean): Promise<readonly Flow[]> {
  const found: Flow[] = []
  const pace = new Pace()
  for (const flow of flows) {
    if (isWanted(flow)) found.push(flow)
    if (pace.isDue) await pace.giveWay()
  }
  return found
}

/** The tombstones of all, of the families that have any. */
function byFamily(flows: readonly Flow[]): ReadonlyMap<Family, readonly Tombstone[]> {
  const all = new Map<Family, Tombstone[]>()
  for (const flow of flows) {
    const tombstones = tombstonesOf(flow)
    if (tombstones.length === 0) continue
    const known = all.get(flow.family)
    if (known === undefined) all.set(flow.family, [...tombstones])
    else known.push(...tombstones)
  }
  return all
}
