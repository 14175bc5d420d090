import type { NftChain, NftHook, NftMatch, NftRule } from '../kernel/objects.ts'
import { PieceCollector, type Pieces } from './chains.ts'
import { accept, DISCOVERY, endpointChain, failsafeRules, icmpv6 } from './dispatch-rules.ts'
import type { ListPlace } from './effects.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { LOOPBACK, type TunnelPacket, WORKLOAD_ICMPV6 } from './evaluate-path.ts'
import type { Failsafes } from './failsafes.ts'
import { gatewayRules, type ImplicitRule, implicitRules, tunnelDrops } from './implicit-rules.ts'
import type { CompiledList, ListCompiler, ListSettings } from './lists.ts'
import type { Direction } from './policies.ts'
import { isAsked, type ListStage, policiesAt } from './tiers.ts'

/** What decides the rules of a host beside its endpoints. */
export interface DispatchSettings extends ListSettings {
  /** Names of workloads' interfaces; a trailing `*` is a wildcard. */
  readonly workloadInterfaces: readonly string[]
  readonly endpointToHost: 'Drop' | 'Accept' | 'Return'
  readonly failsafes: Failsafes
  readonly dropsInvalid: boolean
  readonly implicit: readonly ImplicitRule[]
  /** What workloads may not send, whatever their policies say. */
  readonly tunnels: readonly TunnelPacket[]
}

/** What a host's base chains are made of: its host endpoints by the name of their interface. */
export interface DispatchInput {
  readonly settings: DispatchSettings
  readonly hostEndpoints: ReadonlyMap<string, LocalEndpoint>
  readonly wildcard: LocalEndpoint | undefined
  readonly workloads: WorkloadState
}

/** Whether the host has workloads, and whether one of them is not open in both directions. */
export type WorkloadState = 'none' | 'open' | 'restricted'

/** The base chains of a host, and what they refer to beside the maps. */
export interface Dispatch {
  readonly bases: readonly NftChain[]
  readonly pieces: Pieces
}

/** Maps from a workload's interface to the rules of what it sends and gets. */
export const FROM_WORKLOADS = 'from-workloads'
export const TO_WORKLOADS = 'to-workloads'

/** The first of the base chains that look workloads up. */
export const FORWARD_FROM_WORKLOAD = 'forward-from-workload'

/**
 * The rule set of a host's endpoints. Each place where packets are decided about is a base chain: accepted there means asked at the next.
 * Interfaces of hosts are compared one by one and those of workloads looked up in a map behind which everything is dropped, so that a
 * look-up that misses while the rule set changes lets nothing through.
 *
 * ```
 * prerouting  -299 untracked    -150 before NAT
 * forward     -4 from host endpoint   -3 from workload   -2 to workload   -1 to host endpoint
 * input       -1 from workload         0 to host
 * output      -299 untracked           0 from host
 * postrouting -150 from host, where NAT changed the destination
 * ```
 */
export function planDispatch(input: DispatchInput, lists: ListCompiler): Dispatch {
  const plan = new DispatchPlan(input, lists)
  const bases = plan.isNeeded ? [...plan.early(), ...plan.workloads(), ...plan.hostEndpoints()] : plan.open()
  return { bases: [...plan.endpoints, ...bases], pieces: plan.pieces }
}

/** A workload's endpoint, and which of its directions is meant. */
export interface WorkloadInput {
  readonly endpoint: LocalEndpoint
  readonly direction: Direction
  readonly settings: DispatchSettings
}

/** The rules of a workload in one direction. */
export interface WorkloadChain extends Pieces {
  /** The name of the chain to which the map of its direction leads. */
  readonly chain: string
  /** No policy is for it there, staged ones included, and its profiles let everything through. */
  readonly isOpen: boolean
}

/** The chains that were made of lists: workloads under the same policies share one. */
export type KnownChains = WeakMap<CompiledList, WorkloadChain>

/** The chain of what a workload sends (`egress`) or gets; what takes long can be left and resumed at each `yield`. */
export function* planWorkload(input: WorkloadInput, lists: ListCompiler, known: KnownChains): Generator<undefined, WorkloadChain> {
  const list = yield* lists.compileInSteps(input.endpoint, at('normal', input.direction))
  const chain = known.get(list) ?? chainOf(list, input, lists)
  known.set(list, chain)
  return chain
}

function chainOf(list: CompiledList, { endpoint, direction, settings }: WorkloadInput, lists: ListCompiler): WorkloadChain {
  const pieces = new PieceCollector(settings.shapeOf, lists.pool)
  pieces.include(list)
  const chain = pieces.chain('e_', list.rules)
  const [first] = list.rules
  const isUnasked = policiesAt(endpoint.tiers, 'normal', direction).length === 0
  const isOpen = isUnasked && first?.verdict.do === 'accept' && first.matches.length === 0
  return { chain, isOpen, ...pieces.taken() }
}

class DispatchPlan {
  readonly pieces: PieceCollector
  /** The chains of host endpoints, one for each interface and place: they have names that stay, so that each stands for itself. */
  readonly endpoints: NftChain[] = []
  readonly #input: DispatchInput
  readonly #lists: ListCompiler
  readonly #hasEarly: boolean

  constructor(input: DispatchInput, lists: ListCompiler) {
    this.#input = input
    this.#lists = lists
    this.pieces = new PieceCollector(input.settings.shapeOf, lists.pool)
    this.#hasEarly = this.#all().some(
      (endpoint) => hasPolicies(endpoint, 'untracked', 'ingress', 'egress') || hasPolicies(endpoint, 'pre-dnat', 'ingress'),
    )
  }

  /**
   * Whether packets must be asked about at all: each base chain costs every packet that passes it. As soon as one endpoint is not open
   * there are all of them, so that what is no endpoint is closed too.
   */
  get isNeeded(): boolean {
    return this.#input.workloads === 'restricted' || this.#all().length > 0
  }

  /** What is left where all workloads are open: their own host is not one of those that they reach. */
  open(): readonly NftChain[] {
    return this.#input.workloads === 'none' ? [] : this.#toHost()
  }

  /** Rules before connection tracking and before NAT; without any, no chain. */
  early(): readonly NftChain[] {
    const { hostEndpoints } = this.#input
    // Nobody else may say that a packet is allowed.
    const clear: NftRule = { matches: [], setMark: { value: 0, mask: this.#markBit }, verdict: { do: 'continue' } }
    const untracked = (name: string, hook: 'prerouting' | 'output', direction: Direction) => {
      const place = at('untracked', direction)
      const rules = [...hostEndpoints].flatMap(([link, endpoint]) => this.#toEarly(name, link, endpoint, place))
      const all = this.#hasEarly ? [clear, ...rules] : rules
      return all.length === 0 ? [] : [base(name, { type: 'filter', hook, priority: -299 }, all)]
    }
    return [...untracked('untracked-in', 'prerouting', 'ingress'), ...untracked('untracked-out', 'output', 'egress'), ...this.#preDnat()]
  }

  /** What leads to workloads' own chains. */
  workloads(): readonly NftChain[] {
    if (this.#input.settings.workloadInterfaces.length === 0) return []
    const from = this.pieces.chain('from-workload_', [
      ...this.#known(),
      ...this.#invalid(),
      ...tunnelDrops(this.#input.settings.tunnels),
      ...mapOrDrop('iifname', FROM_WORKLOADS),
    ])
    const to = this.pieces.chain('to-workload_', [...this.#known(), ...this.#invalid(), ...mapOrDrop('oifname', TO_WORKLOADS)])
    const toHost = this.pieces.chain('workload-to-host_', [
      ...icmpv6(WORKLOAD_ICMPV6, []),
      ...gatewayRules(),
      { matches: [], verdict: { do: 'goto', chain: from } },
    ])
    return [
      base(FORWARD_FROM_WORKLOAD, { type: 'filter', hook: 'forward', priority: -3 }, this.#onWorkloads('iifname', from)),
      base('forward-to-workload', { type: 'filter', hook: 'forward', priority: -2 }, this.#onWorkloads('oifname', to)),
      base('input-from-workload', { type: 'filter', hook: 'input', priority: -1 }, this.#onWorkloads('iifname', toHost)),
      ...this.#toHost(),
    ]
  }

  /** What host endpoints decide about. */
  hostEndpoints(): readonly NftChain[] {
    if (this.#all().length === 0) return []
    const passing: readonly NftRule[] = [...this.#known(), ...this.#allowedEarly()]
    const { workloadInterfaces } = this.#input.settings
    const toWorkloads = workloadInterfaces.map((value) => accept({ on: 'oifname', value }))
    const fromHost = [...this.#loopback('oifname'), ...toWorkloads, ...passing, ...implicitRules(this.#input.settings.implicit, 'egress')]
    const translated: NftMatch = { on: 'translated', value: 'destination' }
    return [
      base('forward-from-host-endpoint', { type: 'filter', hook: 'forward', priority: -4 }, [
        ...passing,
        ...this.#dispatch('forward-from-host-endpoint', at('forward', 'ingress')),
      ]),
      base('forward-to-host-endpoint', { type: 'filter', hook: 'forward', priority: -1 }, [
        ...this.#known(),
        ...this.#dispatch('forward-to-host-endpoint', at('forward', 'egress')),
      ]),
      base('to-host', { type: 'filter', hook: 'input', priority: 0 }, [
        ...this.#loopback('iifname'),
        ...workloadInterfaces.map((value) => accept({ on: 'iifname', value })),
        ...passing,
        ...implicitRules(this.#input.settings.implicit, 'ingress'),
        ...this.#dispatch('to-host', at('normal', 'ingress')),
      ]),
      // Where NAT has changed the destination, the interface is known only behind the second routing.
      base('from-host', { type: 'filter', hook: 'output', priority: 0 }, [
        ...fromHost,
        accept(translated),
        ...this.#dispatch('from-host', at('normal', 'egress')),
      ]),
      base('from-host-translated', { type: 'filter', hook: 'postrouting', priority: -150 }, [
        accept({ on: 'origin', value: 'host', negate: true }),
        accept({ ...translated, negate: true }),
        // Without a connection (neighbour discovery) there is no answer to that, and they would be asked, and counted, a second time.
        accept({ on: 'ct-state', value: ['untracked', 'invalid'] }),
        ...fromHost,
        ...this.#dispatch('from-host-translated', { ...at('normal', 'egress'), canReject: false }),
      ]),
    ]
  }

  get #markBit(): number {
    return this.#input.settings.markBit
  }

  #all(): readonly LocalEndpoint[] {
    const { hostEndpoints, wildcard } = this.#input
    return [...hostEndpoints.values(), ...(wildcard ? [wildcard] : [])]
  }

  #preDnat(): readonly NftChain[] {
    const { hostEndpoints, wildcard } = this.#input
    const place = at('pre-dnat', 'ingress')
    const rules = [...hostEndpoints].flatMap(([name, endpoint]) => this.#toEarly('before-nat', name, endpoint, place))
    if (wildcard) rules.push(...this.#toEarly('before-nat', undefined, wildcard, place))
    if (rules.length === 0) return []
    return [
      base('before-nat', { type: 'filter', hook: 'prerouting', priority: -150 }, [
        ...this.#loopback('iifname'),
        ...this.#known(),
        ...this.#allowedEarly(),
        ...rules,
      ]),
    ]
  }

  /** To an endpoint's policies before tracking or before NAT; those that are staged only count, and leave everything as it is without them. */
  #toEarly(from: string, name: string | undefined, endpoint: LocalEndpoint, place: ListPlace): readonly NftRule[] {
    const { stage, direction } = place
    if (hasPolicies(endpoint, stage, direction)) return [this.#toEndpoint(from, name, endpoint, place)]
    if (policiesAt(endpoint.tiers, stage, direction).length === 0) return []
    const passed = failsafeRules(this.#input.settings.failsafes, direction, stage === 'untracked')
    const failsafes = passed.map(({ matches }): NftRule => ({ matches, verdict: { do: 'return' } }))
    const chain = endpointChain(from, name)
    this.endpoints.push({ kind: 'chain', name: chain, rules: [...failsafes, ...this.#list(endpoint, place).rules], otherwise: [] })
    // What is enforced for all other interfaces holds for this one too, and comes after it.
    return [{ matches: onLink(name, direction), verdict: { do: 'jump', chain } }]
  }

  /** What a workload's policies let through to its own host; with Return other programs' rules decide. */
  #toHost(): readonly NftChain[] {
    const { endpointToHost, workloadInterfaces } = this.#input.settings
    if (endpointToHost !== 'Drop') return []
    const chain = this.pieces.chain('endpoint-to-host_', [
      ...this.#known(),
      ...icmpv6(WORKLOAD_ICMPV6, []),
      ...gatewayRules(),
      ...this.#lists.endpointToHost(this.pieces),
    ])
    const rules = workloadInterfaces.map((value): NftRule => ({ matches: [{ on: 'iifname', value }], verdict: { do: 'goto', chain } }))
    return [base('workload-to-host', { type: 'filter', hook: 'input', priority: 0 }, rules)]
  }

  #loopback(on: 'iifname' | 'oifname'): readonly NftRule[] {
    return this.#input.hostEndpoints.has(LOOPBACK) ? [] : [accept({ on, value: LOOPBACK })]
  }

  #onWorkloads(on: 'iifname' | 'oifname', chain: string): readonly NftRule[] {
    return this.#input.settings.workloadInterfaces.map((value) => ({ matches: [{ on, value }], verdict: { do: 'goto', chain } }))
  }

  /** Each host endpoint's interface, then the one for all others. */
  #dispatch(from: string, place: ListPlace): readonly NftRule[] {
    const { hostEndpoints, wildcard } = this.#input
    const named = [...hostEndpoints].map(([name, endpoint]) => this.#toEndpoint(from, name, endpoint, place))
    return wildcard ? [...named, this.#toEndpoint(from, undefined, wildcard, place)] : named
  }

  #toEndpoint(from: string, name: string | undefined, endpoint: LocalEndpoint, place: ListPlace): NftRule {
    const chain = endpointChain(from, name)
    const [rules, otherwise] = [this.#endpointRules(endpoint, place), this.#closed(place)]
    this.endpoints.push({ kind: 'chain', name: chain, rules, otherwise })
    return { matches: onLink(name, place.direction), verdict: { do: 'goto', chain } }
  }

  #endpointRules(endpoint: LocalEndpoint, place: ListPlace): readonly NftRule[] {
    const { stage, direction } = place
    const { rules } = this.#list(endpoint, place)
    const invalid = stage === 'normal' || stage === 'forward' ? this.#invalid() : []
    const failsafes = stage === 'forward' ? [] : [this.#failsafes(direction, stage === 'untracked')]
    return [...invalid, ...failsafes, ...(stage === 'normal' ? DISCOVERY : []), ...rules]
  }

  /** In place of an endpoint's rules that the kernel refuses: nothing but failsafe ports and what hosts of the network need of each other. */
  #closed({ stage, direction }: ListPlace): readonly NftRule[] {
    const drop: NftRule = { matches: [], verdict: { do: 'drop' }, isCounted: true }
    if (stage === 'forward') return [drop]
    const implicit = implicitRules(this.#input.settings.implicit, direction)
    return [...implicit, ...failsafeRules(this.#input.settings.failsafes, direction, stage === 'untracked'), ...DISCOVERY, drop]
  }

  #list(endpoint: LocalEndpoint, place: ListPlace): CompiledList {
    const list = this.#lists.compile(endpoint, place)
    this.pieces.include(list)
    return list
  }

  #failsafes(direction: Direction, isUntracked: boolean): NftRule {
    const chain = this.pieces.chain('failsafe_', failsafeRules(this.#input.settings.failsafes, direction, isUntracked))
    return { matches: [], verdict: { do: 'jump', chain } }
  }

  #known(): readonly NftRule[] {
    return [accept({ on: 'ct-state', value: ['established', 'related'] })]
  }

  #invalid(): readonly NftRule[] {
    if (!this.#input.settings.dropsInvalid) return []
    return [{ matches: [{ on: 'ct-state', value: ['invalid'] }], verdict: { do: 'drop' }, isCounted: true }]
  }

  #allowedEarly(): readonly NftRule[] {
    return this.#hasEarly ? [accept({ on: 'mark', value: this.#markBit, mask: this.#markBit })] : []
  }
}

function at(stage: ListStage, direction: Direction): ListPlace {
  return { stage, direction, canReject: true }
}

function base(name: string, hook: NftHook, rules: readonly NftRule[]): NftChain {
  return { kind: 'chain', name, hook, rules }
}

/** What comes in by an interface, or goes out by it; by any other without a name. */
function onLink(name: string | undefined, direction: Direction): readonly NftMatch[] {
  return name === undefined ? [] : [{ on: direction === 'ingress' ? 'iifname' : 'oifname', value: name }]
}

function mapOrDrop(on: 'iifname' | 'oifname', map: string): readonly NftRule[] {
  return [
    { matches: [], verdict: { do: 'map', on, map } },
    { matches: [], verdict: { do: 'drop' }, isCounted: true },
  ]
}

function hasPolicies(endpoint: LocalEndpoint, stage: ListStage, ...directions: readonly Direction[]): boolean {
  return directions.some((direction) => isAsked(endpoint.tiers, stage, direction))
}
