import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy, aProfile, aStagedGlobalPolicy, aTier, byId } from '../../test/support/policies.ts'
import { showNft } from '../../test/support/show-nft.ts'
import type { NftObject } from '../kernel/objects.ts'
import type { Rule } from '../model/rule.ts'
import { PieceCollector } from './chains.ts'
import { type CountedRule, counterOf, type LogSettings, readLogText, writeLogText } from './counted-rule.ts'
import { ListCompiler } from './lists.ts'
import { type PolicyResource, readPolicy } from './policies.ts'
import { readProfile } from './profiles.ts'
import { type ListStage, orderPolicies } from './tiers.ts'

const test = suite('policy/counted-rule')

const rule: CountedRule = {
  ...{ by: 'policy', direction: 'ingress', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', tier: 'default' },
  ...{ isStaged: false, rule: 3, action: 'Allow' },
}

test('a counter keeps its name while the rule does the same in the same place, whatever its tier, and no two rules share one', () => {
  const { name } = counterOf(rule).object
  assert.is(counterOf({ ...rule, tier: 'other' }).object.name, name)
  const others: readonly CountedRule[] = [
    { ...rule, rule: 4 },
    { ...rule, action: 'Deny' },
    { ...rule, direction: 'egress' },
    { ...rule, namespace: undefined, name: 'shop/web' },
    { ...rule, kind: 'StagedNetworkPolicy', isStaged: true },
    { by: 'profile', direction: 'ingress', profile: 'web', rule: 3, action: 'Allow' },
    { by: 'tier', direction: 'ingress', tier: 'web' },
    { by: 'end', direction: 'ingress' },
    { by: 'missing-profile', direction: 'ingress', profile: 'web' },
    { by: 'closed', direction: 'ingress' },
    { by: 'closed', direction: 'ingress', kind: 'NetworkPolicy', namespace: 'shop', name: 'web' },
  ]
  const names = new Set(others.map((one) => counterOf(one).object.name))
  assert.is(names.size, others.length)
  assert.not.ok(names.has(name))
})

test('the text of a log is read as it was written, fits into what the kernel takes, and others are none of ours', () => {
  const text = { counter: counterOf(rule).object.name, verdict: 'staged-allow', stage: 'untracked' } as const
  assert.equal(readLogText(writeLogText(text)), text)
  assert.ok(Buffer.byteLength(writeLogText(text)) <= 127)
  for (const other of ['', 'margay', 'margay a b', 'margay a deny somewhere', 'margay a deny normal more', 'calico-packet: a deny normal'])
    assert.is(readLogText(other), undefined, other)
})

const LIMIT = { rate: 10, seconds: 1, burst: 20 } as const
const LOGS: LogSettings = { group: 7, verdicts: LIMIT, logAction: { rate: 5, seconds: 60, burst: 2 } }

/** The chains of a list of these policies, counters and chains by what they are for. */
function shown(resources: readonly PolicyResource[], logs: LogSettings | undefined, stage: ListStage = 'normal'): readonly string[] {
  const lists = new ListCompiler({ markBit: 1, deny: 'drop', shapeOf: () => 'hash', logs })
  const policies = resources.flatMap((one) => readPolicy(one) ?? [])
  const tiers = orderPolicies(policies, byId([aTier('default', { order: 1 })]))
  const profiles = [readProfile('open', aProfile('open', { ingress: [{ action: 'Allow' }] }))]
  const list = lists.compile({ id: 'w', tiers, profiles }, { stage, direction: 'ingress', canReject: true })
  const all = new PieceCollector(() => 'hash')
  const objects: NftObject[] = [{ kind: 'chain', name: 'list', rules: list.rules }]
  const names = new Map<string, string>()
  const visit = (pieces: typeof list | typeof all): void => {
    for (const part of pieces.parts) visit(part as typeof list)
    objects.push(...pieces.chains.values())
    for (const [name, { rule: one }] of pieces.counters)
      names.set(name, one.by === 'policy' ? `${one.name}/${one.rule}` : one.by === 'tier' ? 'end-of-tier' : one.by)
  }
  visit(list)
  const chains = new Map<string, string>()
  return showNft(objects)
    .join('\n')
    .replaceAll(/count_[0-9a-f]{20}/g, (name) => names.get(name) ?? name)
    .replaceAll(/\b([a-z]_)[0-9a-f]{20}/g, (name, prefix) => {
      const short = chains.get(name) ?? `${prefix}${chains.size + 1}`
      chains.set(name, short)
      return short
    })
    .split('\n')
}

const ingress: readonly Rule[] = [
  { action: 'Log', protocol: 'UDP' },
  { action: 'Deny', protocol: 'UDP' },
  { action: 'Pass', protocol: 'TCP' },
]
const policy = aGlobalPolicy('p', { types: ['Ingress'], ingress })

test('each rule counts; what is denied or logged is told of in a chain of its own, so that what matched is asked once', () => {
  assert.equal(shown([policy], LOGS), [
    ...['chain list', '  jump t_1', '  counter profile accept', '  jump x_2'],
    'chain x_3',
    '  limit 5/60s burst 2 log 7 "margay p/0 log normal" continue',
    '  counter p/0 continue',
    'chain x_4',
    '  limit 10/1s burst 20 log 7 "margay p/1 deny normal" continue',
    '  counter p/1 drop',
    'chain x_5',
    '  limit 10/1s burst 20 log 7 "margay end-of-tier deny normal" continue',
    '  counter end-of-tier drop',
    'chain t_1',
    '  protocol 17 jump x_3',
    '  protocol 17 jump x_4',
    '  protocol 6 counter p/2 return',
    '  jump x_5',
    'chain x_2',
    '  limit 10/1s burst 20 log 7 "margay end deny normal" continue',
    '  counter end drop',
  ])
})

test('without NFLOG rules count only', () => {
  assert.equal(shown([policy], undefined), [
    ...['chain list', '  jump t_1', '  counter profile accept', '  counter end drop'],
    'chain t_1',
    '  protocol 17 counter p/0 continue',
    '  protocol 17 counter p/1 drop',
    '  protocol 6 counter p/2 return',
    '  counter end-of-tier drop',
  ])
})

const annotations = { 'margay.io/log': 'true' }
const logged = <T extends PolicyResource>(one: T): T => ({ ...one, metadata: { ...one.metadata, annotations } })

test('a policy with the annotation tells of what it allows, before tracking too; passing and counting stay as they are', () => {
  const allowing = logged(aGlobalPolicy('a', { types: ['Ingress'], ingress: [{ action: 'Allow', protocol: 'UDP' }, { action: 'Pass' }] }))
  const lines = shown([allowing], LOGS)
  assert.ok(lines.includes('  limit 10/1s burst 20 log 7 "margay a/0 allow normal" continue'))
  assert.ok(lines.includes('  counter a/0 accept'))
  assert.ok(lines.includes('  counter a/1 return'))
  const early = logged(
    aGlobalPolicy('e', { types: ['Ingress'], doNotTrack: true, applyOnForward: true, ingress: [{ action: 'Allow', protocol: 'UDP' }] }),
  )
  assert.equal(shown([early], LOGS, 'untracked'), [
    ...['chain list', '  protocol 17 jump x_1'],
    'chain x_1',
    '  limit 10/1s burst 20 log 7 "margay e/0 allow untracked" continue',
    '  counter e/0 mark 1/1 notrack',
  ])
})

test('a staged policy counts in a chain that ends with its first match and decides nothing, alone in its tier too', () => {
  const staged = aStagedGlobalPolicy('s', { types: ['Ingress'], order: 1, ingress })
  assert.equal(shown([staged, aGlobalPolicy('p', { types: ['Ingress'], order: 2, ingress: [{ action: 'Allow' }] })], undefined), [
    ...['chain list', '  jump s_1', '  counter p/0 accept', '  counter end-of-tier drop'],
    'chain s_1',
    '  protocol 17 counter s/0 continue',
    '  protocol 17 counter s/1 return',
    '  protocol 6 counter s/2 return',
  ])
  assert.equal(shown([staged], LOGS).slice(0, 4), ['chain list', '  jump s_1', '  counter profile accept', '  jump x_2'])
})

test('a staged policy with the annotation tells what it would have done, and ends all the same', () => {
  const lines = shown([logged(aStagedGlobalPolicy('s', { types: ['Ingress'], ingress }))], LOGS)
  const start = lines.findIndex((line) => line.startsWith('chain s_'))
  assert.equal(lines.slice(start + 1, start + 4), ['  protocol 17 counter s/0 continue', '  protocol 17 goto x_3', '  protocol 6 goto x_4'])
  assert.ok(lines.includes('  limit 10/1s burst 20 log 7 "margay s/1 staged-deny normal" continue'))
  assert.ok(lines.includes('  counter s/1 return'))
  assert.ok(lines.includes('  limit 10/1s burst 20 log 7 "margay s/2 staged-pass normal" continue'))
})

test.run()
