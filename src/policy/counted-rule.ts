import type { NftCounter, NftLimit, NftRule } from '../kernel/objects.ts'
import type { RuleAction } from '../model/rule.ts'
import { closedBy, type Unreadable } from './closed.ts'
import type { Direction, Policy, PolicyKind } from './policies.ts'
import { contentName } from './set-names.ts'
import type { ListStage } from './tiers.ts'

/** What packets are counted and logged under: what decided about them, seen from the endpoint in one direction. */
export type CountedRule = { readonly direction: Direction } & (
  | ({ readonly by: 'policy' } & PolicyRule)
  /** None of the tier's policies decided, and its default action is to deny. */
  | { readonly by: 'tier'; readonly tier: string }
  | { readonly by: 'profile'; readonly profile: string; readonly rule: number; readonly action: RuleAction }
  /** The endpoint's profile does not exist. */
  | { readonly by: 'missing-profile'; readonly profile: string }
  | ({ readonly by: 'closed' } & Unreadable)
  /** Nothing applied: no tier, and no profile allowed it. */
  | { readonly by: 'end' }
  /** A workload's policies allowed it, and what workloads send to their own host is dropped all the same. */
  | { readonly by: 'endpoint-to-host' }
)

/** A rule of a policy; `rule` counts from 0. */
export interface PolicyRule {
  readonly kind: PolicyKind
  readonly namespace: string | undefined
  readonly name: string
  readonly tier: string
  readonly isStaged: boolean
  readonly rule: number
  readonly action: RuleAction
}

/** How what happens is told of over NFLOG; without `limit` everything is. */
export interface LogSettings {
  readonly group: number
  /** For each rule that denies, and each that is to tell of what it allows. */
  readonly verdicts: NftLimit
  /** For each rule that is there to log. */
  readonly logAction: NftLimit | undefined
}

/** What is done where a rule matches; the rest of it is what must match. */
export type Effect = Omit<NftRule, 'matches'>

/** A rule's counter, with what it stands for. */
export interface RuleCounter {
  readonly object: NftCounter
  readonly rule: CountedRule
}

/** What became of a packet, in a log's text. */
export type LoggedVerdict = 'allow' | 'deny' | 'log' | 'staged-allow' | 'staged-deny' | 'staged-pass'

/** The counter of a rule. Its name stays while the rule does the same in the same place: so does what it counted. */
export function counterOf(rule: CountedRule): RuleCounter {
  return { object: { kind: 'counter', name: contentName('count_', describe(rule)) }, rule }
}

function describe(rule: CountedRule): string {
  const { by, direction } = rule
  switch (by) {
    case 'policy':
      return [by, rule.kind, rule.namespace ?? '', rule.name, direction, rule.rule, rule.action].join('/')
    case 'profile':
      return [by, rule.profile, direction, rule.rule, rule.action].join('/')
    case 'tier':
      return [by, rule.tier, direction].join('/')
    case 'missing-profile':
      return [by, rule.profile, direction].join('/')
    case 'closed':
      return [by, rule.kind ?? '', rule.namespace ?? '', rule.name ?? '', direction].join('/')
    case 'end':
    case 'endpoint-to-host':
      return [by, direction].join('/')
  }
}

/** The rules of a policy in a direction, as they are counted. */
export function countedRules(policy: Policy, direction: Direction): readonly CountedRule[] {
  const closed = closedBy(policy)
  if (closed !== undefined) return [{ by: 'closed', direction, ...closed }]
  const { kind, namespace, name, tier, isStaged } = policy
  const rules = policy.rules[direction] ?? []
  return rules.map(({ action }, rule) => ({ by: 'policy', direction, kind, namespace, name, tier, isStaged, rule, action }))
}

/** What a log says of its packet beside the packet: `margay <counter> <verdict> <stage>`. */
export interface LogText {
  readonly counter: string
  readonly verdict: LoggedVerdict
  readonly stage: ListStage
}

/** A log's text: at most 127 bytes. */
export function writeLogText({ counter, verdict, stage }: LogText): string {
  return `margay ${counter} ${verdict} ${stage}`
}

const VERDICTS: readonly string[] = ['allow', 'deny', 'log', 'staged-allow', 'staged-deny', 'staged-pass'] satisfies LoggedVerdict[]
const STAGES: readonly string[] = ['untracked', 'pre-dnat', 'normal', 'forward'] satisfies ListStage[]

/** Reads a log's text; undefined for one that is not of our writing. */
export function readLogText(text: string): LogText | undefined {
  const [word, counter = '', verdict = '', stage = '', ...more] = text.split(' ')
  if (word !== 'margay' || counter === '' || !VERDICTS.includes(verdict) || !STAGES.includes(stage) || more.length > 0) return undefined
  return { counter, verdict: verdict as LoggedVerdict, stage: stage as ListStage }
}

/** The rules of a chain that tells of a packet and then does what is to be done: what matched is not looked at again. */
export function logThen(text: LogText, limit: NftLimit | undefined, group: number, effect: Effect): readonly NftRule[] {
  return [logRule(text, limit, group), { matches: [], ...effect }]
}

function logRule(text: LogText, limit: NftLimit | undefined, group: number): NftRule {
  return { matches: [], ...(limit && { limit }), log: { group, prefix: writeLogText(text) }, verdict: { do: 'continue' } }
}
