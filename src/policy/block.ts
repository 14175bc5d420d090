import type { NftMatch, NftRule, NftVerdict } from '../kernel/objects.ts'
import { type PortRange, PROTOCOL_NUMBERS } from '../net/port.ts'
import type { PieceCollector } from './chains.ts'
import type { Effect, RuleCounter } from './counted-rule.ts'
import type { MatchRule } from './match-rule.ts'
import { PORT_PROTOCOLS } from './packet.ts'
import { expandRule, type Settled } from './rules.ts'
import { contentName, formatRange } from './set-names.ts'

/** A rule with what is done where it matches. */
export interface BlockRule {
  readonly match: MatchRule
  /** With what its packets are counted; whoever takes up rules sees that it is there. */
  readonly counter: RuleCounter
  /** Nothing that matches goes on to the next rule. */
  readonly isFinal: boolean
  /** Verdict, mark, counter and log; what they refer to goes with the pieces. */
  effectIn(pieces: PieceCollector): Effect
}

/** How many more rules than the linear form the form by ports may have. */
const MOST_GROWTH = 8
/**
 * Fewer rules are walked through nearly as fast as ports are looked up; and the kernel checks every element of every map that leads to a
 * chain whenever some rule changes.
 */
const FEWEST_RULES = 48

/** Whether lists of rules are taken apart by ports where that is worth it, wherever it is possible, or never. */
export type Form = 'any' | 'by-port' | 'linear'

function isLong(rules: readonly BlockRule[], form: Form): boolean {
  return form !== 'linear' && rules.length >= (form === 'by-port' ? 2 : FEWEST_RULES)
}

/**
 * The rules of a chain for a list of which the first that matches decides. Where ports are named, packets of each protocol get the rules
 * that are for it in a chain of its own.
 */
export function compileBlock(rules: readonly BlockRule[], pieces: PieceCollector, form: Form): readonly NftRule[] {
  const protocols = isLong(rules, form) ? [...portRulesOf(rules).keys()] : []
  return [
    ...protocols.map((protocol) => toProtocol(protocol, pieces.chain('q_', compileForProtocol(rules, protocol, pieces, form)))),
    ...compileForOthers(rules, protocols, pieces),
  ]
}

/** Sends packets of a protocol elsewhere for good. */
export function toProtocol(protocol: number, chain: string): NftRule {
  return { matches: [{ on: 'protocol', value: protocol }], verdict: { do: 'goto', chain } }
}

/** How many rules name destination ports of each protocol by number. UDP-Lite is rare: its rules are left with the others'. */
export function portRulesOf(rules: readonly BlockRule[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>()
  for (const protocol of PORT_PROTOCOLS) {
    const count = protocol === PROTOCOL_NUMBERS.UDPLite ? 0 : rules.filter(({ match }) => splitsBy(match, protocol)).length
    if (count > 0) counts.set(protocol, count)
  }
  return counts
}

/**
 * The rules for packets that are known to be of this protocol. Long lists are taken apart by destination port: one look-up leads to the few
 * rules that can match it. Where that would take too many rules (many that name no port, for each of many ports), they stand one after
 * the other. Both forms decide alike.
 */
export function compileForProtocol(rules: readonly BlockRule[], protocol: number, pieces: PieceCollector, form: Form): readonly NftRule[] {
  const possible = rules.filter(({ match }) => canMatch(match, protocol))
  const cells = isLong(possible, form) ? cellsOf(possible) : []
  if (cells.length < 2 || sizeOf(cells) > possible.length * MOST_GROWTH) {
    return linear(
      possible.map((rule) => ({ rule, settled: { isProtocol: true, port: 'open' } })),
      pieces,
    )
  }
  return byPort(cells, pieces)
}

/** The rules for packets that are known to be of this protocol and to this port. */
export function compileAt(rules: readonly BlockRule[], protocol: number, port: number, pieces: PieceCollector): readonly NftRule[] {
  const possible = rules.filter(({ match }) => canMatch(match, protocol))
  return linear(rulesAt(possible, port), pieces)
}

/** The rules for packets of all protocols but these. */
export function compileForOthers(rules: readonly BlockRule[], protocols: readonly number[], pieces: PieceCollector): readonly NftRule[] {
  const others = rules.filter(({ match }) => isForOthers(match, protocols))
  return linear(
    others.map((rule) => ({ rule, settled: OPEN })),
    pieces,
  )
}

/** The destination ports that rules for this protocol name, where each of them names some by number and none by name. */
export function portsOf(rules: readonly BlockRule[], protocol: number): readonly PortRange[] | undefined {
  const possible = rules.filter(({ match }) => canMatch(match, protocol))
  const lists = possible.map(({ match }) => match.destination.ports)
  return lists.every((ports) => ports !== undefined && ports.named.length === 0) ? lists.flatMap((ports) => ports?.ranges ?? []) : undefined
}

const OPEN: Settled = { isProtocol: false, port: 'open' }

/** A rule where some of what it says is settled. */
interface Residual {
  readonly rule: BlockRule
  readonly settled: Settled
}

/** Ports for which the same rules are left. */
interface Cell {
  readonly range: PortRange
  readonly rules: readonly Residual[]
}

function splitsBy({ protocols, destination }: MatchRule, protocol: number): boolean {
  return protocols?.includes(protocol) === true && (destination.ports?.ranges.length ?? 0) > 0
}

/** Whether a packet of another protocol can match. */
export function isForOthers({ protocols }: MatchRule, split: readonly number[]): boolean {
  return protocols === undefined || protocols.some((protocol) => !split.includes(protocol))
}

/** Cuts all ports where a rule begins or ends, and gives each piece the rules that can match there, in their order. */
function cellsOf(possible: readonly BlockRule[]): readonly Cell[] {
  const cuts = new Set([0])
  for (const { match } of possible) {
    for (const { low, high } of match.destination.ports?.ranges ?? []) cuts.add(low).add(high + 1)
  }
  const starts = [...cuts].filter((port) => port <= LAST_PORT).sort((a, b) => a - b)
  const cells = starts.map((low, i) => ({ range: { low, high: (starts[i + 1] ?? LAST_PORT + 1) - 1 }, rules: rulesAt(possible, low) }))
  return joinCells(cells)
}

const LAST_PORT = 65_535

/** Whether a packet of this protocol can match. */
export function canMatch({ protocols, notProtocol, families, icmp, notIcmp }: MatchRule, protocol: number): boolean {
  return (
    families.length > 0 &&
    protocols?.includes(protocol) !== false &&
    notProtocol !== protocol &&
    icmp === undefined &&
    notIcmp === undefined
  )
}

function rulesAt(rules: readonly BlockRule[], port: number): readonly Residual[] {
  const left: Residual[] = []
  for (const rule of rules) {
    const { ports } = rule.match.destination
    const isMatched = ports === undefined || ports.ranges.some(({ low, high }) => low <= port && port <= high)
    if (!isMatched && ports.named.length === 0) continue
    left.push({ rule, settled: { isProtocol: true, port: isMatched ? 'matched' : 'by-name' } })
    if (isMatched && endsAll(rule)) break
  }
  return left
}

/** Whether nothing gets past the rule, where protocol and destination port match. */
function endsAll({ match, isFinal }: BlockRule): boolean {
  const { source, destination, families } = match
  const isFree = Object.values(source).every((one) => one === undefined)
  const isPort = Object.entries(destination).every(([name, one]) => name === 'ports' || one === undefined)
  return isFree && isPort && families.length === 2 && isFinal
}

/** Neighbours for which the same rules are left are one. */
function joinCells(cells: readonly Cell[]): readonly Cell[] {
  const joined: Cell[] = []
  for (const cell of cells) {
    const last = joined.at(-1)
    if (last !== undefined && isSame(last.rules, cell.rules))
      joined[joined.length - 1] = { ...last, range: { low: last.range.low, high: cell.range.high } }
    else joined.push(cell)
  }
  return joined
}

function isSame(a: readonly Residual[], b: readonly Residual[]): boolean {
  return a.length === b.length && a.every(({ rule, settled }, i) => rule === b[i]?.rule && settled.port === b[i]?.settled.port)
}

/** How much the form by ports has to be checked by the kernel; cells with the same rules share a chain, which is not looked at here. */
function sizeOf(cells: readonly Cell[]): number {
  return cells.reduce((sum, { rules }) => sum + rules.length, cells.length)
}

/**
 * The map has every port, and what it does not lead on is dropped: a packet that is on its way while the map is taken down must not slip
 * by.
 */
function byPort(cells: readonly Cell[], pieces: PieceCollector): readonly NftRule[] {
  const elements = new Set(cells.map(({ range, rules }) => `${formatRange(range)} goto ${pieces.chain('r_', linear(rules, pieces))}`))
  const map = contentName('m_', [...elements].join())
  pieces.useFixed({ kind: 'set', name: map, key: 'port', family: 4, isInterval: true, isMap: true, elements })
  return [
    { matches: [], verdict: { do: 'map', on: 'dport', map } },
    { matches: [], verdict: { do: 'drop' }, isCounted: true },
  ]
}

function linear(rules: readonly Residual[], pieces: PieceCollector): readonly NftRule[] {
  return rules.flatMap(({ rule, settled }) => {
    const expanded = expandRule(rule.match, pieces, settled)
    if (expanded.length === 0) return []
    const effect = rule.effectIn(pieces)
    if (rule.isFinal || expanded.length === 1) return expanded.map((matches) => ({ matches, ...effect }))
    return [{ matches: [], verdict: { do: 'jump', chain: pieces.chain('a_', onlyOnce(expanded, effect)) } }]
  })
}

/** The rules of a chain for what goes on behind it: of several ways to match, one that does is enough. */
function onlyOnce(expanded: readonly (readonly NftMatch[])[], effect: Effect): readonly NftRule[] {
  const { verdict } = effect
  const ending: NftVerdict = verdict.do === 'jump' ? { do: 'goto', chain: verdict.chain } : { do: 'return' }
  return expanded.map((matches) => ({ matches, ...effect, verdict: ending }))
}
