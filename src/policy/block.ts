import type { NftRule } from '../kernel/objects.ts'
import { type PortRange, PROTOCOL_NUMBERS } from '../net/port.ts'
import type { PieceCollector } from './chains.ts'
import type { MatchRule } from './match-rule.ts'
import { PORT_PROTOCOLS } from './packet.ts'
import { expandRule, type Settled } from './rules.ts'
import { contentName, formatRange } from './set-names.ts'

/** A rule with what is done where it matches. */
export interface BlockRule {
  readonly match: MatchRule
  /** Verdict, mark and log. */
  readonly effect: Omit<NftRule, 'matches'>
}

/** How many more rules than the linear form the form by ports may have. */
const MOST_GROWTH = 8
/** Fewer rules are walked through as fast as ports are looked up. */
const FEWEST_RULES = 8

/**
 * The rules of a chain for a list of which the first that matches decides. Longer lists are taken apart by destination port: one look-up
 * leads to the few rules that can match it. Where that would take too many rules (many that name no port, for each of many ports), and
 * for short lists, they stand one after the other. Both forms decide alike.
 */
export function compileBlock(rules: readonly BlockRule[], pieces: PieceCollector, form: 'any' | 'linear' = 'any'): readonly NftRule[] {
  const byPorts = form === 'linear' || rules.length < FEWEST_RULES ? undefined : planByPorts(rules)
  if (byPorts === undefined)
    return linear(
      rules.map((rule) => ({ rule, settled: OPEN })),
      pieces,
    )
  const dispatch = byPorts.protocols.map(
    ({ protocol, cells }): NftRule => ({
      matches: [{ on: 'protocol', value: protocol }],
      verdict: { do: 'goto', chain: protocolChain(cells, pieces) },
    }),
  )
  return [...dispatch, ...linear(byPorts.others, pieces)]
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

interface PortPlan {
  readonly protocols: readonly { readonly protocol: number; readonly cells: readonly Cell[] }[]
  /** Rules for packets of all other protocols. */
  readonly others: readonly Residual[]
}

function planByPorts(rules: readonly BlockRule[]): PortPlan | undefined {
  const protocols = PORT_PROTOCOLS.filter((protocol) => rules.some(({ match }) => splitsBy(match, protocol)))
  if (protocols.length === 0) return undefined
  const planned = protocols.map((protocol) => ({ protocol, cells: cellsOf(rules, protocol) }))
  const others = rules.flatMap((rule) => (isForOthers(rule.match, protocols) ? [{ rule, settled: OPEN }] : []))
  const size = planned.reduce((sum, { cells }) => sum + sizeOf(cells), others.length)
  return size > rules.length * MOST_GROWTH ? undefined : { protocols: planned, others }
}

/** Whether the rule names destination ports of this protocol by number. UDP-Lite is rare: its rules are left with the others'. */
function splitsBy({ protocols, destination }: MatchRule, protocol: number): boolean {
  return protocol !== PROTOCOL_NUMBERS.UDPLite && protocols?.includes(protocol) === true && (destination.ports?.ranges.length ?? 0) > 0
}

function isForOthers({ protocols }: MatchRule, split: readonly number[]): boolean {
  return protocols === undefined || protocols.some((protocol) => !split.includes(protocol))
}

/** Cuts all ports where a rule begins or ends, and gives each piece the rules that can match there, in their order. */
function cellsOf(rules: readonly BlockRule[], protocol: number): readonly Cell[] {
  const possible = rules.filter(({ match }) => canMatch(match, protocol))
  const cuts = new Set([0])
  for (const { match } of possible) {
    for (const { low, high } of match.destination.ports?.ranges ?? []) cuts.add(low).add(high + 1)
  }
  const starts = [...cuts].filter((port) => port <= LAST_PORT).sort((a, b) => a - b)
  const cells = starts.map((low, i) => ({ range: { low, high: (starts[i + 1] ?? LAST_PORT + 1) - 1 }, rules: rulesAt(possible, low) }))
  return joinCells(cells)
}

const LAST_PORT = 65_535

function canMatch({ protocols, notProtocol, families, icmp, notIcmp }: MatchRule, protocol: number): boolean {
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
    if (isMatched && isFinal(rule)) break
  }
  return left
}

/** Whether nothing gets past the rule, where protocol and destination port match. */
function isFinal({ match, effect }: BlockRule): boolean {
  const { source, destination, families } = match
  const isFree = Object.values(source).every((one) => one === undefined)
  const isPort = Object.entries(destination).every(([name, one]) => name === 'ports' || one === undefined)
  return isFree && isPort && families.length === 2 && effect.verdict.do !== 'continue'
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

/** Rules of all cells; cells with the same rules share a chain. */
function sizeOf(cells: readonly Cell[]): number {
  const distinct: Cell[] = []
  for (const cell of cells) if (!distinct.some(({ rules }) => isSame(rules, cell.rules))) distinct.push(cell)
  return distinct.reduce((sum, { rules }) => sum + rules.length, cells.length)
}

/**
 * The chain for packets of one protocol. The map has every port, and what it does not lead on is dropped: a packet that is on its way while
 * the map is taken down must not slip by.
 */
function protocolChain(cells: readonly Cell[], pieces: PieceCollector): string {
  const chains = cells.map(({ rules }) => pieces.chain('r_', linear(rules, pieces)))
  const [only] = chains
  if (only !== undefined && chains.length === 1) return only
  const elements = new Set(cells.map(({ range }, i) => `${formatRange(range)} goto ${chains[i]}`))
  const map = contentName('m_', [...elements].join())
  pieces.useFixed({ kind: 'set', name: map, key: 'port', family: 4, isInterval: true, isMap: true, elements })
  return pieces.chain('q_', [
    { matches: [], verdict: { do: 'map', on: 'dport', map } },
    { matches: [], verdict: { do: 'drop' }, isCounted: true },
  ])
}

function linear(rules: readonly Residual[], pieces: PieceCollector): readonly NftRule[] {
  return rules.flatMap(({ rule: { match, effect }, settled }) =>
    expandRule(match, pieces, settled).map((matches) => ({ matches, ...effect })),
  )
}
