import type { Profile } from '../model/profile.ts'
import { type Cidr, ipOf, isHostCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { PrefixMap } from '../net/prefix-map.ts'
import type { AddressSet } from '../policy/address-set.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'
import { LABELLED_KINDS, type Labelled, labelledOf } from '../policy/labelled.ts'
import { type Members, SearchedMembers, type ServicePort } from '../policy/members.ts'
import { ServiceIndex } from '../policy/service-index.ts'

/**
 * Who is in which set, for many packets: what holds an address is found by the address, and each answer is kept. Only these addresses
 * can be asked for. Can be left and resumed at each `yield`: with 100,000 endpoints it takes a while.
 */
export function* relevantMembers(maps: ResourceMaps, addresses: Iterable<Ip>): Generator<undefined, Members> {
  const wanted = new Set(addresses)
  const prefixes = new PrefixMap<Labelled[]>()
  const byAddress = new Map<Ip, Labelled[]>()
  for (const kind of LABELLED_KINDS) {
    for (const resource of maps.get(kind).values()) {
      const one = labelledOf(resource)
      for (const cidr of one?.addresses ?? []) if (one !== undefined) addTo(cidr, one, { wanted, byAddress, prefixes })
      yield
    }
  }
  for (const ip of wanted) {
    const wide = prefixes.covering(ip).flatMap(({ value }) => value)
    if (wide.length > 0) byAddress.set(ip, [...(byAddress.get(ip) ?? []), ...wide])
    yield
  }
  return new KeptMembers(byAddress, maps.get('Profile'), yield* servicesOf(maps))
}

interface Gathered {
  readonly wanted: ReadonlySet<Ip>
  readonly byAddress: Map<Ip, Labelled[]>
  readonly prefixes: PrefixMap<Labelled[]>
}

function addTo(cidr: Cidr, one: Labelled, { wanted, byAddress, prefixes }: Gathered): void {
  if (isHostCidr(cidr)) {
    const ip = ipOf(cidr)
    if (wanted.has(ip)) byAddress.set(ip, [...(byAddress.get(ip) ?? []), one])
    return
  }
  const known = prefixes.get(cidr)
  if (known === undefined) prefixes.set(cidr, [one])
  else known.push(one)
}

function* servicesOf(maps: ResourceMaps): Generator<undefined, ReadonlyMap<string, readonly ServicePort[]>> {
  const index = new ServiceIndex()
  const services = maps.get('Service')
  if (services.size === 0) return new Map()
  for (const [id, endpoint] of maps.get('WorkloadEndpoint')) {
    index.setEndpoint(id, endpoint)
    yield
  }
  for (const [id, service] of services) {
    index.setService(id, service)
    yield
  }
  return new Map([...services.keys()].map((id) => [id, index.endsOf(id) ?? []]))
}

class KeptMembers implements Members {
  readonly #byAddress: ReadonlyMap<Ip, readonly Labelled[]>
  readonly #profiles: ReadonlyMap<string, Profile>
  readonly #services: ReadonlyMap<string, readonly ServicePort[]>
  readonly #known = new Map<string, boolean>()

  constructor(
    byAddress: ReadonlyMap<Ip, readonly Labelled[]>,
    profiles: ReadonlyMap<string, Profile>,
    services: ReadonlyMap<string, readonly ServicePort[]>,
  ) {
    this.#byAddress = byAddress
    this.#profiles = profiles
    this.#services = services
  }

  has(set: AddressSet, ip: Ip, protocol: number, port: number | undefined): boolean {
    const key = set.kind === 'selector' ? `${set.id} ${ip}` : `${set.id} ${ip} ${protocol} ${port}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const labelled = this.#byAddress.get(ip) ?? []
    const found = new SearchedMembers({ labelled, profiles: this.#profiles, services: this.#services }).has(set, ip, protocol, port)
    this.#known.set(key, found)
    return found
  }
}
