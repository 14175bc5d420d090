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
  const named = new Set([...rules.values()].flatMap((rule) => ('tier' in rule ? [rule.tier] : [])))
  const sorted = [...named].sort((a, b) => compareTiers(a, b, order.tiers))
  const tiers = new Map(sorted.map((tier, i) => [tier, i]))
  const rows = [...rules].map(([name, rule]) => ({ name, rule, rank: rankOf(rule, tiers, order) }))
  rows.sort((a, b) => compareRanks(a.rank, b.rank))
  return rows.map(({ name, rule }) => {
    const { packets, bytes } = totals.get(name)
    return { direction: rule.direction, decider: deciderOf(rule), isStaged: rule.by === 'policy' && rule.isStaged, packets, bytes }
  })
}

/** What two rules are compared by, one after the other: there may be tens of thousands. */
interface Rank {
  /** Of the tier, then what is asked after all tiers. */
  readonly place: number
  /** Policies by their order; the end of the tier after them. */
  readonly order: number
  readonly isEnd: number
  readonly key: string
  readonly direction: number
  readonly rule: number
}

function compareRanks(a: Rank, b: Rank): number {
  if (a.place !== b.place) return a.place - b.place
  if (a.isEnd !== b.isEnd) return a.isEnd - b.isEnd
  if (a.order !== b.order) return a.order < b.order ? -1 : 1
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  return a.direction - b.direction || a.rule - b.rule
}

/** Tiers, then profiles, then the end; in a tier its policies, then its end. */
function rankOf(rule: CountedRule, tiers: ReadonlyMap<string, number>, { orderOf }: RuleOrder): Rank {
  const direction = rule.direction === 'ingress' ? 0 : 1
  // Written out: objects that are put together from others are ten times as slow to make and to compare.
  switch (rule.by) {
    case 'policy': {
      const key = `${rule.name}/${rule.namespace ?? ''}/${rule.kind}`
      return { place: tiers.get(rule.tier) ?? 0, isEnd: 0, order: orderOf(rule), key, direction, rule: rule.rule }
    }
    case 'tier':
      return { place: tiers.get(rule.tier) ?? 0, isEnd: 1, order: 0, key: '', direction, rule: 0 }
    case 'profile':
      return { place: tiers.size, isEnd: 0, order: 0, key: rule.profile, direction, rule: rule.rule }
    case 'missing-profile':
      return { place: tiers.size, isEnd: 0, order: 0, key: rule.profile, direction, rule: 0 }
    case 'closed':
      return { place: -1, isEnd: 0, order: 0, key: rule.name ?? '', direction, rule: 0 }
    case 'end':
      return { place: tiers.size + 1, isEnd: 0, order: 0, key: '', direction, rule: 0 }
    case 'endpoint-to-host':
      return { place: tiers.size + 2, isEnd: 0, order: 0, key: '', direction, rule: 0 }
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
    const { kind, namespace = '', tier, direction, action } = rule
    const key = `${kind} ${namespace}/${rule.name} ${tier} ${direction} ${action}`
    const value = totals.get(name)[of]
    const sum = sums.get(key)
    if (sum) sum.value += value
    else sums.set(key, { labels: { kind, namespace, policy: rule.name, tier, direction, action: action.toLowerCase() }, value })
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
