import type { LocalEndpoint } from './evaluate.ts'
import { LOOPBACK, type PathPacket, type PolicedHost } from './evaluate-path.ts'
import { matchesRule } from './evaluate-rule.ts'
import type { MatchRule, SideMatch } from './match-rule.ts'
import type { Members } from './members.ts'
import type { Packet } from './packet.ts'
import type { Policy } from './policies.ts'
import type { ProfileRules } from './profiles.ts'

/**
 * A host that decides as the given one about all packets that are alike: with the same interfaces, family, protocol, ICMP type and code,
 * the same class of destination ports (`portClass`), and the same address on each side of which `knows` says so. What can match none of
 * them is left out, staged policies too; a rule that is left is the same object.
 */
export function narrowHost(
  host: PolicedHost,
  packet: PathPacket,
  knows: { readonly source: boolean; readonly destination: boolean },
): PolicedHost {
  const { inInterface = '', outInterface = '' } = packet
  const translated = packet.translated === undefined ? packet : { ...packet, destination: packet.translated }
  const narrow = (endpoint: LocalEndpoint) => narrowEndpoint(endpoint, { packet, translated, knows, members: host.members })
  const narrowAll = (endpoints: ReadonlyMap<string, LocalEndpoint>) =>
    new Map(
      [...new Set([inInterface, outInterface, LOOPBACK])].flatMap((name) => {
        const endpoint = endpoints.get(name)
        return endpoint === undefined ? [] : [[name, narrow(endpoint)] as const]
      }),
    )
  return {
    ...host,
    workloads: narrowAll(host.workloads),
    hostEndpoints: narrowAll(host.hostEndpoints),
    wildcard: host.wildcard && narrow(host.wildcard),
  }
}

/** The first ports of the ranges between which no rule of the endpoint tells destination ports apart, ascending. */
export function portBounds({ tiers, profiles }: LocalEndpoint): readonly number[] {
  const bounds = new Set<number>()
  const policies = tiers.flatMap((tier) => tier.policies)
  for (const { rules } of [...policies, ...profiles]) {
    for (const { destination } of [...(rules.ingress ?? []), ...(rules.egress ?? [])]) {
      for (const { low, high } of [...(destination.ports?.ranges ?? []), ...(destination.notPorts?.ranges ?? [])]) {
        bounds.add(low)
        bounds.add(high + 1)
      }
    }
  }
  return [...bounds].sort((a, b) => a - b)
}

/** Which of the ranges that begin at these bounds a port is in. */
export function portClass(bounds: readonly number[], port: number | undefined): number {
  if (port === undefined) return -1
  let [low, high] = [0, bounds.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((bounds[middle] ?? 0) <= port) low = middle + 1
    else high = middle
  }
  return low
}

interface Narrowing {
  readonly packet: Packet
  /** As it is behind destination NAT. */
  readonly translated: Packet
  readonly knows: { readonly source: boolean; readonly destination: boolean }
  readonly members: Members
}

function narrowEndpoint(endpoint: LocalEndpoint, narrowing: Narrowing): LocalEndpoint {
  const { id, tiers, profiles } = endpoint
  return {
    id,
    tiers: tiers.map((tier) => ({
      ...tier,
      policies: tier.policies.filter(({ isStaged }) => !isStaged).map((one) => narrowPolicy(one, narrowing)),
    })),
    profiles: profiles.map((profile) => narrowProfile(profile, narrowing)),
  }
}

/** Without a rule it stays: that a policy is there makes its tier decide. */
function narrowPolicy(policy: Policy, narrowing: Narrowing): Policy {
  const isEarly = policy.stage !== 'normal'
  const keep = (rules: readonly MatchRule[]) => rules.filter((rule) => canMatch(rule, narrowing, isEarly))
  const { ingress, egress } = policy.rules
  return { ...policy, rules: { ...(ingress && { ingress: keep(ingress) }), ...(egress && { egress: keep(egress) }) } }
}

function narrowProfile({ name, rules }: ProfileRules, narrowing: Narrowing): ProfileRules {
  const keep = (list: readonly MatchRule[]) => list.filter((rule) => canMatch(rule, narrowing, false))
  return { name, rules: { ingress: keep(rules.ingress), egress: keep(rules.egress) } }
}

function canMatch(rule: MatchRule, { packet, translated, knows, members }: Narrowing, isEarly: boolean): boolean {
  const loose = {
    ...rule,
    source: { ...(knows.source ? addressesOf(rule.source) : {}) },
    destination: { ...(knows.destination ? addressesOf(rule.destination) : {}), ...portsOf(rule.destination) },
  }
  return matchesRule(loose, isEarly ? packet : translated, members)
}

function addressesOf({ nets, notNets, set, notSet }: SideMatch): SideMatch {
  return { nets, notNets, set, notSet }
}

/** Named ports differ by address: what has one may match. */
function portsOf({ ports, notPorts }: SideMatch): SideMatch {
  return { ports: ports?.named.length ? undefined : ports, notPorts: notPorts && { ranges: notPorts.ranges, named: [] } }
}
