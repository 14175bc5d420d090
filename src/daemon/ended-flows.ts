import type { NftablesTable } from '../kernel/nftables/table.ts'
import { Pace } from '../kernel/pace.ts'
import { FAMILIES, type Family } from '../net/ip.ts'
import type { Flow } from '../policy/flow.ts'
import { TOMBSTONE_MS, TOMBSTONE_SETS, type Tombstone, tombstonesOf } from '../policy/tombstones.ts'

/** Flows that were ended, as long as their tombstones stand in the kernel. */
export class EndedFlows {
  readonly #table: Pick<NftablesTable, 'changeTimed' | 'listTimed'>
  readonly #flows: Set<Flow>

  constructor(table: Pick<NftablesTable, 'changeTimed' | 'listTimed'>, flows: readonly Flow[]) {
    this.#table = table
    this.#flows = new Set(flows)
  }

  get size(): number {
    return this.#flows.size
  }

  flows(): Iterable<Flow> {
    return this.#flows
  }

  /** Their packets end here from now on. */
  async add(flows: readonly Flow[]): Promise<void> {
    for (const [family, elements] of byFamily(flows)) {
      await this.#table.changeTimed(TOMBSTONE_SETS[family], { put: { elements, timeoutMs: TOMBSTONE_MS, isKept: true } })
    }
    for (const flow of flows) if (tombstonesOf(flow).length > 0) this.#flows.add(flow)
  }

  /** Lets those that may go on begin again. */
  async release(isAllowed: (flow: Flow) => boolean, signal: AbortSignal): Promise<void> {
    const released = await filterPaced(this.#flows, isAllowed)
    for (const [family, elements] of byFamily(released)) {
      const there = await this.#table.listTimed(TOMBSTONE_SETS[family], signal)
      await this.#table.changeTimed(TOMBSTONE_SETS[family], { remove: elements.filter((element) => there.has(element)) })
    }
    for (const flow of released) this.#flows.delete(flow)
  }

  /** Forgets those of which the kernel has no tombstone any more; gives how many are left. */
  async forgetExpired(signal: AbortSignal): Promise<number> {
    const there: Record<Family, ReadonlyMap<string, number>> = { 4: new Map(), 6: new Map() }
    for (const family of FAMILIES) there[family] = await this.#table.listTimed(TOMBSTONE_SETS[family], signal)
    const isGone = (flow: Flow) => !tombstonesOf(flow).some(({ family, element }) => there[family].has(element))
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

function byFamily(flows: readonly Flow[]): readonly (readonly [Family, readonly string[]])[] {
  const all: readonly Tombstone[] = flows.flatMap(tombstonesOf)
  const ofFamily = (wanted: Family) => all.filter(({ family }) => family === wanted).map(({ element }) => element)
  return FAMILIES.map((family) => [family, ofFamily(family)] as const).filter(([, elements]) => elements.length > 0)
}
