import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aTier, byId } from '../../test/support/policies.ts'
import { RuleTotals } from '../observe/rule-totals.ts'
import type { CountedRule } from '../policy/counted-rule.ts'
import { ruleCounts, ruleMetrics } from './rule-stats.ts'

const test = suite('daemon/rule-stats')

function policyRule(name: string, rule: number, over: Partial<Extract<CountedRule, { by: 'policy' }>> = {}): CountedRule {
  return {
    ...{ by: 'policy', direction: 'ingress', kind: 'GlobalNetworkPolicy', namespace: undefined, name, tier: 'default' },
    ...{ isStaged: false, rule, action: 'Allow', ...over },
  }
}

/** The rules with as many packets as their place in the list says, counted from 1. */
function counted(...list: readonly CountedRule[]) {
  const rules = new Map(list.map((rule, i) => [`c${i}`, rule]))
  const totals = new RuleTotals()
  totals.update(new Map(list.map((_, i) => [`c${i}`, { packets: i + 1, bytes: (i + 1) * 100 }])))
  return { rules, totals }
}

const tiers = byId([aTier('default', { order: 10 }), aTier('ops', { order: 1 })])
const orders: Readonly<Record<string, number>> = { first: 1, second: 2 }

test('rules stand in the order in which they are asked', () => {
  const rows = ruleCounts(
    counted(
      { by: 'end', direction: 'ingress' },
      { by: 'profile', direction: 'ingress', profile: 'kns.a', rule: 0, action: 'Allow' },
      { by: 'tier', direction: 'ingress', tier: 'default' },
      policyRule('unordered', 0),
      policyRule('second', 1),
      policyRule('second', 0),
      policyRule('first', 0, { direction: 'egress' }),
      policyRule('first', 10),
      policyRule('first', 2),
      policyRule('gone', 0, { tier: 'gone' }),
      { by: 'tier', direction: 'ingress', tier: 'ops' },
      policyRule('strict', 0, { tier: 'ops', kind: 'StagedGlobalNetworkPolicy', isStaged: true, action: 'Deny' }),
    ),
    { tiers, orderOf: ({ name }) => orders[name] ?? Number.POSITIVE_INFINITY },
  )
  assert.equal(
    rows.map(({ decider: { by, tier, name, rule }, direction, packets }) => `${by} ${tier} ${name} ${direction} ${rule}: ${packets}`),
    [
      'policy ops strict ingress 0: 12',
      'tier ops undefined ingress undefined: 11',
      'policy default first ingress 2: 9',
      'policy default first ingress 10: 8',
      'policy default first egress 0: 7',
      'policy default second ingress 0: 6',
      'policy default second ingress 1: 5',
      'policy default unordered ingress 0: 4',
      'tier default undefined ingress undefined: 3',
      'policy gone gone ingress 0: 10',
      'profile undefined kns.a ingress 0: 2',
      'end undefined undefined ingress undefined: 1',
    ],
  )
  assert.equal([rows[0]?.isStaged, rows[0]?.bytes, rows[1]?.isStaged], [true, 1200, false])
})

const sampled = (name: string, ...list: readonly CountedRule[]) => {
  const metric = ruleMetrics(() => counted(...list)).find((one) => one.name === name)
  return metric?.samples() ?? []
}

test('a metric has a series for each policy, direction and action, not for each rule', () => {
  const series = sampled(
    'margay_policy_packets_total',
    policyRule('web', 0),
    policyRule('web', 1),
    policyRule('web', 2, { action: 'Deny' }),
  )
  const labels = { kind: 'GlobalNetworkPolicy', namespace: '', policy: 'web', tier: 'default', direction: 'ingress' }
  assert.equal(series, [
    { labels: { ...labels, action: 'allow' }, value: 3 },
    { labels: { ...labels, action: 'deny' }, value: 3 },
  ])
})

test('of very many policies those beyond 2,000 series are one', () => {
  const series = sampled('margay_policy_packets_total', ...Array.from({ length: 2003 }, (_, i) => policyRule(`p${i}`, 0)))
  assert.is(series.length, 2001)
  assert.equal([series.at(-1)?.labels?.['policy'], series.at(-1)?.value], ['', 2001 + 2002 + 2003])
})

test('what was denied is counted by what denied it; staged policies deny nothing', () => {
  const series = sampled(
    'margay_denied_packets_total',
    policyRule('web', 0, { action: 'Deny' }),
    policyRule('web', 1, { action: 'Deny' }),
    policyRule('strict', 0, { action: 'Deny', isStaged: true }),
    { by: 'profile', direction: 'ingress', profile: 'a', rule: 0, action: 'Allow' },
    { by: 'tier', direction: 'egress', tier: 'default' },
  )
  assert.equal(series, [
    { labels: { by: 'policy', direction: 'ingress' }, value: 3 },
    { labels: { by: 'tier', direction: 'egress' }, value: 5 },
  ])
})

test.run()
