import type { LocalEndpoint, Step } from './evaluate.ts'
import { directionAt, evaluatePath, LOOPBACK, type PathPacket, type PathStep, type Place, type PolicedHost } from './evaluate-path.ts'
import { type Flow, type LinkOf, openerOf } from './flow.ts'
import type { MatchRule } from './match-rule.ts'
import { narrowHost, portBounds, portClass } from './narrow.ts'
import type { Direction } from './policies.ts'

/** Why a flow is denied: where on its way, by which endpoint, and by what of its policies. */
export interface Denial {
  readonly place: Place
  readonly endpoint?: string
  /** The key of the policy (`<name>/<namespace>/<kind>`) whose rule denies; absent where none decided. */
  readonly policy?: string
  /** From 0, among the rules of the direction. */
  readonly rule?: number
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
}

/**
 * Finds the flows that the host's policies would not let begin now, asking about the packet that opened each. Flows whose way through the
 * host is unknown are left out. Resumes where the caller left it at a `yield`: the stretches between take far less than a millisecond but
 * where a thousand rules are sorted out for flows of a new kind.
 */
export function* judgeFlows<F extends Flow>({ flows, host, linkOf }: FlowQuestion<F>): Generator<undefined, readonly DeniedFlow<F>[]> {
  const judge = new FlowJudge(host, linkOf)
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
  readonly #narrowed = new Map<string, PolicedHost>()
  readonly #bounds = new Map<LocalEndpoint, readonly number[]>()

  constructor(host: PolicedHost, linkOf: LinkOf) {
    this.#host = host
    this.#linkOf = linkOf
  }

  /** Why the flow is denied; undefined: it is allowed, or nobody here decides about it. */
  judge(flow: Flow): Denial | undefined {
    const packet = openerOf(flow, this.#linkOf)
    if (packet === undefined) return undefined
    const { verdict, steps } = evaluatePath(this.#narrowFor(packet), packet)
    return verdict === 'allow' ? undefined : this.#explain(steps, packet)
  }

  /** Ends that are here are few, and their addresses known; of those elsewhere each may be another. */
  #narrowFor(packet: PathPacket): PolicedHost {
    const { inInterface, outInterface, family, protocol, icmp, source, destination, translated = destination } = packet
    const { isWorkloadInterface } = this.#host.settings
    const isHere = (name: string | undefined) => name === undefined || name === LOOPBACK || isWorkloadInterface(name)
    const knows = { source: isHere(inInterface), destination: isHere(outInterface) }
    const key = [
      ...[inInterface, outInterface, family, protocol, icmp && `${icmp.type}/${icmp.code}`],
      ...[knows.source && source.address, knows.destination && translated.address, packet.translated && destination.address],
      ...this.#portClasses(packet, destination.port),
      ...(packet.translated === undefined ? [] : this.#portClasses(packet, translated.port)),
    ].join()
    const known = this.#narrowed.get(key)
    if (known !== undefined) return known
    const narrowed = narrowHost(this.#host, packet, knows)
    this.#narrowed.set(key, narrowed)
    return narrowed
  }

  #portClasses({ inInterface = '', outInterface = '' }: PathPacket, port: number | undefined): readonly number[] {
    const { workloads, hostEndpoints, wildcard } = this.#host
    const asked = [workloads.get(inInterface), workloads.get(outInterface), hostEndpoints.get(inInterface), hostEndpoints.get(outInterface)]
    return [...asked, wildcard].map((endpoint) => (endpoint === undefined ? 0 : portClass(this.#boundsOf(endpoint), port)))
  }

  #boundsOf(endpoint: LocalEndpoint): readonly number[] {
    const bounds = this.#bounds.get(endpoint) ?? portBounds(endpoint)
    this.#bounds.set(endpoint, bounds)
    return bounds
  }

  #explain(steps: readonly PathStep[], packet: PathPacket): Denial {
    const last = steps.at(-1)
    if (last === undefined) throw new Error('denied nowhere')
    const { place, endpoint, because } = last
    const step = last.list?.steps.at(-1)
    const at = { place, ...(endpoint === undefined ? {} : { endpoint }) }
    if (step === undefined) return { ...at, by: because ?? 'unknown' }
    if (step.by === 'tier') return { ...at, by: `tier ${step.tier}` }
    if (step.by === 'end') return { ...at, by: 'no profile allows it' }
    const direction = directionAt(place, packet)
    const rule = this.#ruleNumber(step, direction, packet)
    const name = step.by === 'policy' ? nameOf(step.policy) : `profile ${step.profile}`
    return { ...at, ...(step.by === 'policy' && { policy: step.policy }), rule, by: `${name} ${direction} rule ${rule}` }
  }

  /** The number of the rule in its policy: in the narrowed one it may have another. */
  #ruleNumber(step: Extract<Step, { readonly by: 'policy' | 'profile' }>, direction: Direction, packet: PathPacket): number {
    const [narrowed, whole] = [this.#narrowFor(packet), this.#host].map((host) => rulesOf(host, step, direction, packet))
    const rule = narrowed?.[step.rule ?? -1]
    return rule === undefined ? -1 : (whole?.indexOf(rule) ?? -1)
  }
}

/** The rules of a policy or profile, from any of the endpoints that may have been asked. */
function rulesOf(
  { workloads, hostEndpoints, wildcard }: PolicedHost,
  step: Extract<Step, { readonly by: 'policy' | 'profile' }>,
  direction: Direction,
  { inInterface = '', outInterface = '' }: PathPacket,
): readonly MatchRule[] | undefined {
  const asked = [inInterface, outInterface].flatMap((name) => [workloads.get(name), hostEndpoints.get(name)])
  for (const endpoint of [...asked, wildcard]) {
    if (endpoint === undefined) continue
    const { tiers, profiles } = endpoint
    const found =
      step.by === 'policy'
        ? tiers.flatMap(({ policies }) => policies).find(({ key }) => key === step.policy)
        : profiles.find(({ name }) => name === step.profile)
    if (found !== undefined) return found.rules[direction]
  }
  return undefined
}

/** `<name>/<namespace>/<kind>` as people say it. */
function nameOf(key: string): string {
  const [name = '', namespace = '', kind = ''] = key.split('/')
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`
}
