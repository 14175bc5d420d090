import type { Profile } from '../model/profile.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import type { Selector } from '../model/selector-parse.ts'
import { cidrContains } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { AddressSet } from './address-set.ts'
import { type Labelled, type NamedPort, namedPorts } from './labelled.ts'

/** Tells who is in the sets that rules name. */
export interface Members {
  /** Whether the address is in the set; for a set with ports, with this protocol and port. */
  has(set: AddressSet, ip: Ip, protocol: number, port: number | undefined): boolean
}

/** An address with one port that a Service stands for. */
export interface ServicePort extends Omit<NamedPort, 'name'> {
  readonly address: Ip
}

/** All that members are found in. */
export interface MemberSource {
  readonly labelled: Iterable<Labelled>
  readonly profiles: ReadonlyMap<string, Profile>
  /** What stands behind the Services, by `<namespace>/<name>`. */
  readonly services?: ReadonlyMap<string, readonly ServicePort[]>
}

/**
 * Looks at everything for each question: slow, and so simple that it can be the measure of what is fast (label-index.ts). For single
 * packets it is fast enough.
 */
export class SearchedMembers implements Members {
  readonly #source: MemberSource

  constructor(source: MemberSource) {
    this.#source = source
  }

  has(set: AddressSet, ip: Ip, protocol: number, port: number | undefined): boolean {
    if (set.kind === 'service') {
      const ends = this.#source.services?.get(set.service) ?? []
      return ends.some((end) => end.address === ip && (!set.hasPorts || (end.protocol === protocol && end.port === port)))
    }
    if (set.kind === 'named-port' && (port === undefined || protocol !== set.protocol)) return false
    for (const item of this.#source.labelled) {
      if (!item.addresses.some((cidr) => cidrContains(cidr, ip))) continue
      if (set.kind === 'named-port' && !offers(item, set, port)) continue
      if (selects(set.selector, item, this.#source.profiles)) return true
    }
    return false
  }
}

/** Whether a selector matches by own labels and those that the item's profiles give. */
export function selects(selector: Selector, item: Labelled, profiles: ReadonlyMap<string, Profile>): boolean {
  const own = lookupIn(item.labels)
  return matchesSelector(selector, (label) => {
    const value = own(label)
    if (value !== undefined) return value
    for (const name of item.profiles) {
      const inherited = lookupIn(profiles.get(name)?.spec.labelsToApply)(label)
      if (inherited !== undefined) return inherited
    }
    return undefined
  })
}

function offers(item: Labelled, set: Pick<NamedPort, 'name' | 'protocol'>, port: number | undefined): boolean {
  return namedPorts(item.ports).some((offered) => offered.name === set.name && offered.protocol === set.protocol && offered.port === port)
}
