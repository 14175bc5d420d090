import { type Cidr, ipOf, isHostCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { PrefixMap } from '../net/prefix-map.ts'
import type { PolicyChanges } from './change-log.ts'
import type { LocalEndpoint } from './evaluate.ts'
import type { PolicedHost } from './evaluate-path.ts'
import type { Flow } from './flow.ts'
import type { MatchRule, SideMatch } from './match-rule.ts'
import type { Policy } from './policies.ts'
import type { ProfileRules } from './profiles.ts'

/** Whose flows may be decided otherwise: everybody's, nobody's, or those with one of some addresses. */
export type Concern = 'everybody' | 'nobody' | ConcernedAddresses

export interface ConcernedAddresses {
  has(ip: Ip): boolean
  /** All of them, where none stands for a whole prefix, and policy is asked about no destination before it is translated. */
  readonly single: readonly Ip[] | undefined
}

/** What a change of a set's members does to who is denied: whether somebody may be when a member comes, and when one goes. */
interface Role {
  readonly byGain: boolean
  readonly byLoss: boolean
}

type Roles = ReadonlyMap<string, Role>

/**
 * Whose flows these changes, after which the host is as it is, may deny that were allowed before. A member that comes into a set by which
 * rules only allow denies nobody, and most changes of a network are that.
 */
export function concernOf(host: PolicedHost, changes: readonly PolicyChanges[]): Concern {
  // The way to an address that is no workload's own is known by routes then: it may lead to any of them.
  const isRouted = host.hostEndpoints.size > 0 || host.wildcard !== undefined
  if (changes.some(({ isAll, networks }) => isAll || (isRouted && networks.size > 0))) return 'everybody'
  const addresses = new Set<Ip>()
  const prefixes = new PrefixMap<true>()
  const add = (member: string) => {
    // `10.65.0.2/32,6,8080` in a set with ports.
    const cidr = member.split(',', 1)[0] as Cidr
    if (isHostCidr(cidr)) addresses.add(ipOf(cidr))
    else prefixes.set(cidr, true)
  }
  for (const { networks } of changes) for (const network of networks) add(network)
  const roles = rolesOf(host, new Set(changes.flatMap(({ members }) => [...members.keys()])))
  for (const { members } of changes) {
    for (const [id, { added, removed }] of members) {
      if (roles.get(id)?.byGain) for (const member of added) add(member)
      if (roles.get(id)?.byLoss) for (const member of removed) add(member)
    }
  }
  if (addresses.size === 0 && prefixes.size === 0) return 'nobody'
  if (prefixes.size === 0 && !isRouted) return { has: (ip) => addresses.has(ip), single: [...addresses] }
  return { has: memoized((ip) => addresses.has(ip) || prefixes.longest(ip) !== undefined), single: undefined }
}

/** Whether one of the addresses by which policy is asked about the flow is of those concerned. */
export function isConcerned(concern: Concern, { original, reply }: Pick<Flow, 'original' | 'reply'>): boolean {
  if (typeof concern === 'string') return concern === 'everybody'
  return concern.has(original.source) || concern.has(original.destination) || concern.has(reply.source)
}

function memoized(ask: (ip: Ip) => boolean): (ip: Ip) => boolean {
  const known = new Map<Ip, boolean>()
  return (ip) => {
    const answer = known.get(ip) ?? ask(ip)
    known.set(ip, answer)
    return answer
  }
}

/** What these sets are to the rules of all endpoints together; those that none of them names are left out. */
function rolesOf({ workloads, hostEndpoints, wildcard }: PolicedHost, ids: ReadonlySet<string>): Roles {
  const roles = new Map<string, Role>()
  if (ids.size === 0) return roles
  for (const list of ruleLists([...workloads.values(), ...hostEndpoints.values(), ...(wildcard ? [wildcard] : [])])) {
    const ofList = rolesIn(list)
    for (const id of ids) {
      const role = ofList.get(id)
      if (role !== undefined) addRole(roles, id, role)
    }
  }
  return roles
}

/** Each list of rules once: endpoints share most of them. */
function ruleLists(endpoints: readonly LocalEndpoint[]): ReadonlySet<readonly MatchRule[]> {
  const lists = new Set<readonly MatchRule[]>()
  const seen = new Set<object>()
  const addAll = (sources: readonly (Pick<Policy, 'rules'> | Pick<ProfileRules, 'rules'>)[]) => {
    for (const { rules } of sources) for (const list of [rules.ingress, rules.egress]) if (list) lists.add(list)
  }
  for (const { tiers, profiles } of endpoints) {
    if (!seen.has(tiers)) for (const { policies } of tiers) addAll(policies)
    seen.add(tiers)
    addAll(profiles)
  }
  return lists
}

/** Lists never change. */
const KNOWN = new WeakMap<readonly MatchRule[], Roles>()

function rolesIn(list: readonly MatchRule[]): Roles {
  const known = KNOWN.get(list)
  if (known !== undefined) return known
  const roles = new Map<string, Role>()
  for (const { action, source, destination } of list) {
    for (const side of [source, destination]) {
      for (const { id, isNegated } of setsOf(side)) addRole(roles, id, roleOf(action, isNegated))
    }
  }
  KNOWN.set(list, roles)
  return roles
}

/** More packets that match an Allow are allowed, more that match a Deny are denied; of a Pass nobody can tell. */
function roleOf(action: MatchRule['action'], isNegated: boolean): Role {
  if (action !== 'Allow' && action !== 'Deny') return { byGain: true, byLoss: true }
  const byGain = (action === 'Deny') !== isNegated
  return { byGain, byLoss: !byGain }
}

function addRole(roles: Map<string, Role>, id: string, { byGain, byLoss }: Role): void {
  const before = roles.get(id)
  roles.set(id, { byGain: byGain || before?.byGain === true, byLoss: byLoss || before?.byLoss === true })
}

function setsOf({ set, notSet, service, ports, notPorts }: SideMatch): readonly { readonly id: string; readonly isNegated: boolean }[] {
  return [
    ...[set, service, ...(ports?.named ?? [])].flatMap((one) => (one === undefined ? [] : [{ id: one.id, isNegated: false }])),
    ...[notSet, ...(notPorts?.named ?? [])].flatMap((one) => (one === undefined ? [] : [{ id: one.id, isNegated: true }])),
  ]
}
