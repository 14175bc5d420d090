import { type BlockRule, canMatch, isForOthers, portRulesOf } from './block.ts'
import { NO_PIECES, type Pieces } from './chains.ts'
import type { ListPlace, RuleEffects } from './effects.ts'
import type { MatchRule } from './match-rule.ts'
import type { ObjectIds } from './object-ids.ts'
import type { Policy } from './policies.ts'

/** The rules of a policy at a place. */
export interface PolicyBlock {
  readonly rules: readonly BlockRule[]
  /** The place, in words. */
  readonly at: string
  readonly isPassing: boolean
  readonly isStaged: boolean
  /** How many of its rules name destination ports of each protocol. */
  readonly ports: ReadonlyMap<number, number>
  /** Those of all rules, also of those that can match nothing now: what they counted must not go when a set is empty. */
  readonly counters: Pieces
  /** What `keyFor` gave. */
  readonly keys: Map<string, string>
}

/** Makes blocks of policies, and remembers them as long as their rules. */
export class PolicyBlocks {
  readonly #effects: RuleEffects
  readonly #ids: ObjectIds
  /** By rules and place. */
  readonly #blocks = new WeakMap<readonly MatchRule[], Map<string, PolicyBlock>>()

  constructor(effects: RuleEffects, ids: ObjectIds) {
    this.#effects = effects
    this.#ids = ids
  }

  /** Whether there is one already. */
  has({ rules }: Policy, { direction }: ListPlace): boolean {
    return this.#blocks.has(rules[direction] ?? NO_RULES)
  }

  of(policy: Policy, place: ListPlace): PolicyBlock {
    const given = policy.rules[place.direction] ?? NO_RULES
    const blocks = this.#blocks.get(given) ?? new Map<string, PolicyBlock>()
    const at = this.#effects.describe(place)
    const block = blocks.get(at) ?? this.#make(policy, place)
    this.#blocks.set(given, blocks.set(at, block))
    return block
  }

  /**
   * Names those rules of a block that are for packets of a protocol, or of all but some. Of a policy that changes most rules stay the same
   * objects, and so do the parts that are made of those.
   */
  keyFor(block: PolicyBlock, protocol: number | undefined, without: readonly number[] = []): string {
    const packets = protocol === undefined ? `not ${without.join()}` : `${protocol}`
    const known = block.keys.get(packets)
    if (known !== undefined) return known
    const isFor = ({ match }: BlockRule) => (protocol === undefined ? isForOthers(match, without) : canMatch(match, protocol))
    const ids = block.rules.flatMap((rule) => (isFor(rule) ? [this.#ids.of(rule.match)] : []))
    const key = `${block.at} ${packets}${block.isPassing ? ' passing' : ''} ${ids.join()}`
    block.keys.set(packets, key)
    return key
  }

  #make(policy: Policy, place: ListPlace): PolicyBlock {
    const { isStaged } = policy
    const rules = this.#effects.ofPolicy(policy, place)
    const counters = new Map(rules.map(({ counter }) => [counter.object.name, counter]))
    return {
      ...{ rules, isStaged, keys: new Map() },
      at: this.#effects.describe(place),
      isPassing: !isStaged && rules.some(({ match }) => match.action === 'Pass'),
      ports: portRulesOf(rules),
      counters: { ...NO_PIECES, counters },
    }
  }
}

const NO_RULES: readonly MatchRule[] = []
