import type { NftRule } from '../kernel/objects.ts'
import { type BlockRule, compileAt, compileBlock, compileForOthers, compileForProtocol, type Form, portsOf, toProtocol } from './block.ts'
import { type ChainPool, nameOfAll, PieceCollector, type Pieces } from './chains.ts'
import { crowdedPorts, isNamed, policiesByPort, withoutRepeated } from './crowded.ts'
import { type EffectSettings, type ListPlace, RuleEffects } from './effects.ts'
import type { LocalEndpoint } from './evaluate.ts'
import type { MatchRule } from './match-rule.ts'
import { ObjectIds } from './object-ids.ts'
import { PORT_PROTOCOLS } from './packet.ts'
import { type PolicyBlock, PolicyBlocks } from './policy-blocks.ts'
import type { ProfileRules } from './profiles.ts'
import { portMatches } from './rules.ts'
import { contentName, type ShapeOf } from './set-names.ts'
import { policiesAt, type TierPolicies } from './tiers.ts'

/** What is the same for all lists of a host. */
export interface ListSettings extends EffectSettings {
  readonly shapeOf: ShapeOf
  /** For tests of each; absent is the one that is best. */
  readonly form?: Form
}

/** The rules of a list, and what they refer to. */
export interface CompiledList extends Pieces {
  readonly rules: readonly NftRule[]
}

/**
 * Makes rules of the policies of endpoints at a stage in a direction. In them Allow is `accept`: each stage is a base chain of its own, so
 * that accepted means asked at the next one. Pass is `return` from the chain of the tier. What falls out at the end of the rules was
 * denied by nobody. Staged policies stand among the others in chains that count and decide nothing. The same policies give the same objects.
 */
export class ListCompiler {
  readonly pool: ChainPool = new WeakMap()
  readonly #settings: ListSettings
  readonly #effects: RuleEffects
  readonly #lists = new Map<string, CompiledList>()
  /** Made since the last `sweep`. */
  readonly #fresh = new Set<string>()
  readonly #blocks: PolicyBlocks
  /** Keys of lists, by what they name beside tiers. */
  readonly #keys = new WeakMap<readonly TierPolicies[], Map<string, string>>()
  readonly #ids = new ObjectIds()

  constructor(settings: ListSettings) {
    this.#settings = settings
    this.#effects = new RuleEffects(settings)
    this.#blocks = new PolicyBlocks(this.#effects, this.#ids)
  }

  /** As `compile`, in pieces: what takes long are policies that nobody has asked for yet. */
  *compileInSteps(endpoint: LocalEndpoint, place: ListPlace): Generator<undefined, CompiledList> {
    const known = this.#lists.get(this.#keyOf(endpoint, place))
    if (known) return known
    for (const tier of tiersAt(endpoint, place)) {
      const blocks: PolicyBlock[] = []
      for (const policy of tier.policies) {
        if (policy.isStaged) continue
        if (!this.#blocks.has(policy, place)) yield
        blocks.push(this.#blocks.of(policy, place))
      }
      const protocols = protocolsOf(blocks, this.#settings.form)
      for (const block of blocks) {
        const before = this.#lists.size
        for (const protocol of protocols) this.#forProtocol(block, protocol)
        this.#forOthers(block, protocols)
        if (this.#lists.size > before) yield
      }
    }
    const list = this.compile(endpoint, place)
    yield
    return list
  }

  /** The rules that decide about packets of an endpoint. */
  compile(endpoint: LocalEndpoint, place: ListPlace): CompiledList {
    return this.#once(this.#keyOf(endpoint, place), (pieces) => {
      const tiers = tiersAt(endpoint, place)
      const rules: NftRule[] = []
      for (const tier of tiers) {
        const hasPass = this.#blocksOf(tier, place).some(({ isPassing }) => isPassing)
        rules.push(...this.#include(this.#tier(tier, place), pieces, 't_', hasPass))
        // Nothing gets past a tier that denies what its policies do not pass.
        if (isDenying(tier) && !hasPass) return rules
      }
      if (place.stage !== 'normal') return rules
      for (const profile of endpoint.profiles) {
        rules.push(...this.#profile(profile, place, pieces))
      }
      const end = this.#effects.end(place)
      pieces.count(end.counter)
      return [...rules, ...compileForOthers([end], [], pieces)]
    })
  }

  /** The end of what workloads send to their own host. */
  endpointToHost(pieces: PieceCollector): readonly NftRule[] {
    const end = this.#effects.endpointToHost()
    pieces.count(end.counter)
    return compileForOthers([end], [], pieces)
  }

  /**
   * The policies of a tier. Long ones are taken apart by protocol; there each policy is a chain that all endpoints share, and is asked only
   * about the ports that it names.
   */
  #tier(tier: TierPolicies, place: ListPlace): CompiledList {
    return this.#once(`tier ${this.#effects.describe(place)} ${this.#describeTier(tier, place)}`, (pieces) => {
      const blocks = this.#blocksOf(tier, place)
      for (const { counters } of blocks) pieces.include(counters)
      const end = isDenying(tier) ? [this.#effects.endOfTier(tier.name, place)] : []
      for (const { counter } of end) pieces.count(counter)
      const count = blocks.reduce((sum, { isStaged, rules }) => sum + (isStaged ? 0 : rules.length), end.length)
      if (this.#settings.form === 'linear' || count <= MOST_INLINE) {
        const inOrder = blocks.flatMap((block) =>
          block.isStaged ? rulesIn(this.#staged(block), pieces) : compileBlock(block.rules, pieces, 'linear'),
        )
        return [...inOrder, ...compileBlock(end, pieces, 'linear')]
      }
      const protocols = protocolsOf(
        blocks.filter(({ isStaged }) => !isStaged),
        this.#settings.form,
      )
      return [
        ...protocols.flatMap((protocol) => rulesIn(this.#ofProtocol(blocks, protocol, end), pieces)),
        ...blocks.flatMap((block) => rulesIn(this.#forOthers(block, protocols), pieces)),
        ...compileForOthers(end, [], pieces),
      ]
    })
  }

  /** What leads to the rules of a tier for packets of a protocol, known by its parts: a rule for another one changes nothing here. */
  #ofProtocol(blocks: readonly PolicyBlock[], protocol: number, end: readonly BlockRule[]): CompiledList {
    const parts = blocks.map((block) => this.#forProtocol(block, protocol))
    const ids = parts.map((part) => this.#ids.of(part))
    return this.#once(`to ${protocol} ${ids.join()} ${end.map(({ counter }) => counter.object.name).join()}`, (own) => {
      const inOrder = [...this.#crowded(blocks, protocol, end, own), ...parts.flatMap((part) => rulesIn(part, own))]
      return [toProtocol(protocol, own.chain('q_', [...inOrder, ...compileForOthers(end, [], own)]))]
    })
  }

  /**
   * For the ports that most rules are about, a look-up that leads to all rules of the tier for that port. One that misses goes on to the
   * same policies one by one, and to the same verdict.
   */
  #crowded(blocks: readonly PolicyBlock[], protocol: number, end: readonly BlockRule[], pieces: PieceCollector): readonly NftRule[] {
    const policies = blocks.flatMap(({ isStaged, rules }) => (isStaged ? [] : [rules]))
    const ports = crowdedPorts(policies, protocol, this.#settings.form ?? 'any')
    if (ports.length === 0) return []
    const blocksAt = policiesByPort(blocks, protocol)
    const elements = new Set(
      ports.map((port) => {
        const parts = blocksAt(port).map((block) => this.#atPort(block, protocol, port))
        return `${port} goto ${this.#row(parts, end, pieces)}`
      }),
    )
    const map = contentName('o_', [...elements].join())
    pieces.useFixed({ kind: 'set', name: map, key: 'port', family: 4, isInterval: false, isMap: true, elements })
    return [{ matches: [], verdict: { do: 'map', on: 'dport', map } }]
  }

  /** The chain with the rules of all these, known by what they say: of a policy that changes most ports keep theirs. */
  #row(parts: readonly CompiledList[], end: readonly BlockRule[], pieces: PieceCollector): string {
    const names = [...parts, { rules: compileForOthers(end, [], pieces) }].map(nameOfAll)
    const row = this.#once(`row ${contentName('', names.join())}`, (own) => {
      for (const part of parts) own.include(part)
      const rules = withoutRepeated([...parts.flatMap((part) => part.rules), ...compileForOthers(end, [], own)])
      return [{ matches: [], verdict: { do: 'goto', chain: own.chain('c_', rules) } }]
    })
    pieces.include(row)
    const verdict = row.rules[0]?.verdict
    return verdict?.do === 'goto' ? verdict.chain : ''
  }

  #atPort(block: PolicyBlock, protocol: number, port: number): CompiledList {
    if (block.isStaged) return this.#staged(block)
    const { rules } = block
    const isOwn = isNamed(rules, protocol, port)
    return this.#once(`${this.#blocks.keyFor(block, protocol)} at ${isOwn ? port : 'other ports'}`, (own) =>
      compileAt(rules, protocol, isOwn ? port : NO_PORT, own),
    )
  }

  #blocksOf({ policies }: TierPolicies, place: ListPlace): readonly PolicyBlock[] {
    return policies.map((policy) => this.#blocks.of(policy, place))
  }

  #profile(profile: ProfileRules, place: ListPlace, pieces: PieceCollector): readonly NftRule[] {
    const match = profile.rules[place.direction]
    const rules = this.#effects.ofProfile(profile, place)
    const key = `profile ${this.#effects.describe(place)} ${this.#ids.of(profile)}`
    const compiled = this.#once(key, (own) => {
      for (const { counter } of rules) own.count(counter)
      return compileBlock(rules, own, this.#settings.form ?? 'any')
    })
    return this.#include(
      compiled,
      pieces,
      'f_',
      match.some(({ action }) => action === 'Pass'),
    )
  }

  /** Counts what a staged policy would have done, and goes on. One after the other: a look-up that misses must not drop here. */
  #staged(block: PolicyBlock): CompiledList {
    return this.#once(`staged ${this.#blocks.keyFor(block, undefined)}`, (own) => {
      const rules = compileForOthers(block.rules, [], own)
      return rules.length === 0 ? [] : [jumpTo(own.chain('s_', rules))]
    })
  }

  #forProtocol(block: PolicyBlock, protocol: number): CompiledList {
    if (block.isStaged) return this.#staged(block)
    const { rules, isPassing } = block
    return this.#once(this.#blocks.keyFor(block, protocol), (own) => {
      // Return from a chain of its own would only end the policy, not the tier.
      const all = compileForProtocol(rules, protocol, own, isPassing ? 'linear' : (this.#settings.form ?? 'any'))
      if (isPassing || !isApart(all)) return all
      const ports = portsOf(rules, protocol) ?? []
      return [{ ...jumpTo(own.chain('p_', all)), matches: portMatches('destination', ports, own) }]
    })
  }

  #forOthers(block: PolicyBlock, protocols: readonly number[]): CompiledList {
    if (block.isStaged) return this.#staged(block)
    return this.#once(this.#blocks.keyFor(block, undefined, protocols), (own) => {
      const all = compileForOthers(block.rules, protocols, own)
      return block.isPassing || !isApart(all) ? all : [jumpTo(own.chain('p_', all))]
    })
  }

  /** Names all that a list is made of. Endpoints share their tiers: they are looked at once. */
  #keyOf(endpoint: LocalEndpoint, place: ListPlace): string {
    const profiles = place.stage === 'normal' ? endpoint.profiles.map((one) => this.#ids.of(one)).join() : ''
    const beside = `${this.#effects.describe(place)}: ${profiles}`
    const known = this.#keys.get(endpoint.tiers) ?? new Map<string, string>()
    const tiers = () => tiersAt(endpoint, place).map((tier) => this.#describeTier(tier, place))
    const key = known.get(beside) ?? `${beside}: ${tiers().join('; ')}`
    this.#keys.set(endpoint.tiers, known.set(beside, key))
    return key
  }

  /** Policies are told apart by their rules in this direction: those of one policy, which stay the same objects until they change. */
  #describeTier({ name, defaultAction, policies }: TierPolicies, { direction }: ListPlace): string {
    return `${name} ${defaultAction} ${policies.map(({ rules }) => this.#ids.of(rules[direction] ?? NO_RULES)).join()}`
  }

  /** The rules of a part of a list, or a jump to them: in a chain of their own they are shared, and `return` ends only them. */
  #include(part: CompiledList, pieces: PieceCollector, prefix: string, isApart: boolean): readonly NftRule[] {
    pieces.include(part)
    if (!isApart && isStraight(part.rules) && part.rules.length <= MOST_INLINE) return part.rules
    return [jumpTo(pieces.chain(prefix, part.rules))]
  }

  /** Forgets what was made since the last time and is not needed. */
  sweep(isNeeded: (list: Pieces) => boolean): void {
    for (const key of this.#fresh) {
      const list = this.#lists.get(key)
      if (list !== undefined && !isNeeded(list)) this.#lists.delete(key)
    }
    this.#fresh.clear()
  }

  /** Makes this list anew when it is next asked for. */
  forget(list: Pieces): void {
    if (this.#lists.get(list.key) === list) this.#lists.delete(list.key)
  }

  #once(key: string, make: (pieces: PieceCollector) => readonly NftRule[]): CompiledList {
    const known = this.#lists.get(key)
    if (known) return known
    const pieces = new PieceCollector(this.#settings.shapeOf, this.pool, key)
    const rules = make(pieces)
    const made = { rules, ...pieces.taken() }
    this.#lists.set(key, made)
    this.#fresh.add(key)
    return made
  }
}

const NO_RULES: readonly MatchRule[] = []

/** So few rules cost less than the way to a chain of their own and back. */
const MOST_INLINE = 8
/** Policies with more rules for a packet stand in chains of their own. */
const FEWEST_APART = 2

/** A protocol with fewer of the rules is left with the others: what is for any protocol would stand there again. */
const LEAST_SHARE = 0.2

/** A port that no rule names: connections to it are no connections. */
const NO_PORT = -1

/** Takes note of a part, and gives its rules. */
function rulesIn(part: CompiledList, pieces: PieceCollector): readonly NftRule[] {
  pieces.include(part)
  return part.rules
}

function jumpTo(chain: string): NftRule {
  return { matches: [], verdict: { do: 'jump', chain } }
}

/** Whether the rules of a policy stand in a chain of their own. */
function isApart(rules: readonly NftRule[]): boolean {
  return rules.length > FEWEST_APART || !isStraight(rules)
}

/** What falls out of a chain that was gone to returns to where this one was jumped from: to the rules behind the jump, or past them. */
function isStraight(rules: readonly NftRule[]): boolean {
  return rules.every(({ verdict }) => verdict.do !== 'goto' && verdict.do !== 'map')
}

/** The tiers with policies that are asked there, staged ones too. */
function tiersAt({ tiers }: LocalEndpoint, { stage, direction }: ListPlace): readonly TierPolicies[] {
  return policiesAt(tiers, stage, direction)
}

/** Whether the tier denies what none of its policies decided; staged ones alone make no such end. */
function isDenying({ defaultAction, policies }: TierPolicies): boolean {
  return defaultAction === 'Deny' && policies.some(({ isStaged }) => !isStaged)
}

/** The protocols whose packets get rules of their own: those of which many rules name destination ports. */
function protocolsOf(blocks: readonly PolicyBlock[], form: Form | undefined): readonly number[] {
  const total = blocks.reduce((sum, { rules }) => sum + rules.length, 0)
  return PORT_PROTOCOLS.filter((protocol) => {
    const own = blocks.reduce((sum, { ports }) => sum + (ports.get(protocol) ?? 0), 0)
    return own > 0 && (form === 'by-port' || own >= total * LEAST_SHARE)
  })
}
