import type { NftMatch, NftSet } from '../kernel/objects.ts'
import type { Cidr } from '../net/cidr.ts'
import { type Family, familyOf } from '../net/ip.ts'
import type { PortRange } from '../net/port.ts'
import type { AddressSet } from './address-set.ts'
import type { MatchRule, PortMatch, SideMatch } from './match-rule.ts'
import { ICMP_PROTOCOLS } from './packet.ts'
import { addressSetName, hasPorts, joinRanges, netSet, portSet, type ShapeOf } from './set-names.ts'

/** Takes note of the sets that matches name. */
export interface SetUse {
  readonly shapeOf: ShapeOf
  /** A set that never changes. */
  useFixed(set: NftSet): void
  /** A set whose members come and go. */
  use(set: AddressSet, family: Family): void
}

/** What a rule's place settles already, so that it need not be looked at again. */
export interface Settled {
  readonly isProtocol: boolean
  /** The destination port: it is one of the rule's numbers, or it is none of them and can only match by name. */
  readonly port: 'open' | 'matched' | 'by-name'
}

const NOTHING_SETTLED: Settled = { isProtocol: false, port: 'open' }

/**
 * The lists of matches of which one must hold wholly for the rule to match: where a rule says "one of these" and the kernel has no set for
 * it, each is a list of its own. Both families stand side by side, since a set has one.
 */
export function expandRule(rule: MatchRule, sets: SetUse, settled: Settled = NOTHING_SETTLED): readonly (readonly NftMatch[])[] {
  if (!isOfOneFamily(rule)) {
    const matches = expandFor(undefined, rule, sets, settled)
    return rule.families.length === 2
      ? matches
      : rule.families.flatMap((value) => matches.map((list) => [{ on: 'family', value } as const, ...list]))
  }
  return rule.families.flatMap((family) => expandFor(family, rule, sets, settled))
}

/** Whether something in the rule is looked for in the header of one family. */
function isOfOneFamily({ icmp, notIcmp, source, destination }: MatchRule): boolean {
  const hasAddress = ({ nets, notNets, set, notSet, service, ports, notPorts }: SideMatch) =>
    [nets, notNets, set, notSet, service].some((one) => one !== undefined) || [ports, notPorts].some((one) => one?.named.length)
  return icmp !== undefined || notIcmp !== undefined || hasAddress(source) || hasAddress(destination)
}

function expandFor(family: Family | undefined, rule: MatchRule, sets: SetUse, settled: Settled): readonly (readonly NftMatch[])[] {
  const isIcmp = rule.icmp !== undefined || rule.notIcmp !== undefined
  const icmpProtocol = family === undefined || !isIcmp ? undefined : ICMP_PROTOCOLS[family]
  const parts: readonly Alternatives[] = [
    // Also for lists that read no address: a rule of one family may say "this port, or that name of a port".
    family === undefined ? always : [[{ on: 'family', value: family }]],
    settled.isProtocol ? always : protocolMatches(rule, icmpProtocol),
    icmpMatches(rule),
    sidePorts('source', rule.source, family, sets, 'open'),
    sidePorts('destination', rule.destination, family, sets, settled.port),
    addressesOf('saddr', rule.source, family, sets),
    addressesOf('daddr', rule.destination, family, sets),
  ]
  return parts.reduce<Alternatives>(combine, always)
}

/** Lists of which one must hold; none at all means that nothing can match. */
type Alternatives = readonly (readonly NftMatch[])[]

const always: Alternatives = [[]]

/** Both must hold. */
function combine(lists: Alternatives, more: Alternatives): Alternatives {
  if (more === always) return lists
  return lists === always ? more : lists.flatMap((list) => more.map((one) => [...list, ...one]))
}

function protocolMatches({ protocols, notProtocol }: MatchRule, icmpProtocol: number | undefined): Alternatives {
  const others: readonly NftMatch[] = notProtocol === undefined ? [] : [{ on: 'protocol', value: notProtocol, negate: true }]
  if (icmpProtocol !== undefined) {
    if (protocols?.includes(icmpProtocol) === false) return []
    return [[{ on: 'protocol', value: icmpProtocol }, ...others]]
  }
  if (protocols === undefined && notProtocol === undefined) return always
  return protocols === undefined ? [others] : protocols.map((value) => [{ on: 'protocol', value }, ...others])
}

/** The contrary of "this type with this code" is "another type, or this type with another code". */
function icmpMatches({ icmp, notIcmp }: MatchRule): Alternatives {
  if (icmp === undefined && notIcmp === undefined) return always
  const given: NftMatch[] = []
  if (icmp !== undefined) {
    given.push({ on: 'icmp-type', value: icmp.type })
    if (icmp.code !== undefined) given.push({ on: 'icmp-code', value: icmp.code })
  }
  if (notIcmp === undefined) return [given]
  const otherType: NftMatch = { on: 'icmp-type', value: notIcmp.type, negate: true }
  if (notIcmp.code === undefined) return [[...given, otherType]]
  const otherCode: readonly NftMatch[] = [
    { on: 'icmp-type', value: notIcmp.type },
    { on: 'icmp-code', value: notIcmp.code, negate: true },
  ]
  return [
    [...given, otherType],
    [...given, ...otherCode],
  ]
}

type Side = 'source' | 'destination'

/** One of the ports, by number or by name, and none of those that are excluded. */
function sidePorts(
  side: Side,
  { ports, notPorts }: SideMatch,
  family: Family | undefined,
  sets: SetUse,
  port: Settled['port'],
): Alternatives {
  const excluded =
    notPorts === undefined
      ? []
      : [...numbered(side, notPorts, sets), ...named(side, notPorts, family, sets)].map((match): NftMatch => ({ ...match, negate: true }))
  if (ports === undefined || port === 'matched') return excluded.length === 0 ? always : [excluded]
  const numbers = port === 'by-name' ? [] : numbered(side, ports, sets)
  return [...numbers, ...named(side, ports, family, sets)].map((match) => [match, ...excluded])
}

function numbered(side: Side, { ranges }: PortMatch, sets: SetUse): readonly NftMatch[] {
  return portMatches(side, ranges, sets)
}

/** That the port of one side is one of these; nothing where there are none. */
export function portMatches(side: Side, ranges: readonly PortRange[], sets: Pick<SetUse, 'useFixed'>): readonly NftMatch[] {
  const joined = joinRanges(ranges)
  const on = side === 'source' ? 'sport' : 'dport'
  const [first, ...others] = joined
  if (first === undefined) return []
  if (others.length === 0 && first.low === first.high) return [{ on, value: first.low }]
  const set = portSet(joined)
  sets.useFixed(set)
  return [{ on, set: set.name }]
}

function named(on: Side, { named: list }: PortMatch, family: Family | undefined, sets: SetUse): readonly NftMatch[] {
  if (family === undefined) return []
  return list.flatMap((set) => memberMatch(on, set, family, sets) ?? [])
}

function addressesOf(on: 'saddr' | 'daddr', side: SideMatch, family: Family | undefined, sets: SetUse): Alternatives {
  const matches = family === undefined ? [] : addressMatches(on, side, family, sets)
  if (matches === undefined) return []
  return matches.length === 0 ? always : [matches]
}

/** What must hold of an address; undefined where nothing can: nobody is in a set. */
function addressMatches(on: 'saddr' | 'daddr', side: SideMatch, family: Family, sets: SetUse): readonly NftMatch[] | undefined {
  const { nets, notNets, set, notSet, service } = side
  const among = [set, service].flatMap((one) => (one === undefined ? [] : [addressMatch(on, one, family, sets)]))
  const isPossible = (matches: readonly (NftMatch | undefined)[]): matches is readonly NftMatch[] => !matches.includes(undefined)
  if (!isPossible(among)) return undefined
  const notAmong = notSet === undefined ? undefined : addressMatch(on, notSet, family, sets)
  // What most packets fail at first: a rule's later looks are spared them.
  return [
    ...among,
    ...(nets === undefined ? [] : [netMatch(on, nets, family, sets)]),
    ...(notNets === undefined ? [] : [{ ...netMatch(on, notNets, family, sets), negate: true }]),
    ...(notAmong === undefined ? [] : [{ ...notAmong, negate: true }]),
  ]
}

function addressMatch(on: 'saddr' | 'daddr', set: AddressSet, family: Family, sets: SetUse): NftMatch | undefined {
  return memberMatch(hasPorts(set) ? (on === 'saddr' ? 'source' : 'destination') : on, set, family, sets)
}

/** That the packet is in a set; undefined where nobody is. */
function memberMatch(on: 'saddr' | 'daddr' | Side, set: AddressSet, family: Family, sets: SetUse): NftMatch | undefined {
  sets.use(set, family)
  const shape = sets.shapeOf(set.id, family)
  if (shape === 'empty') return undefined
  const name = addressSetName(set, family, shape)
  return on === 'saddr' || on === 'daddr' ? { on, set: name, family } : { on, set: name, family }
}

function netMatch(on: 'saddr' | 'daddr', nets: readonly Cidr[], family: Family, sets: SetUse): NftMatch {
  const [only, ...others] = nets.filter((net) => familyOf(net) === family)
  if (only !== undefined && others.length === 0) return { on, value: only }
  const set = netSet(nets, family)
  sets.useFixed(set)
  return { on, set: set.name, family }
}
