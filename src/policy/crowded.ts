import type { NftRule, NftVerdict } from '../kernel/objects.ts'
import type { PortRange } from '../net/port.ts'
import { type BlockRule, canMatch, type Form } from './block.ts'

/**
 * For all crowded ports together so many times as many rules as the tier has: the kernel looks at all of them when some rule changes. The
 * first one always has its row, of at most as many.
 */
const MOST_GROWTH = 0.4
/** In shorter lists there is little to save. */
const FEWEST_RULES = 100

/** What the rules of a policy say about destination ports, for packets of one protocol. */
interface PortUse {
  /** Rules that can match such packets. */
  readonly rules: number
  /** Those of them that can match at any port, or that name ports by name. */
  readonly others: number
  /** How many name each port. */
  readonly named: ReadonlyMap<number, number>
  readonly ranges: readonly PortRange[]
}

/**
 * The destination ports for which a tier's policies get a chain with all that can match there in one row: those that most rules name. There
 * a packet is spared a chain and a look at its port in each policy. But those rules stand there again and are not shared with other
 * lists, so that only as many ports as the budget allows have it.
 */
export function crowdedPorts(policies: readonly (readonly BlockRule[])[], protocol: number, form: Form): readonly number[] {
  if (form === 'linear') return []
  const uses = policies.map((rules) => portUse(rules, protocol))
  const total = uses.reduce((sum, { rules }) => sum + rules, 0)
  if (form === 'any' && total < FEWEST_RULES) return []
  const others = uses.reduce((sum, use) => sum + use.others, 0)
  const named = new Map<number, number>()
  for (const use of uses) for (const [port, count] of use.named) named.set(port, (named.get(port) ?? 0) + count)
  let left = form === 'any' ? total * MOST_GROWTH : Number.POSITIVE_INFINITY
  const byCrowd = [...named].sort(([a, x], [b, y]) => y - x || a - b)
  return byCrowd.flatMap(([port, count], i) => {
    left -= count + others
    return left < 0 && i > 0 ? [] : [port]
  })
}

/** Whether one of the rules names the port, for packets of this protocol. */
export function isNamed(rules: readonly BlockRule[], protocol: number, port: number): boolean {
  const { named, ranges } = portUse(rules, protocol)
  return named.has(port) || ranges.some(({ low, high }) => low <= port && port <= high)
}

/**
 * The policies that have a rule for a port, in their order: there may be thousands that name another one each, and to ask each of them about
 * each port would take the square of that.
 */
export function policiesByPort<T extends { readonly rules: readonly BlockRule[]; readonly isStaged: boolean }>(
  policies: readonly T[],
  protocol: number,
): (port: number) => readonly T[] {
  const named = new Map<number, number[]>()
  const anywhere: number[] = []
  for (const [i, { rules, isStaged }] of policies.entries()) {
    const use = portUse(rules, protocol)
    if (isStaged || use.others > 0 || use.ranges.length > 0) anywhere.push(i)
    else
      for (const port of use.named.keys()) {
        const there = named.get(port)
        if (there) there.push(i)
        else named.set(port, [i])
      }
  }
  return (port) => [...(named.get(port) ?? []), ...anywhere].sort((a, b) => a - b).flatMap((i) => policies[i] ?? [])
}

/** The rules without those that say what an earlier one has said already, which ended it. */
export function withoutRepeated(rules: readonly NftRule[]): readonly NftRule[] {
  const ended = new Set<string>()
  return rules.filter((rule) => {
    const text = matchesOf(rule)
    if (ended.has(text)) return false
    if (ENDS.includes(rule.verdict.do) && rule.limit === undefined) ended.add(text)
    return true
  })
}

const ENDS: readonly NftVerdict['do'][] = ['accept', 'drop', 'reject', 'return']

/** Looked up, because a list is made anew for each of its policies that changes. */
function portUse(rules: readonly BlockRule[], protocol: number): PortUse {
  const known = USES.get(rules)
  const found = known?.get(protocol)
  if (found) return found
  const use = findPortUse(rules, protocol)
  if (known) known.set(protocol, use)
  else USES.set(rules, new Map([[protocol, use]]))
  return use
}

const USES = new WeakMap<readonly BlockRule[], Map<number, PortUse>>()

function findPortUse(rules: readonly BlockRule[], protocol: number): PortUse {
  const possible = rules.filter(({ match }) => canMatch(match, protocol)).map(({ match }) => match.destination.ports)
  const named = new Map<number, number>()
  for (const { low, high } of possible.flatMap((ports) => ports?.ranges ?? [])) {
    if (low === high) named.set(low, (named.get(low) ?? 0) + 1)
  }
  return {
    rules: possible.length,
    others: possible.filter((ports) => ports === undefined || ports.named.length > 0).length,
    named,
    ranges: possible.flatMap((ports) => ports?.ranges.filter(({ low, high }) => low !== high) ?? []),
  }
}

/** What must match, as a text that is made once. */
function matchesOf(rule: NftRule): string {
  const known = MATCHES.get(rule)
  if (known !== undefined) return known
  const text = JSON.stringify(rule.matches)
  MATCHES.set(rule, text)
  return text
}

const MATCHES = new WeakMap<NftRule, string>()
