import { setTimeout as delay } from 'node:timers/promises'
import { describeError, KernelError } from '../errors.ts'
import { type LoggedPacket, Nflog } from '../kernel/nflog/nflog.ts'
import { NftCounters } from '../kernel/nftables/counters.ts'
import { tryRules } from '../kernel/nftables/try-rules.ts'
import type { NftRule } from '../kernel/objects.ts'
import type { Interface } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import type { FlowEvent, FlowLine, FlowsReport, FlowVerdict, StatsReport } from '../model/own/flows.ts'
import { FlowLog } from '../observe/flow-log.ts'
import type { Metric } from '../observe/metrics.ts'
import { RuleTotals } from '../observe/rule-totals.ts'
import { Suppressed } from '../observe/suppressed.ts'
import { type CountedRule, type LogText, readLogText } from '../policy/counted-rule.ts'
import { LOG_GROUP } from '../policy/felix-settings.ts'
import { deciderOf, flowEvent } from './flow-event.ts'
import { FlowHosts } from './flow-host.ts'
import type { PlanContext } from './plan-context.ts'
import { isDenying, type RuleOrder, ruleCounts, ruleMetrics } from './rule-stats.ts'

/** What telling of flows rests on. */
export interface FlowsParts {
  readonly node: string
  /** The network namespace of the rules; this process's own unless given. */
  readonly netns?: string
  readonly log: Logger
  /** What the counters of the rules stand for. */
  readonly rules: () => ReadonlyMap<string, CountedRule>
  readonly context: () => PlanContext | undefined
  readonly interfaces: (signal: AbortSignal) => Promise<readonly Interface[]>
  readonly pollMs?: number
}

/** How often counters are read without anybody asking: what rules counted that are gone by then is lost. Milliseconds. */
const POLL_MS = 10_000
/** Reading thousands of counters must stay a small part of the time. */
const MOST_OF_TIME = 0.01
/** So many packets wait until the interfaces are read; more are lost. */
const MOST_WAITING = 2000
const EPERM = 1
const MINUTE_MS = 60_000

/** All that rules which tell of packets need of the kernel. */
const TELLING: NftRule = {
  matches: [],
  limit: { rate: 1, seconds: 1, burst: 1 },
  log: { group: LOG_GROUP, prefix: '' },
  verdict: { do: 'continue' },
}

/** A logged packet whose rule is known. */
interface Waiting {
  readonly packet: LoggedPacket
  readonly text: LogText
  readonly rule: CountedRule
  readonly time: string
}

/**
 * What the rules count and tell of: events of packets from NFLOG, and the counters. It listens always; each rule tells of a few packets
 * a second, and the latest events are kept.
 */
export class Flows {
  readonly #parts: FlowsParts
  readonly #counters: NftCounters
  readonly #totals = new RuleTotals()
  readonly #suppressed = new Suppressed()
  readonly #lines = new FlowLog()
  readonly #hosts: FlowHosts
  #nflog: Nflog | undefined
  #problem: string | undefined
  #canLog = true
  #isTried = false
  /** Rules as they were when the counters were last read: of a rule that went since, packets may still come. */
  #former: ReadonlyMap<string, CountedRule> = new Map()
  #denied: readonly { readonly atMs: number; readonly packets: number }[] = []
  /** Until the interfaces that they name are known. */
  #waiting: Waiting[] = []
  #isResolving = false
  /** Interfaces may have been renamed since they were read. */
  #areNamesOld = true
  #lastPoll: Promise<unknown> = Promise.resolve()
  #lastDenied: FlowEvent | undefined

  constructor(parts: FlowsParts) {
    this.#parts = parts
    this.#counters = new NftCounters({ netns: parts.netns })
    this.#hosts = new FlowHosts(parts.context)
  }

  /** Whether rules may log: false where the kernel has no NFLOG. Known from `listen` on. */
  get canLog(): boolean {
    return this.#canLog
  }

  /** Listens, if nobody else does; `run` tries again. To be called before rules are made. */
  listen(): void {
    if (this.#nflog !== undefined || !this.#canLog) return
    const { netns, log } = this.#parts
    try {
      const refused = this.#isTried ? undefined : tryRules([TELLING], { netns })
      this.#isTried = true
      if (refused) throw refused
      const packet = (one: LoggedPacket) => this.#take(one)
      this.#nflog = new Nflog({ group: LOG_GROUP, netns }, { packet, lost: () => this.#lose('kernel') })
      if (this.#problem !== undefined) log.info({}, 'listening to what rules log again')
      this.#problem = undefined
    } catch (error) {
      const reason = describeError(error)
      this.#canLog = error instanceof KernelError && error.errno === EPERM
      const problem = this.#canLog
        ? `another program listens to group ${LOG_GROUP} of NFLOG, margay flows shows nothing: ${reason}`
        : `this kernel can not tell of packets (NFLOG), rules count only: ${reason}`
      if (problem !== this.#problem) log.warn({ reason }, 'what rules log can not be listened to')
      this.#problem = problem
    }
  }

  /** Reads the counters now and then, until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.listen()
      const started = performance.now()
      await this.#poll(signal).catch((error: unknown) => {
        if (!signal.aborted) this.#parts.log.debug({ reason: describeError(error) }, 'counters of rules could not be read')
      })
      const tookMs = performance.now() - started
      await delay(Math.max(this.#parts.pollMs ?? POLL_MS, tookMs / MOST_OF_TIME), undefined, { signal }).catch(() => undefined)
    }
  }

  /** Takes note of what others than rules tell. */
  note(line: FlowLine): void {
    this.#lines.add(line)
  }

  /** The latest events, oldest first. */
  recent(): readonly FlowLine[] {
    return this.#lines.recent()
  }

  /** Each event from now on. */
  follow(signal: AbortSignal): AsyncIterable<FlowLine> {
    return this.#lines.follow(signal)
  }

  /** What every rule has counted, now. */
  async stats(signal: AbortSignal): Promise<StatsReport> {
    await this.#poll(signal)
    const { node, rules, context } = this.#parts
    const view = context()?.view
    const order: RuleOrder = {
      tiers: view?.get('Tier') ?? new Map(),
      orderOf: ({ kind, namespace, name }) => {
        const spec = view?.get(kind).get(namespace === undefined ? name : `${namespace}/${name}`)?.spec
        return (spec && 'order' in spec ? spec.order : undefined) ?? Number.POSITIVE_INFINITY
      },
    }
    return { node, rules: ruleCounts({ rules: rules(), totals: this.#totals }, order) }
  }

  report(): FlowsReport {
    const nowMs = performance.now()
    const recent = this.#denied.filter(({ atMs }) => nowMs - atMs < MINUTE_MS)
    return {
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      deniedLastMinute: recent.reduce((sum, { packets }) => sum + packets, 0),
      ...(this.#lastDenied === undefined ? {} : { lastDenied: this.#lastDenied }),
      lost: this.#lines.lost,
    }
  }

  metrics(): readonly Metric[] {
    const lost: Metric = {
      name: 'margay_flow_events_lost_total',
      help: 'Events of packets that got lost on their way from the kernel to whoever follows them.',
      type: 'counter',
      samples: () => [{ value: this.#lines.lost }],
    }
    return [...ruleMetrics(() => ({ rules: this.#parts.rules(), totals: this.#totals })), lost]
  }

  close(): void {
    this.#nflog?.close()
    this.#counters.close()
  }

  /** One after the other: what was read earlier must be taken in earlier. */
  #poll(signal: AbortSignal): Promise<void> {
    const polled = this.#lastPoll.then(() => this.#pollNow(signal))
    this.#lastPoll = polled.catch(() => {})
    return polled
  }

  /** Takes in what was counted since; what rules told too little of is told in one. */
  async #pollNow(signal: AbortSignal): Promise<void> {
    const read = await this.#counters.read(signal)
    this.#areNamesOld = true
    const rules = this.#parts.rules()
    const more = this.#totals.update(read)
    this.#totals.keepOnly((name) => rules.has(name) || read.has(name))
    this.#noteDenied(more, rules)
    const time = new Date().toISOString()
    const ruleOf = (counter: string) => rules.get(counter) ?? this.#former.get(counter)
    const isTold = this.#nflog !== undefined
    for (const { counter, verdict, packets } of isTold ? this.#suppressed.settle(more, (name) => toldVerdict(ruleOf(name))) : []) {
      const rule = ruleOf(counter)
      if (rule) this.#lines.add({ type: 'suppressed', time, verdict, direction: rule.direction, decider: deciderOf(rule), packets })
    }
    this.#former = new Map(rules)
  }

  #noteDenied(more: ReadonlyMap<string, number>, rules: ReadonlyMap<string, CountedRule>): void {
    let packets = 0
    for (const [name, count] of more) {
      const rule = rules.get(name)
      if (rule && isDenying(rule)) packets += count
    }
    const nowMs = performance.now()
    this.#denied = [...this.#denied.filter(({ atMs }) => nowMs - atMs < MINUTE_MS), ...(packets > 0 ? [{ atMs: nowMs, packets }] : [])]
  }

  #take(packet: LoggedPacket): void {
    const text = readLogText(packet.prefix)
    const rule = text && (this.#former.get(text.counter) ?? this.#parts.rules().get(text.counter))
    if (text === undefined || rule === undefined) return
    this.#suppressed.tell(text.counter, text.verdict)
    if (this.#waiting.length >= MOST_WAITING) this.#lose('kernel', 1)
    else this.#waiting.push({ packet, text, rule, time: new Date().toISOString() })
    if (!this.#isResolving) void this.#resolve()
  }

  /** Makes events of what waits; interfaces that nobody knows yet are read first. */
  async #resolve(): Promise<void> {
    this.#isResolving = true
    try {
      while (this.#waiting.length > 0) {
        const taken = this.#waiting
        this.#waiting = []
        if (this.#areNamesOld || taken.some(({ packet }) => !this.#isKnown(packet))) await this.#readInterfaces()
        for (const one of taken) this.#add(one)
      }
    } finally {
      this.#isResolving = false
    }
  }

  #isKnown({ inInterface, outInterface }: LoggedPacket): boolean {
    return [inInterface, outInterface].every((index) => index === undefined || this.#hosts.interfaceName(index) !== undefined)
  }

  async #readInterfaces(): Promise<void> {
    try {
      this.#hosts.note(await this.#parts.interfaces(new AbortController().signal))
      this.#areNamesOld = false
    } catch (error) {
      this.#parts.log.debug({ reason: describeError(error) }, 'interfaces could not be read')
    }
  }

  #add({ packet, text, rule, time }: Waiting): void {
    const event = flowEvent(packet, text, rule, this.#hosts, time)
    if (event.verdict === 'deny') this.#lastDenied = event
    this.#lines.add(event)
  }

  #lose(where: 'kernel', events?: number): void {
    this.#lines.add({ type: 'lost', time: new Date().toISOString(), where, ...(events === undefined ? {} : { events }) })
  }
}

/** As what a rule tells of packets whatever its policy says; undefined where only a policy that is to be logged does. */
function toldVerdict(rule: CountedRule | undefined): FlowVerdict | undefined {
  if (rule === undefined) return undefined
  if (isDenying(rule)) return 'deny'
  const isLog = (rule.by === 'policy' || rule.by === 'profile') && rule.action === 'Log'
  return isLog && !(rule.by === 'policy' && rule.isStaged) ? 'log' : undefined
}
