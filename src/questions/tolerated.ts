import type { PolicedHost } from '../policy/evaluate-path.ts'
import type { Compared } from './endpoint-changes.ts'
import { deniedBy, type HostFlow, passesWhileOpen } from './judge.ts'

/** Whether a host ends open connections that a change denies. */
export interface Revocation {
  /** `policy.revokeEstablished`. */
  readonly isWanted: boolean
  /** Something is on trial there: nothing ends until that is over. */
  readonly hasTrial: boolean
}

/** Why open connections go on that a change denies, in words; undefined: this one ends. As the host's daemon does it. */
export class Toleration {
  readonly #after: PolicedHost
  readonly #revocation: Revocation
  readonly #new: ReadonlySet<string>

  constructor({ before, after }: Compared<PolicedHost>, revocation: Revocation) {
    this.#after = after
    this.#revocation = revocation
    this.#new = newHostEndpoints(hostEndpointKeys(before).keys(), after)
  }

  whyGoesOn(flow: HostFlow): string | undefined {
    // What tracking does not know counts as new, and rules before it see each packet alone.
    if (flow.isTracked === false || !passesWhileOpen(this.#after, flow)) return undefined
    if (!this.#revocation.isWanted) return 'policy.revokeEstablished is false there'
    const endpoint = deniedBy(this.#after, flow)
    if (endpoint !== undefined && this.#new.has(endpoint)) return `it is older than ${endpoint}`
    return this.#revocation.hasTrial ? 'until the trial that runs there is over' : undefined
  }
}

/** The host endpoints that are there now and were not, or not on that interface: what was open before them they leave alone. */
export function newHostEndpoints(before: Iterable<string>, now: PolicedHost): ReadonlySet<string> {
  const known = new Set(before)
  return new Set([...hostEndpointKeys(now)].flatMap(([key, id]) => (known.has(key) ? [] : [id])))
}

/** Which host endpoints there are and of which interfaces: their ids, by both in one word. */
export function hostEndpointKeys({ hostEndpoints, wildcard }: PolicedHost): ReadonlyMap<string, string> {
  const named = [...hostEndpoints].map(([link, { id }]) => [`${link} ${id}`, id] as const)
  return new Map(wildcard === undefined ? named : [...named, [`* ${wildcard.id}`, wildcard.id]])
}
