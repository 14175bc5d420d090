import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy, aPacket, aPolicy, aProfile, aStagedGlobalPolicy, aTier, byId, nets } from '../../test/support/policies.ts'
import type { Rule } from '../model/rule.ts'
import type { Tier } from '../model/tier.ts'
import { evaluateList, type Step } from './evaluate.ts'
import { SearchedMembers } from './members.ts'
import { type PolicyResource, readPolicy } from './policies.ts'
import { readProfile } from './profiles.ts'
import { type ListStage, orderPolicies } from './tiers.ts'

const test = suite('policy/evaluate')

const members = new SearchedMembers({ labelled: [], profiles: new Map() })
const allow: Rule = { action: 'Allow' }
const deny: Rule = { action: 'Deny' }
const pass: Rule = { action: 'Pass' }
const log: Rule = { action: 'Log' }
const allowUdp: Rule = { action: 'Allow', protocol: 'UDP' }
const profiles = byId([
  aProfile('open', { ingress: [allow], egress: [allow] }),
  aProfile('closed', { ingress: [deny] }),
  aProfile('passing', { ingress: [pass, deny] }),
  aProfile('undecided', { ingress: [allowUdp] }),
])

interface Case {
  readonly name: string
  readonly policies?: readonly PolicyResource[]
  readonly tiers?: readonly Tier[]
  readonly profiles?: readonly string[]
  readonly stage?: ListStage
  readonly packet?: string
  readonly want: string
  /** Where staged policies would change it. */
  readonly staged?: string
  /** Who was asked and said what, in order. */
  readonly steps?: readonly string[]
}

const first = aTier('first', { order: 1 })
const second = aTier('second', { order: 2 })
const inTier = (tier: string, name: string, ...ingress: readonly Rule[]) => aGlobalPolicy(name, { tier, types: ['Ingress'], ingress })
const inDefault = (name: string, ...ingress: readonly Rule[]) => inTier('default', name, ...ingress)
const staged = (name: string, ...ingress: readonly Rule[]) => aStagedGlobalPolicy(name, { types: ['Ingress'], ingress })
const ordered = (name: string, order: number, ...ingress: readonly Rule[]) => aGlobalPolicy(name, { types: ['Ingress'], ingress, order })
const early = (stage: 'doNotTrack' | 'preDNAT', ...ingress: readonly Rule[]) =>
  aGlobalPolicy('early', { types: ['Ingress'], ingress, [stage]: true, applyOnForward: true })

const cases: readonly Case[] = [
  { name: 'without policies and profiles everything is denied', want: 'deny', steps: ['end Deny'] },
  { name: 'a profile allows', profiles: ['open'], want: 'allow', steps: ['open 0 Allow'] },
  {
    name: 'a profile that decides nothing leaves it to the next',
    profiles: ['undecided', 'open'],
    want: 'allow',
    steps: ['undecided -', 'open 0 Allow'],
  },
  { name: 'a profile denies before the next', profiles: ['closed', 'open'], want: 'deny' },
  { name: 'Pass in a profile ends that profile', profiles: ['passing', 'open'], want: 'allow', steps: ['passing 0 Pass', 'open 0 Allow'] },
  { name: 'a profile that is not there denies', profiles: ['gone', 'open'], want: 'deny', steps: ['gone 0 Deny'] },
  { name: 'the built-in profile allows', profiles: ['projectcalico-default-allow'], want: 'allow' },
  {
    name: 'the first rule that matches decides',
    policies: [inDefault('p', { ...allow, protocol: 'UDP' }, deny, allow)],
    want: 'deny',
    steps: ['default p 1 Deny'],
  },
  {
    name: 'Log goes on to the next rule',
    policies: [inDefault('p', log, log, allow)],
    want: 'allow',
    steps: ['default p 0 Log', 'default p 1 Log', 'default p 2 Allow'],
  },
  {
    name: 'what no rule matches goes to the next policy',
    policies: [inDefault('a', allowUdp), inDefault('b', allow)],
    want: 'allow',
    steps: ['default a -', 'default b 0 Allow'],
  },
  {
    name: 'at the end of a tier it is denied, whatever profiles say',
    policies: [inDefault('a', allowUdp)],
    profiles: ['open'],
    want: 'deny',
    steps: ['default a -', 'tier default Deny'],
  },
  { name: 'a policy without rules denies', policies: [inDefault('a')], profiles: ['open'], want: 'deny' },
  {
    name: 'a tier whose default action is Pass leaves it to the next tier, and the last to the profiles',
    tiers: [aTier('first', { order: 1, defaultAction: 'Pass' })],
    policies: [inTier('first', 'a', allowUdp)],
    profiles: ['open'],
    want: 'allow',
    steps: ['first a -', 'tier first Pass', 'open 0 Allow'],
  },
  {
    name: 'Pass skips the rest of the tier',
    tiers: [first, second],
    policies: [inTier('first', 'a', pass, deny), inTier('first', 'b', deny), inTier('second', 'c', allow)],
    want: 'allow',
    steps: ['first a 0 Pass', 'second c 0 Allow'],
  },
  { name: 'Pass in the last tier leads to the profiles', policies: [inDefault('a', pass)], profiles: ['open'], want: 'allow' },
  {
    name: 'Pass in the last tier without profiles denies',
    policies: [inDefault('a', pass)],
    want: 'deny',
    steps: ['default a 0 Pass', 'end Deny'],
  },
  {
    name: 'tiers go by their order, not by their names',
    tiers: [aTier('a', { order: 2 }), aTier('b', { order: 1 })],
    policies: [inTier('a', 'x', deny), inTier('b', 'y', allow)],
    want: 'allow',
    steps: ['b y 0 Allow'],
  },
  {
    name: 'tiers of equal order go by name',
    tiers: [aTier('b', { order: 1 }), aTier('a', { order: 1 })],
    policies: [inTier('b', 'x', deny), inTier('a', 'y', allow)],
    want: 'allow',
  },
  {
    name: 'a tier without an order is last',
    tiers: [aTier('a'), aTier('b', { order: 1e9 })],
    policies: [inTier('a', 'x', deny), inTier('b', 'y', allow)],
    want: 'allow',
  },
  {
    name: 'a tier that does not exist comes after one without an order, and denies',
    tiers: [aTier('z', { defaultAction: 'Pass' })],
    policies: [inTier('a', 'x', allowUdp), inTier('z', 'y', pass)],
    profiles: ['open'],
    want: 'deny',
    steps: ['z y 0 Pass', 'a x -', 'tier a Deny'],
  },
  {
    name: 'policies go by their order, below zero too',
    policies: [ordered('a', 1, deny), ordered('b', 0.5, deny), ordered('c', -1, allow)],
    want: 'allow',
  },
  { name: 'a policy without an order is last', policies: [inDefault('a', deny), ordered('z', 1e9, allow)], want: 'allow' },
  {
    name: 'policies of equal order go by name, then namespace, then kind',
    policies: [aPolicy('blue/p', { ingress: [allow] }), inDefault('p', deny), aPolicy('a/q', { ingress: [allow] })],
    want: 'deny',
    steps: ['default p 0 Deny'],
  },
  {
    name: 'a policy without types governs both directions',
    policies: [aGlobalPolicy('p', { egress: [allow] })],
    profiles: ['open'],
    want: 'deny',
  },
  {
    name: 'a policy of the other direction does not count',
    policies: [aGlobalPolicy('p', { types: ['Egress'] })],
    profiles: ['open'],
    want: 'allow',
  },
  {
    name: 'a staged policy changes nothing, and says what it would do',
    policies: [staged('s', deny), inDefault('t', allow)],
    want: 'allow',
    staged: 'deny',
    steps: ['default s 0 Deny staged', 'default t 0 Allow'],
  },
  { name: 'a tier of staged policies alone is none', policies: [staged('s', allowUdp)], profiles: ['open'], want: 'allow', staged: 'deny' },
  {
    name: 'a staged policy would take the place of the one of its name',
    policies: [staged('p', allow), inDefault('p', deny)],
    want: 'deny',
    staged: 'allow',
  },
  {
    name: 'a staged policy that would be deleted says nothing',
    policies: [aStagedGlobalPolicy('p', { stagedAction: 'Delete' }), inDefault('p', deny)],
    want: 'deny',
    steps: ['default p 0 Deny'],
  },
  {
    name: 'what is forwarded passes where no policy is for it',
    stage: 'forward',
    policies: [inDefault('p', deny)],
    want: 'none',
    steps: [],
  },
  {
    name: 'what is forwarded is denied at the end of a tier',
    stage: 'forward',
    policies: [aGlobalPolicy('p', { types: ['Ingress'], ingress: [allowUdp], applyOnForward: true })],
    profiles: ['open'],
    want: 'deny',
  },
  {
    name: 'what is forwarded and passed by all tiers passes without profiles',
    stage: 'forward',
    policies: [aGlobalPolicy('p', { types: ['Ingress'], ingress: [pass], applyOnForward: true })],
    profiles: ['closed'],
    want: 'none',
  },
  {
    name: 'a policy for what is forwarded is for what is delivered, too',
    policies: [aGlobalPolicy('p', { types: ['Ingress'], ingress: [allow], applyOnForward: true })],
    want: 'allow',
  },
  { name: 'before tracking nothing is denied by default', stage: 'untracked', policies: [early('doNotTrack', allowUdp)], want: 'none' },
  { name: 'before NAT nothing is denied by default', stage: 'pre-dnat', policies: [early('preDNAT', allowUdp)], want: 'none' },
  { name: 'before NAT a rule denies', stage: 'pre-dnat', policies: [early('preDNAT', deny)], want: 'deny' },
  { name: 'a policy before NAT is not asked later', policies: [early('preDNAT', deny)], profiles: ['open'], want: 'allow' },
  {
    name: 'a policy before tracking is not asked of what is forwarded',
    stage: 'forward',
    policies: [early('doNotTrack', deny)],
    want: 'none',
  },
  {
    name: 'of a policy of a namespace rules are scoped to it',
    policies: [
      aPolicy('red/p', {
        ingress: [
          { ...allow, source: { selector: 'all()' } },
          { ...allow, source: { nets: nets('192.0.2.0/24') } },
        ],
      }),
    ],
    want: 'allow',
    steps: ['default p 1 Allow'],
  },
]

for (const { name, want, steps, staged: wantStaged, ...given } of cases) {
  test(name, () => {
    const tiers = byId([...(given.tiers ?? []), aTier('default', { order: 1e6 })])
    const policies = (given.policies ?? []).flatMap((one) => readPolicy(one) ?? [])
    const endpoint = {
      id: 'e',
      tiers: orderPolicies(policies, tiers),
      profiles: (given.profiles ?? []).map((profile) => readProfile(profile, profiles.get(profile))),
    }
    const packet = aPacket(given.packet ?? 'tcp 192.0.2.9:40000 > 10.65.0.2:80')
    const result = evaluateList(endpoint, given.stage ?? 'normal', 'ingress', packet, members)
    assert.is(result.verdict, want)
    assert.is(result.stagedVerdict, wantStaged ?? want)
    if (steps !== undefined) assert.equal(result.steps.map(show), steps)
    const backwards = { ...endpoint, tiers: orderPolicies(policies.toReversed(), tiers) }
    assert.equal(
      evaluateList(backwards, given.stage ?? 'normal', 'ingress', packet, members),
      result,
      'the order of the store must not matter',
    )
  })
}

test.run()

function show(step: Step): string {
  if (step.by === 'end') return `end ${step.action}`
  if (step.by === 'tier') return `tier ${step.tier} ${step.action}`
  const what = step.rule === undefined ? '-' : `${step.rule} ${step.action}`
  if (step.by === 'profile') return `${step.profile} ${what}`
  return `${step.tier} ${step.policy.split('/')[0]} ${what}${step.isStaged ? ' staged' : ''}`
}
