import { closedBy, reasonOfClosing, type Unreadable } from './closed.ts'
import type { LocalEndpoint, Step } from './evaluate.ts'
import { directionAt, evaluatePath, type PathPacket, type PathStep, type Place, type PolicedHost } from './evaluate-path.ts'
import { type Flow, type LinkOf, openerOf } from './flow.ts'
import type { MatchRule } from './match-rule.ts'
import { type Listings, Narrowing } from './narrow.ts'
import type { Direction } from './policies.ts'

/** Why a flow is denied: where on its way, by which endpoint, and by what of its policies. */
export interface Denial {
  readonly place: Place
  readonly endpoint?: string
  /** The key of the policy (`<name>/<namespace>/<kind>`) whose rule denies; absent where none decided. */
  readonly policy?: string
  /** From 0, among the rules of the direction. */
  readonly rule?: number
  /** Seen from the endpoint; absent where none of its rules was asked. */
  readonly direction?: Direction
  /** The tier that decided, or of the policy that did. */
  readonly tier?: string
  /** The profile whose rule denies. */
  readonly profile?: string
  /** The profile does not exist. */
  readonly isMissing?: true
  /** What does not parse and closes the endpoint. */
  readonly closed?: Unreadable
  /** In words: `GlobalNetworkPolicy no-web ingress rule 2`, `tier default`, `no profile allows it`. */
  readonly by: string
}

/** A flow that is denied now. */
export interface DeniedFlow<F extends Flow> {
  readonly flow: F
  readonly because: Denial
}

/** Which flows, and what decides about them. */
export interface FlowQuestion<F extends Flow> {
  readonly flows: Iterable<F>
  readonly host: PolicedHost
  readonly linkOf: LinkOf
  readonly listings?: Listings
}

/**
 * Finds the flows that the host's policies would not let begin now, asking about the packet that opened each. Flows whose way through the
 * host is unknown are left out. Resumes where the caller left it at a `yield`: the stretches between take less than a
 * millisecond but for the first flows, for which a thousand rules may have to be sorted out.
 */
export function* judgeFlows<F extends Flow>({
  flows,
  host,
  linkOf,
  listings,
}: FlowQuestion<F>): Generator<undefined, readonly DeniedFlow<F>[]> {
  const judge = new FlowJudge(host, linkOf, listings)
  const denied: DeniedFlow<F>[] = []
  let count = 0
  for (const flow of flows) {
    const because = judge.judge(flow)
    if (because !== undefined) denied.push({ flow, because })
    if (++count % STEP === 0) yield
  }
  return denied
}

/** So many flows are judged between two `yield`s. */
const STEP = 16

/** Judges flows of one host under one state of its policies, and remembers what is the same for many of them. */
export class FlowJudge {
  readonly #host: PolicedHost
  readonly #linkOf: LinkOf
  readonly #narrowing: Narrowing
  /** By who decided, and in words by what step. */
  readonly #denials = new WeakMap<PolicedHost, Map<string, Denial>>()

  /** With `listings` of another judge what is the same for it too is not sorted out again. */
  constructor(host: PolicedHost, linkOf: LinkOf, listings?: Listings) {
    this.#host = host
    this.#linkOf = linkOf
    this.#narrowing = new Narrowing(host, listings)
  }

  /** Why the flow is denied; undefined: it is allowed, or nobody here decides about it. */
  judge(flow: Flow): Denial | undefined {
    const packet = openerOf(flow, this.#linkOf)
    if (packet === undefined) return undefined
    const host = this.#narrowing.hostFor(packet)
    const { verdict, steps } = evaluatePath(host, packet)
    return verdict === 'allow' ? undefined : this.#denialFor(host, steps, packet)
  }

  /** Where one rule denies tens of thousands of flows, all have the same denial. */
  #denialFor(host: PolicedHost, steps: readonly PathStep[], packet: PathPacket): Denial {
    const last = steps.at(-1)
    const step = last?.list?.steps.at(-1)
    const rule = step?.by === 'policy' || step?.by === 'profile' ? step.rule : undefined
    const source = step?.by === 'policy' ? step.policy : step?.by === 'profile' ? step.profile : step?.by === 'tier' ? step.tier : ''
    const key = `${last?.place} ${last?.endpoint} ${last?.because} ${step?.by} ${source} ${rule}`
    const denials = this.#denials.get(host) ?? new Map<string, Denial>()
    this.#denials.set(host, denials)
    const denial = denials.get(key) ?? this.#explain(steps, packet)
    denials.set(key, denial)
    return denial
  }

  #explain(steps: readonly PathStep[], packet: PathPacket): Denial {
    const last = steps.at(-1)
    if (last === undefined) throw new Error('denied nowhere')
    const { place, endpoint, because } = last
    const step = last.list?.steps.at(-1)
    const at = { place, ...(endpoint === undefined ? {} : { endpoint }) }
    if (step === undefined) return { ...at, by: because ?? 'unknown' }
    const direction = directionAt(place, packet)
    if (step.by === 'tier') return { ...at, direction, tier: step.tier, by: `tier ${step.tier}` }
    if (step.by === 'end') return { ...at, direction, by: 'no profile allows it' }
    const closed = step.by === 'policy' ? closedBy({ key: step.policy, tier: step.tier }) : undefined
    if (step.by === 'policy' && closed !== undefined) return { ...at, direction, closed, by: describeClosing(step.policy, closed) }
    if (step.by === 'profile' && this.#isMissing(step.profile, packet))
      return { ...at, direction, profile: step.profile, isMissing: true, by: `profile ${step.profile} does not exist` }
    const rule = this.#ruleNumber(step, direction, packet)
    const name = step.by === 'policy' ? nameOf(step.policy) : `profile ${step.profile}`
    const source = step.by === 'policy' ? { policy: step.policy, tier: step.tier } : { profile: step.profile }
    return { ...at, ...source, direction, rule, by: `${name} ${direction} rule ${rule}` }
  }

  #isMissing(name: string, packet: PathPacket): boolean {
    return endpointsOf(this.#host, packet).some(({ profiles }) => profiles.some((one) => one.name === name && one.isMissing))
  }

  /** The number of the rule in its policy: in the narrowed one it may have another. */
  #ruleNumber(step: Extract<Step, { readonly by: 'policy' | 'profile' }>, direction: Direction, packet: PathPacket): number {
    const [narrowed, whole] = [this.#narrowing.hostFor(packet), this.#host].map((host) => rulesOf(host, step, direction, packet))
    const rule = narrowed?.[step.rule ?? -1]
    return rule === undefined ? -1 : (whole?.indexOf(rule) ?? -1)
  }
}

/** The rules of a policy or profile, from any of the endpoints that may have been asked. */
function rulesOf(
  host: PolicedHost,
  step: Extract<Step, { readonly by: 'policy' | 'profile' }>,
  direction: Direction,
  packet: PathPacket,
): readonly MatchRule[] | undefined {
  for (const { tiers, profiles } of endpointsOf(host, packet)) {
    const found =
      step.by === 'policy'
        ? tiers.flatMap(({ policies }) => policies).find(({ key }) => key === step.policy)
        : profiles.find(({ name }) => name === step.profile)
    if (found !== undefined) return found.rules[direction]
  }
  return undefined
}

function describeClosing(key: string, { name }: Unreadable): string {
  return `closed: ${reasonOfClosing(key) ?? `${name === undefined ? 'what decides about it' : nameOf(key)} can't be read`}`
}

/** The endpoints that may have been asked about a packet. */
function endpointsOf(
  { workloads, hostEndpoints, wildcard }: PolicedHost,
  { inInterface = '', outInterface = '' }: PathPacket,
): readonly LocalEndpoint[] {
  const asked = [inInterface, outInterface].flatMap((name) => [workloads.get(name), hostEndpoints.get(name)])
  return [...asked, wildcard].filter((endpoint) => endpoint !== undefined)
}

/** `<name>/<namespace>/<kind>` as people say it. */
function nameOf(key: string): string {
  const [name = '', namespace = '', kind = ''] = key.split('/')
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`
}
