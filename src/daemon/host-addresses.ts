import { FAMILIES, familyOf, type Ip } from '../net/ip.ts'
import { HOST_SETS } from '../policy/frame.ts'
import type { Merger } from '../reconcile/merge.ts'

/** The addresses of the hosts of the network as the rules of this host have them: what hosts need of each other is let through between them. */
export class HostAddresses {
  readonly #merger: Pick<Merger, 'tables'>
  #sets: readonly ReadonlySet<string>[] = []
  #version = 0

  constructor(merger: Pick<Merger, 'tables'>) {
    this.#merger = merger
  }

  /** Another number whenever they are others. */
  get version(): number {
    const sets = FAMILIES.map((family) => this.#setOf(HOST_SETS[family]))
    if (sets.some((set, i) => !isSame(set, this.#sets[i]))) this.#version++
    this.#sets = sets
    return this.#version
  }

  has(ip: Ip): boolean {
    return this.#setOf(HOST_SETS[familyOf(ip)]).has(ip)
  }

  #setOf(name: string): ReadonlySet<string> {
    const set = this.#merger.tables.policy.get(`set ${name}`)
    return set?.kind === 'set' ? set.elements : NONE
  }
}

const NONE: ReadonlySet<string> = new Set()

function isSame(a: ReadonlySet<string>, b: ReadonlySet<string> | undefined): boolean {
  return a === b || (a.size === b?.size && [...a].every((one) => b.has(one)))
}
