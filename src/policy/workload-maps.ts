import type { NftSet } from '../kernel/objects.ts'
import { SharedSet } from '../net/shared-set.ts'
import { FROM_WORKLOADS, TO_WORKLOADS } from './dispatch.ts'
import type { Direction } from './policies.ts'

/** Where packets of a workload's interface are sent on to: the name of a chain for each direction. */
export type WorkloadChains = Readonly<Record<Direction, string>>

/** A workload's interface, and its chains. */
interface Claim {
  readonly link: string
  readonly chains: WorkloadChains
}

const MAPS: Readonly<Record<Direction, string>> = { egress: FROM_WORKLOADS, ingress: TO_WORKLOADS }
const DIRECTIONS: readonly Direction[] = ['egress', 'ingress']

/** The maps from interfaces to the chains of workloads: a workload that changes costs its own elements, not all. */
export class WorkloadMaps {
  readonly #claims = new Map<string, Claim>()
  /** The workloads of an interface: there should be one. */
  readonly #byLink = new Map<string, Set<string>>()
  /** What each interface has in the maps. */
  readonly #entries = new Map<string, WorkloadChains>()
  readonly #changed = new Set<string>()
  #maps: Readonly<Record<Direction, ReturnType<typeof mapOf>>> = { egress: mapOf('egress', NOTHING), ingress: mapOf('ingress', NOTHING) }

  /** Takes over a workload's interface and chains; undefined: it is gone. */
  set(id: string, claim: Claim | undefined): void {
    const before = this.#claims.get(id)
    if (before) {
      this.#byLink.get(before.link)?.delete(id)
      this.#changed.add(before.link)
      this.#claims.delete(id)
    }
    if (!claim) return
    this.#claims.set(id, claim)
    const siblings = this.#byLink.get(claim.link)
    if (siblings) siblings.add(id)
    else this.#byLink.set(claim.link, new Set([id]))
    this.#changed.add(claim.link)
  }

  /** The maps as they are now; one that did not change is the same object. */
  settle(): readonly NftSet[] {
    const changed = [...this.#changed].map((link) => ({ link, before: this.#entries.get(link), now: this.#chainsOf(link) }))
    this.#changed.clear()
    for (const { link, now } of changed) {
      if (now) this.#entries.set(link, now)
      else this.#entries.delete(link)
    }
    for (const direction of DIRECTIONS) {
      const gone = changed.flatMap(({ link, before }) => (before ? [`${link} goto ${before[direction]}`] : []))
      const come = new Set(changed.flatMap(({ link, now }) => (now ? [`${link} goto ${now[direction]}`] : [])))
      const { elements } = this.#maps[direction]
      const news = [...gone, ...come].filter((element) => elements.has(element) !== come.has(element))
      if (news.length === 0) continue
      const next = elements.change(news, (element) => come.has(element))
      this.#maps = { ...this.#maps, [direction]: mapOf(direction, next) }
    }
    return DIRECTIONS.map((direction) => this.#maps[direction])
  }

  /** Two that claim an interface are a mistake of somebody's; the one whose id sorts first has it, whoever came first. */
  #chainsOf(link: string): WorkloadChains | undefined {
    const claimants = this.#byLink.get(link)
    if (claimants?.size === 0) this.#byLink.delete(link)
    const [first] = claimants && claimants.size > 1 ? [...claimants].sort() : (claimants ?? [])
    return first === undefined ? undefined : this.#claims.get(first)?.chains
  }
}

const NOTHING = new SharedSet<string>(new Set())

function mapOf(direction: Direction, elements: SharedSet<string>) {
  return { kind: 'set', name: MAPS[direction], key: 'interface', family: 4, isInterval: false, isMap: true, elements } as const
}
