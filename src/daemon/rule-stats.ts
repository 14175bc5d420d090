import type { RuleCount } from '../model/own/flows.ts'
import type { Tier } from '../model/tier.ts'
import type { Metric, Sample } from '../observe/metrics.ts'
import type { RuleTotals } from '../observe/rule-totals.ts'
import type { CountedRule } from '../policy/counted-rule.ts'
import { compareTiers } from '../policy/tiers.ts'
import { deciderOf } from './flow-event.ts'

/** What is counted, with what it stands for. */
export interface CountedRules {
  readonly rules: ReadonlyMap<string, CountedRule>
  readonly totals: RuleTotals
}

/** What decides in which order rules are asked. */
export interface RuleOrder {
  readonly tiers: ReadonlyMap<string, Tier>
  /** Of a policy; Infinity where it has none. */
  orderOf(rule: Extract<CountedRule, { by: 'policy' }>): number
}

/** The rules with what they counted, in the order in which they are asked. */
export function ruleCounts({ rules, totals }: CountedRules, order: RuleOrder): readonly RuleCount[] {
  const rows = [...rules].map(([name, rule]) => ({ rule, rank: rankOf(rule, order), count: totals.get(name) }))
  rows.sort((a, b) => compareRules(a, b, order))
  return rows.map(({ rule, count }) => ({
    direction: rule.direction,
    decider: deciderOf(rule),
    isStaged: rule.by === 'policy' && rule.isStaged,
    packets: count.packets,
    bytes: count.bytes,
  }))
}

/** Parts by which two rules are compared, one after the other. */
type Rank = readonly (number | string)[]

interface Ranked {
  readonly rule: CountedRule
  readonly rank: Rank
}

function compareRules(a: Ranked, b: Ranked, { tiers }: RuleOrder): number {
  const [first, second] = [a, b].map(({ rule }) => ('tier' in rule ? rule.tier : undefined))
  if (first !== undefined && second !== undefined && first !== second) return compareTiers(first, second, tiers)
  for (const [i, part] of a.rank.entries()) {
    const other = b.rank[i]
    if (part === other || other === undefined) continue
    return part < other ? -1 : 1
  }
  return 0
}

/** Tiers, then profiles, then the end; in a tier its policies, then its end. */
function rankOf(rule: CountedRule, order: RuleOrder): Rank {
  const { direction } = rule
  switch (rule.by) {
    case 'policy':
      return [0, 0, order.orderOf(rule), `${rule.name}/${rule.namespace ?? ''}/${rule.kind}`, direction === 'ingress' ? 0 : 1, rule.rule]
    case 'tier':
      return [0, 1, 0, '', direction === 'ingress' ? 0 : 1, 0]
    case 'profile':
      return [1, 0, 0, rule.profile, direction === 'ingress' ? 0 : 1, rule.rule]
    case 'end':
    case 'endpoint-to-host':
      return [rule.by === 'end' ? 2 : 3, 0, 0, '', direction === 'ingress' ? 0 : 1, 0]
  }
}

/** So many policies, directions and actions have a series each; what is beyond them is one. */
const MOST_SERIES = 2000

/** A series for each policy, direction and action: rules are too many for a series each. */
export function ruleMetrics(counted: () => CountedRules): readonly Metric[] {
  const samples = (of: 'packets' | 'bytes') => () => bounded(sumByPolicy(counted(), of))
  return [
    {
      name: 'margay_policy_packets_total',
      help: 'Packets of new connections that rules of a policy matched, by what the rules do.',
      type: 'counter',
      samples: samples('packets'),
    },
    {
      name: 'margay_policy_bytes_total',
      help: 'Bytes of those packets.',
      type: 'counter',
      samples: samples('bytes'),
    },
    {
      name: 'margay_denied_packets_total',
      help: 'Packets that were denied: by a policy, by a profile, at the end of a tier, or because nothing allowed them.',
      type: 'counter',
      samples: () => deniedSamples(counted()),
    },
  ]
}

function sumByPolicy({ rules, totals }: CountedRules, of: 'packets' | 'bytes'): readonly Sample[] {
  const sums = new Map<string, { readonly labels: Readonly<Record<string, string>>; value: number }>()
  for (const [name, rule] of rules) {
    if (rule.by !== 'policy') continue
    const { kind, namespace = '', tier, direction } = rule
    const labels = { kind, namespace, policy: rule.name, tier, direction, action: rule.action.toLowerCase() }
    const key = Object.values(labels).join('\0')
    const value = totals.get(name)[of]
    const sum = sums.get(key)
    if (sum) sum.value += value
    else sums.set(key, { labels, value })
  }
  return [...sums.values()]
}

function bounded(samples: readonly Sample[]): readonly Sample[] {
  if (samples.length <= MOST_SERIES) return samples
  const rest = samples.slice(MOST_SERIES).reduce((sum, { value }) => sum + value, 0)
  return [
    ...samples.slice(0, MOST_SERIES),
    { labels: { kind: '', namespace: '', policy: '', tier: '', direction: '', action: '' }, value: rest },
  ]
}

function deniedSamples({ rules, totals }: CountedRules): readonly Sample[] {
  const sums = new Map<string, number>()
  for (const [name, rule] of rules) {
    if (!isDenying(rule)) continue
    const key = `${rule.by} ${rule.direction}`
    sums.set(key, (sums.get(key) ?? 0) + totals.get(name).packets)
  }
  return [...sums].map(([key, value]) => {
    const [by = '', direction = ''] = key.split(' ')
    return { labels: { by, direction }, value }
  })
}

/** Whether what the rule matches is dropped. */
export function isDenying(rule: CountedRule): boolean {
  if (rule.by === 'policy') return rule.action === 'Deny' && !rule.isStaged
  return rule.by !== 'profile' || rule.action === 'Deny'
}
