import type { NftVerdict } from '../kernel/objects.ts'
import type { RuleAction } from '../model/rule.ts'
import type { BlockRule } from './block.ts'
import type { PieceCollector } from './chains.ts'
import { type CountedRule, countedRules, counterOf, type Effect, type LoggedVerdict, type LogSettings, logThen } from './counted-rule.ts'
import { type MatchRule, readRule } from './match-rule.ts'
import type { Direction, Policy } from './policies.ts'
import type { ProfileRules } from './profiles.ts'
import type { ListStage } from './tiers.ts'

/** Where packets are when a list is asked about them. */
export interface ListPlace {
  readonly stage: ListStage
  readonly direction: Direction
  /** Whether the kernel can tell the sender there that it rejects: not where packets leave. */
  readonly canReject: boolean
}

/** What decides what is done where a rule matches, beside the rule. */
export interface EffectSettings {
  /** The bit of the packet mark that says "allowed before connection tracking or before NAT". */
  readonly markBit: number
  /** How what is delivered, sent and forwarded is denied. */
  readonly deny: 'drop' | 'reject'
  /** Absent: nothing is logged, as the kernel can't. */
  readonly logs?: LogSettings | undefined
}

/** A rule as it is counted, and whether it tells of what it allows. */
interface Described {
  readonly match: MatchRule
  readonly rule: CountedRule
  readonly logsAllowed?: boolean
  readonly isStaged?: boolean
}

/**
 * Gives rules what is done where they match: verdict, counter, log. What denies is logged in a chain of its own, where only denied packets
 * come by; a rule of a staged policy counts and ends its policy. The same policy gives the same objects as long as it is remembered.
 */
export class RuleEffects {
  readonly #settings: EffectSettings
  readonly #made = new WeakMap<object, Map<string, readonly BlockRule[]>>()

  constructor(settings: EffectSettings) {
    this.#settings = settings
  }

  /** The rules of a policy; none where it does not govern the direction. */
  ofPolicy(policy: Policy, place: ListPlace): readonly BlockRule[] {
    const matches = policy.rules[place.direction] ?? []
    // Rules are the same object only as long as nothing changes by which they are counted and logged.
    return this.#once(matches, place, () => {
      const { isStaged, logsAllowed } = policy
      return countedRules(policy, place.direction).flatMap((rule, i) => {
        const match = matches[i]
        return match === undefined ? [] : [{ match, rule, logsAllowed, isStaged }]
      })
    })
  }

  ofProfile(profile: ProfileRules, place: ListPlace): readonly BlockRule[] {
    const { direction } = place
    return this.#once(profile, place, () =>
      profile.rules[direction].map((match, rule) => ({
        match,
        rule: profile.isMissing
          ? { by: 'missing-profile', direction, profile: profile.name }
          : { by: 'profile', direction, profile: profile.name, rule, action: match.action },
      })),
    )
  }

  /** What becomes of packets about which no policy of a tier decided, where its default is to deny. */
  endOfTier(tier: string, place: ListPlace): BlockRule {
    return this.#block({ match: DENY_ALL, rule: { by: 'tier', direction: place.direction, tier } }, place)
  }

  /** What becomes of packets that nothing allowed. */
  end(place: ListPlace): BlockRule {
    return this.#block({ match: DENY_ALL, rule: { by: 'end', direction: place.direction } }, place)
  }

  /** What becomes of what a workload may send, and sends to its own host, where that is dropped. */
  endpointToHost(): BlockRule {
    const place: ListPlace = { stage: 'normal', direction: 'egress', canReject: false }
    return this.#block({ match: DENY_ALL, rule: { by: 'endpoint-to-host', direction: 'egress' } }, place)
  }

  /** How packets are denied there. */
  denyAt({ stage, canReject }: ListPlace): 'drop' | 'reject' {
    return isEarly(stage) || !canReject ? 'drop' : this.#settings.deny
  }

  /** All of a place that decides what is done there. */
  describe(place: ListPlace): string {
    return `${place.stage} ${place.direction} ${this.denyAt(place)}`
  }

  #once(owner: object, place: ListPlace, describe: () => readonly Described[]): readonly BlockRule[] {
    const key = this.describe(place)
    const known = this.#made.get(owner)
    const found = known?.get(key)
    if (found) return found
    const made = describe().map((one) => this.#block(one, place))
    if (known) known.set(key, made)
    else this.#made.set(owner, new Map([[key, made]]))
    return made
  }

  #block(described: Described, place: ListPlace): BlockRule {
    const { match, rule } = described
    const counter = counterOf(rule)
    const { name } = counter.object
    const [effect, verdict] = this.#effectOf(described, place)
    const done: Effect = { ...effect, counter: name }
    const { logs } = this.#settings
    const isFinal = match.action !== 'Log'
    if (verdict === undefined || logs === undefined) return { match, isFinal, counter, effectIn: () => done }
    const limit = verdict === 'log' ? logs.logAction : logs.verdicts
    const chain = logThen({ counter: name, verdict, stage: place.stage }, limit, logs.group, done)
    const effectIn = (pieces: PieceCollector): Effect => {
      // What ends a staged policy there must end it here, too.
      return { verdict: { do: described.isStaged ? 'goto' : 'jump', chain: pieces.chain('x_', chain) } }
    }
    return { match, isFinal, counter, effectIn }
  }

  /** What is done, and as what it is told of. */
  #effectOf({ match, logsAllowed, isStaged }: Described, place: ListPlace): readonly [Effect, LoggedVerdict | undefined] {
    if (isStaged) return [STAGED[match.action], logsAllowed ? STAGED_VERDICTS[match.action] : undefined]
    switch (match.action) {
      case 'Allow':
        return [this.#allowAt(place), logsAllowed ? 'allow' : undefined]
      case 'Deny':
        return [{ verdict: { do: this.denyAt(place) } }, 'deny']
      case 'Pass':
        return [{ verdict: { do: 'return' } }, undefined]
      case 'Log':
        return [{ verdict: { do: 'continue' } }, 'log']
    }
  }

  #allowAt({ stage }: ListPlace): Effect {
    const mark = this.#settings.markBit
    const verdict: NftVerdict = { do: stage === 'untracked' ? 'notrack' : 'accept' }
    return isEarly(stage) ? { verdict, setMark: { value: mark, mask: mark } } : { verdict }
  }
}

/** Before connection tracking or before NAT. */
function isEarly(stage: ListStage): boolean {
  return stage === 'untracked' || stage === 'pre-dnat'
}

const DENY_ALL = readRule({ action: 'Deny' }, undefined)
const ENDS: Effect = { verdict: { do: 'return' } }
/** A staged policy stands in a chain of its own: return from it is the end of the policy, and the next one is asked. */
const STAGED: Readonly<Record<RuleAction, Effect>> = { Allow: ENDS, Deny: ENDS, Pass: ENDS, Log: { verdict: { do: 'continue' } } }
const STAGED_VERDICTS: Readonly<Record<RuleAction, LoggedVerdict | undefined>> = {
  Allow: 'staged-allow',
  Deny: 'staged-deny',
  Pass: 'staged-pass',
  Log: undefined,
}
