import type { NftRule, NftVerdict } from '../kernel/objects.ts'
import type { RuleAction } from '../model/rule.ts'
import {
  type BlockRule,
  compileBlock,
  compileForOthers,
  compileForProtocol,
  type Form,
  portProtocolsOf,
  portsOf,
  toProtocol,
} from './block.ts'
import { type ChainPool, PieceCollector, type Pieces } from './chains.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { type MatchRule, readRule } from './match-rule.ts'
import type { Direction, Policy } from './policies.ts'
import { portMatches } from './rules.ts'
import type { ShapeOf } from './set-names.ts'
import { type ListStage, policiesAt, type TierPolicies } from './tiers.ts'

/** What is the same for all lists of a host. */
export interface ListSettings {
  /** The bit of the packet mark that says "allowed before connection tracking or before NAT". */
  readonly markBit: number
  /** How what is delivered, sent and forwarded is denied. */
  readonly deny: 'drop' | 'reject'
  readonly shapeOf: ShapeOf
  /** For tests of each; absent is the one that is best. */
  readonly form?: Form
}

/** Where packets are when a list is asked about them. */
export interface ListPlace {
  readonly stage: ListStage
  readonly direction: Direction
  /** Whether the kernel can tell the sender there that it rejects: not where packets leave. */
  readonly canReject: boolean
}

/** The rules of a list, and what they refer to. */
export interface CompiledList extends Pieces {
  readonly rules: readonly NftRule[]
}

/**
 * Makes rules of the policies of endpoints at a stage in a direction. In them Allow is `accept`: each stage is a base chain of its own, so
 * that accepted means asked at the next one. Pass is `return` from the chain of the tier. What falls out at the end of the rules was
 * denied by nobody. The same policies give the same objects.
 */
export class ListCompiler {
  readonly pool: ChainPool = new WeakMap()
  readonly #settings: ListSettings
  readonly #lists = new Map<string, CompiledList>()
  /** Made since the last `sweep`. */
  readonly #fresh = new Set<string>()
  readonly #ids = new WeakMap<object, number>()
  #nextId = 1

  constructor(settings: ListSettings) {
    this.#settings = settings
  }

  /** Makes what takes long, in pieces: `compile` finds it made. */
  *prepare(endpoint: LocalEndpoint, place: ListPlace): Generator<undefined, void> {
    if (this.#lists.has(this.#keyOf(endpoint, place))) return
    const scratch = new PieceCollector(this.#settings.shapeOf, this.pool)
    for (const tier of enforcedAt(endpoint, place)) {
      const blocks = this.#blocksOf(tier, place)
      const protocols = portProtocolsOf(blocks.flatMap(({ rules }) => rules))
      for (const block of blocks) {
        for (const protocol of protocols) this.#forProtocol(block, protocol, scratch)
        this.#forOthers(block, protocols, scratch)
        yield
      }
    }
    this.compile(endpoint, place)
    yield
  }

  /** The rules that decide about packets of an endpoint. */
  compile(endpoint: LocalEndpoint, place: ListPlace): CompiledList {
    const { stage, direction } = place
    return this.#once(this.#keyOf(endpoint, place), (pieces) => {
      const rules: NftRule[] = []
      for (const tier of enforcedAt(endpoint, place)) {
        rules.push(...this.#include(this.#tier(tier, place), pieces, 't_', hasPass(tier.policies, direction)))
        // Nothing gets past a tier that denies what its policies do not pass.
        if (tier.defaultAction === 'Deny' && !hasPass(tier.policies, direction)) return rules
      }
      if (stage !== 'normal') return rules
      for (const profile of endpoint.profiles) {
        const match = profile.rules[direction]
        const compiled = this.#once(`profile ${this.#describe(place)} ${this.#idOf(profile)}`, (own) =>
          this.#block(this.#toBlock(match, place), own),
        )
        rules.push(
          ...this.#include(
            compiled,
            pieces,
            'f_',
            match.some(({ action }) => action === 'Pass'),
          ),
        )
      }
      return [...rules, { matches: [], verdict: { do: this.#denyAt(place) }, isCounted: true }]
    })
  }

  /**
   * The policies of a tier. Long ones are taken apart by protocol; there each policy is a chain that all endpoints share, and is asked only
   * about the ports that it names.
   */
  #tier(tier: TierPolicies, place: ListPlace): CompiledList {
    const { policies, defaultAction } = tier
    const at = this.#describe(place)
    return this.#once(`tier ${at} ${defaultAction} ${policies.map((one) => this.#idOf(one)).join()}`, (pieces) => {
      const blocks = this.#blocksOf(tier, place)
      const end = defaultAction === 'Deny' ? this.#toBlock([DENY_ALL], place) : []
      const all = [...blocks.flatMap(({ rules }) => rules), ...end]
      if (this.#settings.form === 'linear' || all.length <= MOST_INLINE) return compileBlock(all, pieces, 'linear')
      const protocols = portProtocolsOf(all)
      const toEnd = compileForOthers(end, [], pieces)
      return [
        ...protocols.map((protocol) =>
          toProtocol(protocol, pieces.chain('q_', [...blocks.flatMap((block) => this.#forProtocol(block, protocol, pieces)), ...toEnd])),
        ),
        ...blocks.flatMap((block) => this.#forOthers(block, protocols, pieces)),
        ...toEnd,
      ]
    })
  }

  #blocksOf({ policies }: TierPolicies, place: ListPlace): readonly PolicyBlock[] {
    return policies.map((policy) => ({
      rules: this.#toBlock(policy.rules[place.direction] ?? [], place),
      key: `policy ${this.#describe(place)} ${this.#idOf(policy)}`,
      isPassing: hasPass([policy], place.direction),
    }))
  }

  #forProtocol({ rules, key, isPassing }: PolicyBlock, protocol: number, pieces: PieceCollector): readonly NftRule[] {
    // Return from a chain of its own would only end the policy, not the tier.
    if (isPassing) return compileForProtocol(rules, protocol, pieces, 'linear')
    const part = this.#once(`${key} ${protocol}`, (own) => compileForProtocol(rules, protocol, own, this.#settings.form ?? 'any'))
    const included = this.#include(part, pieces, 'p_', part.rules.length > FEWEST_APART)
    const ports = portsOf(rules, protocol)
    const [only, ...more] = included
    if (only?.verdict.do !== 'jump' || more.length > 0 || ports === undefined) return included
    return [{ ...only, matches: portMatches('destination', ports, pieces) }]
  }

  #forOthers({ rules, key, isPassing }: PolicyBlock, protocols: readonly number[], pieces: PieceCollector): readonly NftRule[] {
    if (isPassing) return compileForOthers(rules, protocols, pieces)
    const part = this.#once(`${key} not ${protocols.join()}`, (own) => compileForOthers(rules, protocols, own))
    return this.#include(part, pieces, 'p_', part.rules.length > FEWEST_APART)
  }

  /** Names all that a list is made of. */
  #keyOf(endpoint: LocalEndpoint, place: ListPlace): string {
    const tiers = enforcedAt(endpoint, place).map(
      ({ defaultAction, policies }) => `${defaultAction} ${policies.map((one) => this.#idOf(one)).join()}`,
    )
    const profiles = place.stage === 'normal' ? endpoint.profiles.map((one) => this.#idOf(one)) : []
    return `${this.#describe(place)}: ${tiers.join('; ')}; ${profiles.join()}`
  }

  #describe(place: ListPlace): string {
    return `${place.stage} ${place.direction} ${this.#denyAt(place)}`
  }

  #toBlock(rules: readonly MatchRule[], place: ListPlace): readonly BlockRule[] {
    return rules.map((match) => ({ match, effect: this.#effectOf(match.action, place) }))
  }

  #effectOf(action: RuleAction, place: ListPlace): BlockRule['effect'] {
    const { stage } = place
    const mark = this.#settings.markBit
    switch (action) {
      case 'Allow': {
        const verdict: NftVerdict = { do: stage === 'untracked' ? 'notrack' : 'accept' }
        return isEarly(stage) ? { verdict, setMark: { value: mark, mask: mark } } : { verdict }
      }
      case 'Deny':
        return { verdict: { do: this.#denyAt(place) } }
      case 'Pass':
        return { verdict: { do: 'return' } }
      case 'Log':
        return { verdict: { do: 'continue' }, log: LOG }
    }
  }

  #denyAt({ stage, canReject }: ListPlace): 'drop' | 'reject' {
    return isEarly(stage) || !canReject ? 'drop' : this.#settings.deny
  }

  #block(rules: readonly BlockRule[], pieces: PieceCollector): readonly NftRule[] {
    return compileBlock(rules, pieces, this.#settings.form ?? 'any')
  }

  /** The rules of a part of a list, or a jump to them: in a chain of their own they are shared, and `return` ends only them. */
  #include(part: CompiledList, pieces: PieceCollector, prefix: string, isApart: boolean): readonly NftRule[] {
    pieces.include(part)
    // What falls out of a chain that was gone to returns to where this one was jumped from: to the rules behind the jump, or past them.
    const isStraight = part.rules.every(({ verdict }) => verdict.do !== 'goto' && verdict.do !== 'map')
    if (!isApart && isStraight && part.rules.length <= MOST_INLINE) return part.rules
    return [{ matches: [], verdict: { do: 'jump', chain: pieces.chain(prefix, part.rules) } }]
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
    const { chains, fixed, used, parts } = pieces
    const made = { key, rules, chains, fixed, used, parts }
    this.#lists.set(key, made)
    this.#fresh.add(key)
    return made
  }

  #idOf(one: object): number {
    const id = this.#ids.get(one) ?? this.#nextId++
    this.#ids.set(one, id)
    return id
  }
}

/** A policy of a tier, and the key under which its parts are kept. */
interface PolicyBlock {
  readonly rules: readonly BlockRule[]
  readonly key: string
  readonly isPassing: boolean
}

/** So few rules cost less than the way to a chain of their own and back. */
const MOST_INLINE = 8
/** Policies with more rules for a packet stand in chains of their own. */
const FEWEST_APART = 2

const DENY_ALL = readRule({ action: 'Deny' }, undefined)

/** The tiers with policies that are enforced there, each with those. */
function enforcedAt({ tiers }: LocalEndpoint, { stage, direction }: ListPlace): readonly TierPolicies[] {
  return policiesAt(tiers, stage, direction)
    .map((tier) => ({ ...tier, policies: tier.policies.filter(({ isStaged }) => !isStaged) }))
    .filter(({ policies }) => policies.length > 0)
}

function hasPass(policies: readonly Policy[], direction: Direction): boolean {
  return policies.some(({ rules }) => rules[direction]?.some(({ action }) => action === 'Pass'))
}

/** Before connection tracking or before NAT. */
function isEarly(stage: ListStage): boolean {
  return stage === 'untracked' || stage === 'pre-dnat'
}

/** What is logged of packets that a Log rule matches. */
const LOG = { group: 5, prefix: 'margay' } as const
