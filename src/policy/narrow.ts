import type { PortRange } from '../net/port.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { LOOPBACK, type PathPacket, type PolicedHost } from './evaluate-path.ts'
import { matchesRule } from './evaluate-rule.ts'
import type { MatchRule, SideMatch } from './match-rule.ts'
import type { Packet } from './packet.ts'
import type { Policy } from './policies.ts'
import type { ProfileRules } from './profiles.ts'
import type { TierPolicies } from './tiers.ts'

/**
 * Sorts out which rules of a host can match packets of a kind at all, so that many packets of that kind are decided about quickly: by
 * family, protocol, ICMP type and code, and destination port. Staged policies are left out. A rule that is left is the same object.
 */
export class Narrowing {
  readonly #host: PolicedHost
  readonly #hosts = new Map<string, PolicedHost>()
  readonly #lists = new Map<LocalEndpoint, Map<string, LocalEndpoint>>()
  readonly #listsByName = new Map<string, Map<string, LocalEndpoint>>()
  readonly #listings: Listings

  /** `listings` may be those of another, so that what it has sorted out is known here. */
  constructor(host: PolicedHost, listings: Listings = new Map()) {
    this.#host = host
    this.#listings = listings
  }

  /** A host that decides about this packet, and all of its kind by the same interfaces, as the given one. */
  hostFor(packet: PathPacket): PolicedHost {
    const { inInterface, outInterface, destination, translated } = packet
    const key = `${inInterface},${outInterface},${kindOf(packet)},${destination.port},${translated?.port}`
    const known = this.#hosts.get(key)
    if (known !== undefined) return known
    if (this.#hosts.size >= MOST_HOSTS) this.#hosts.clear()
    const narrowed = this.#narrowHost(packet)
    this.#hosts.set(key, narrowed)
    return narrowed
  }

  #narrowHost(packet: PathPacket): PolicedHost {
    const { inInterface = '', outInterface = '', translated } = packet
    const kinds = { early: packet, normal: translated === undefined ? packet : { ...packet, destination: translated } }
    const narrowAll = (endpoints: ReadonlyMap<string, LocalEndpoint>) =>
      new Map(
        [...new Set([inInterface, outInterface, LOOPBACK])].flatMap((name) => {
          const endpoint = endpoints.get(name)
          return endpoint === undefined ? [] : [[name, this.#narrowEndpoint(endpoint, kinds)] as const]
        }),
      )
    const { workloads, hostEndpoints, wildcard } = this.#host
    return {
      ...this.#host,
      workloads: narrowAll(workloads),
      hostEndpoints: narrowAll(hostEndpoints),
      wildcard: wildcard && this.#narrowEndpoint(wildcard, kinds),
    }
  }

  #narrowEndpoint(endpoint: LocalEndpoint, kinds: Kinds): LocalEndpoint {
    const lists = this.#listsOf(endpoint)
    const key = `${kindOf(kinds.normal)},${kinds.early.destination.port},${kinds.normal.destination.port}`
    const known = lists.get(key)
    if (known !== undefined) return known.id === endpoint.id ? known : { ...known, id: endpoint.id }
    const { tiers, profiles } = endpoint
    const narrowed = {
      id: endpoint.id,
      tiers: tiers.map((tier) => ({ ...tier, policies: this.#narrowPolicies(tier, kinds) })),
      profiles: profiles.map((profile) => ({ name: profile.name, rules: this.#rulesFor(profile, kinds.normal) as ProfileRules['rules'] })),
    }
    lists.set(key, narrowed)
    return narrowed
  }

  /** What was narrowed for an endpoint, or for another with the same policies and profiles. */
  #listsOf(endpoint: LocalEndpoint): Map<string, LocalEndpoint> {
    const known = this.#lists.get(endpoint)
    if (known !== undefined) return known
    const { tiers, profiles } = endpoint
    const keys = tiers.map(({ name, defaultAction, policies }) => [name, defaultAction, policies.map(({ key }) => key)])
    const name = JSON.stringify([keys, profiles.map((profile) => profile.name)])
    const lists = this.#listsByName.get(name) ?? new Map<string, LocalEndpoint>()
    this.#listsByName.set(name, lists)
    this.#lists.set(endpoint, lists)
    return lists
  }

  /** One without rules does nothing but make its tier decide, and for that one is enough at each stage and in each direction. */
  #narrowPolicies({ policies }: TierPolicies, kinds: Kinds): readonly Policy[] {
    const seen = new Set<string>()
    return policies.flatMap((policy) => {
      if (policy.isStaged) return []
      const rules = this.#rulesFor(policy, policy.stage === 'normal' ? kinds.normal : kinds.early)
      const place = `${policy.stage} ${policy.appliesOnForward} ${rules.ingress !== undefined} ${rules.egress !== undefined}`
      const isEmpty = !rules.ingress?.length && !rules.egress?.length
      if (isEmpty && seen.has(place)) return []
      seen.add(place)
      return [{ ...policy, rules }]
    })
  }

  #rulesFor(source: Policy | ProfileRules, packet: Packet): Policy['rules'] {
    const listing = this.#listings.get(source) ?? new Listing(source.rules)
    this.#listings.set(source, listing)
    return listing.rulesFor(packet)
  }
}

/** Kept for so many kinds of packets: about 1 kB each. */
const MOST_HOSTS = 20_000

/** A packet of the kind, as rules before destination NAT see it and as those behind it do. */
interface Kinds {
  readonly early: Packet
  readonly normal: Packet
}

/** What was sorted out of each policy and profile. A changed one is another object. */
export type Listings = Map<Policy | ProfileRules, Listing>

/** The rules of one policy or profile by the kinds of packets that they tell apart. */
class Listing {
  readonly #rules: Policy['rules']
  readonly #bounds: readonly number[]
  /** By the kind, and by the class of the port. */
  readonly #byKind = new Map<string, Map<number, Policy['rules']>>()

  constructor(rules: Policy['rules']) {
    this.#rules = rules
    this.#bounds = portBounds([...(rules.ingress ?? []), ...(rules.egress ?? [])])
  }

  rulesFor(packet: Packet): Policy['rules'] {
    const kind = kindOf(packet)
    const byClass = this.#byKind.get(kind) ?? new Map<number, Policy['rules']>()
    this.#byKind.set(kind, byClass)
    const ofPort = portClass(this.#bounds, packet.destination.port)
    const known = byClass.get(ofPort)
    if (known !== undefined) return known
    const { ingress, egress } = this.#rules
    const keep = (rules: readonly MatchRule[]) => rules.filter((rule) => canMatch(rule, packet))
    const kept = { ...(ingress && { ingress: keep(ingress) }), ...(egress && { egress: keep(egress) }) }
    byClass.set(ofPort, kept)
    return kept
  }
}

/** The first ports of the ranges between which no rule tells destination ports apart, ascending. */
function portBounds(rules: readonly MatchRule[]): readonly number[] {
  const ranges = rules.flatMap(({ destination: { ports, notPorts } }): readonly PortRange[] => [
    ...(ports?.ranges ?? []),
    ...(notPorts?.ranges ?? []),
  ])
  return [...new Set(ranges.flatMap(({ low, high }) => [low, high + 1]))].sort((a, b) => a - b)
}

/** Which of the ranges that begin at these bounds a port is in. */
function portClass(bounds: readonly number[], port: number | undefined): number {
  if (port === undefined) return -1
  let [low, high] = [0, bounds.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((bounds[middle] ?? 0) <= port) low = middle + 1
    else high = middle
  }
  return low
}

/** What rules tell apart beside ends and ports. */
function kindOf({ family, protocol, icmp }: Packet): string {
  return icmp === undefined ? `${family},${protocol}` : `${family},${protocol},${icmp.type},${icmp.code}`
}

/** Whether the rule matches some packet of the same kind: addresses and source ports may be any. */
function canMatch(rule: MatchRule, packet: Packet): boolean {
  return matchesRule({ ...rule, source: ANYTHING, destination: portsOf(rule.destination) }, packet, NOBODY)
}

const ANYTHING: SideMatch = {}
const NOBODY = { has: () => false }

/** Named ports differ by address: what has one may match. */
function portsOf({ ports, notPorts }: SideMatch): SideMatch {
  return { ports: ports?.named.length ? undefined : ports, notPorts: notPorts && { ranges: notPorts.ranges, named: [] } }
}
