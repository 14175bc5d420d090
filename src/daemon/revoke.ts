import { describeError } from '../errors.ts'
import { type Connection, isClosed, isExpected } from '../kernel/conntrack/connection.ts'
import { Conntrack } from '../kernel/conntrack/conntrack.ts'
import type { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf } from '../kernel/objects.ts'
import { Pace } from '../kernel/pace.ts'
import type { Kernel } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import type { RevocationReport } from '../model/own/api.ts'
import type { FlowLine } from '../model/own/flows.ts'
import type { Metric } from '../observe/metrics.ts'
import type { PolicyChanges } from '../policy/change-log.ts'
import { type Concern, concernOf, isConcerned } from '../policy/concerned.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import type { Flow, LinkOf } from '../policy/flow.ts'
import { type DeniedFlow, FlowJudge, type FlowQuestion, judgeFlows } from '../policy/judge-flows.ts'
import type { Listings } from '../policy/narrow.ts'
import { tombstoneObjects } from '../policy/tombstones.ts'
import { hostEndpointKeys, newHostEndpoints } from '../questions/tolerated.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import { EndedEvents } from './ended-events.ts'
import { EndedFlows } from './ended-flows.ts'
import { findLinks } from './flow-links.ts'
import { type FlowRecord, flowKey, forgetFlowRecord, readFlowRecord, writeFlowRecord } from './flow-record.ts'
import type { Host } from './host.ts'
import { HostAddresses } from './host-addresses.ts'
import { paced } from './paced.ts'
import type { Planner } from './planner.ts'
import { revocationMetrics } from './revocation-metrics.ts'
import { pause, Wake } from './wake.ts'

/** What ending flows needs of the daemon. */
export interface RevokerParts {
  readonly planner: Pick<Planner, 'context' | 'policyVersion' | 'takePolicyChanges' | 'isPlanningPolicy' | 'hasTrial' | 'policed' | 'give'>
  readonly host: Pick<Host, 'facts'>
  readonly merger: Pick<Merger, 'tables'>
  readonly reconciler: Pick<Reconciler, 'repairs'>
  readonly kernel: Pick<Kernel, 'routeTo'>
  readonly table: Pick<NftablesTable, 'changeTimed' | 'listTimed' | 'hasInherited'>
  readonly runFolder: string
  readonly log: Logger
  /** `policy.revokeEstablished` as it is now. */
  readonly isWanted: () => boolean
  /** Asks for a pass. */
  readonly wake: () => void
  /** Tells of a flow that was ended. */
  readonly tell: (line: FlowLine) => void
}

/** What is the same for all flows of one judgement. */
type Judging = Pick<FlowQuestion<Connection>, 'linkOf'> & {
  readonly listings: Listings
  /** Of what decided about them. */
  readonly version: number
}

/** The group whose part is what ends flows for good. */
const TOMBSTONES = 'tombstones'
const TOMBSTONES_KEY = keyOf.policy(tombstoneObjects().find(({ kind }) => kind === 'chain') ?? { kind: 'chain', name: '', rules: [] })
/** So often it is looked whether tombstones are left. Milliseconds. */
const EXPIRY_MS = 10_000
/** After a failure it is tried again after so long. Milliseconds. */
const RETRY_MS = 1000
/**
 * A judgement begins so long after the change: what else comes with it is judged at the same time, and nothing is in the way of the pass for
 * it. Milliseconds.
 */
const SETTLE_MS = 50
/** Pause between two judgements: what a change denies must have ended within a second. Milliseconds. */
const PAUSE_MS = 300
/** So many flows are ended between two looks at whether they are denied still. */
const SLICE = 800

/**
 * Ends the flows that a change of policy denies, which the kernel itself never asks about again. After each pass that changed what decides
 * about packets, all connections are judged by the packet that began them; the denied ones get tombstones and are forgotten by connection
 * tracking. What a host endpoint denies that was not there before is tolerated: nobody has changed his mind about it.
 */
export class Revoker {
  readonly #parts: RevokerParts
  readonly #ended: EndedFlows
  readonly #hosts: HostAddresses
  readonly #conntrack = new Conntrack()
  readonly #wake = new Wake()
  /** Called when a pass is over. */
  readonly #waiting = new Set<() => void>()
  readonly #counts = new Map<string, number>()
  #record: FlowRecord | undefined
  /** The text of the record as it was written. */
  #written: string | undefined
  #judged: string | undefined
  /** The circumstances beside policy under which all flows were judged last; undefined: some are still to be. */
  #judgedUnder: string | undefined
  /** What changed of policy since. */
  #changes: PolicyChanges[] = []
  /** No judgement of this daemon has been carried out yet. */
  #isFirst = true
  #areRaised = false
  #wouldEnd = 0
  #lastMs: number | undefined
  #problem: string | undefined

  constructor(parts: RevokerParts) {
    this.#parts = parts
    this.#hosts = new HostAddresses(parts.merger)
    this.#record = readFlowRecord(parts.runFolder, parts.log)
    this.#ended = new EndedFlows(parts.table, this.#record?.ended ?? [])
  }

  /** To be called before the first pass, which would take away what it does not know: what the daemon before has ended stays so. */
  async begin(signal: AbortSignal): Promise<void> {
    try {
      if ((await this.#ended.forgetExpired(signal)) > 0) this.#raise()
    } catch (error) {
      // Whether the table can be read at all the passes find out.
      this.#parts.log.warn({ reason: describeError(error) }, 'flows that were ended before can not be read')
    }
  }

  /** How it stands. */
  get report(): RevocationReport {
    return {
      isWanted: this.#parts.isWanted(),
      ended: Object.fromEntries(this.#counts),
      tolerated: Object.keys(this.#record?.tolerated ?? {}).length,
      remembered: this.#ended.size,
      ...(this.#parts.planner.hasTrial ? { wouldEnd: this.#wouldEnd } : {}),
      ...(this.#lastMs === undefined ? {} : { lastMs: this.#lastMs }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  /** For Prometheus. */
  metrics(): readonly Metric[] {
    return revocationMetrics(
      () => this.#counts,
      () => this.report,
    )
  }

  /** A pass over a view of the store is over. */
  note(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
    if (this.#state !== this.#judged) this.#wake.set()
  }

  /** Something that it depends on may be otherwise: a trial is over, the configuration is another. */
  poke(): void {
    this.#judged = undefined
    this.#judgedUnder = undefined
    this.#wake.set()
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wake.wait(signal, this.#areRaised ? EXPIRY_MS : undefined)
      if (signal.aborted) break
      try {
        if (this.#state !== this.#judged) await pause(SETTLE_MS, signal)
        await this.#turn(signal)
        this.#problem = undefined
        // With changes that come all the time most of the time is left for others.
        await pause(PAUSE_MS, signal)
      } catch (error) {
        if (signal.aborted) break
        const reason = describeError(error)
        if (reason !== this.#problem) this.#parts.log.error({ err: error }, 'flows could not be judged, trying again')
        this.#problem = reason
        this.#judged = undefined
        this.#judgedUnder = undefined
        this.#wake.set()
        await pause(RETRY_MS, signal)
      }
    }
    this.#conntrack.close()
  }

  /** Another number whenever what decides about packets may be another. */
  get #version(): number {
    return this.#parts.planner.policyVersion + this.#hosts.version
  }

  get #state(): string {
    return `${this.#parts.planner.policyVersion} ${this.#circumstances}`
  }

  /** Rules that somebody else took away, so that anything could begin meanwhile, are the same case as a change. */
  get #circumstances(): string {
    const { planner, reconciler, isWanted } = this.#parts
    return `${this.#hosts.version} ${reconciler.repairs} ${planner.hasTrial} ${isWanted()}`
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#state !== this.#judged) await this.#judge(signal)
    if (!this.#areRaised || !this.#ended.mayBeOver || (await this.#ended.forgetExpired(signal)) > 0) return
    this.#areRaised = false
    this.#parts.planner.give(TOMBSTONES, undefined)
    await this.#saveEnded()
    this.#parts.wake()
  }

  async #judge(signal: AbortSignal): Promise<void> {
    const [state, circumstances] = [this.#state, this.#circumstances]
    const listings: Listings = new Map()
    const startMs = performance.now()
    if (!this.#parts.isWanted()) {
      await this.#ended.release(() => true)
      this.#record = undefined
      this.#written = undefined
      forgetFlowRecord(this.#parts.runFolder)
      ;[this.#judged, this.#judgedUnder] = [state, undefined]
      return
    }
    // While something is on trial nothing ends, and what would is counted.
    const onTrial = this.#parts.planner.hasTrial
    const concern = this.#takeConcern(onTrial)
    if (concern === undefined) return
    await this.#release(listings, signal)
    const flows = await this.#listFlows(concern, signal)
    const [host, version] = [this.#policed(onTrial), this.#version]
    const linkOf = host && (await this.#findLinks(flows, host, signal))
    // It is planned anew just now, or nothing is known yet: the end of that pass calls again.
    if (host === undefined || linkOf === undefined) return
    const judging: Judging = { linkOf, listings, version }
    const denied = await paced(judgeFlows({ flows, host, linkOf, listings }), signal)
    const { cut, record } = await this.#sortOut(denied, host)
    if (onTrial) {
      this.#wouldEnd = cut.length
    } else {
      // What is told of it is what a daemon that is killed now leaves to the next.
      this.#written = await writeFlowRecord(this.#parts.runFolder, record, this.#written)
      this.#record = record
      this.#isFirst = false
      if (cut.length > 0) await this.#end(cut, judging, signal)
    }
    this.#lastMs = Math.round(performance.now() - startMs)
    ;[this.#judged, this.#judgedUnder, this.#changes] = [state, circumstances, []]
    if (this.#state !== state) this.#wake.set()
  }

  async #listFlows(concern: Concern, signal: AbortSignal): Promise<readonly Connection[]> {
    if (concern === 'nobody') return []
    const isWanted = (one: Connection) => isJudged(one) && isConcerned(concern, one)
    if (concern === 'everybody' || concern.single === undefined) return this.#conntrack.list(signal, isWanted)
    return this.#conntrack.listOf(concern.single, signal, isWanted)
  }

  /** Whose flows are to be judged; undefined: policy is planned anew just now, or nothing is known yet. The end of that pass calls again. */
  #takeConcern(onTrial: boolean): Concern | undefined {
    const host = this.#policed()
    if (host === undefined) return undefined
    this.#changes.push(this.#parts.planner.takePolicyChanges())
    const hasTolerated = Object.keys(this.#record?.tolerated ?? {}).length > 0
    if (onTrial || this.#isFirst || hasTolerated || this.#judgedUnder !== this.#circumstances) return 'everybody'
    return concernOf(host, this.#changes)
  }

  #policed(onTrial = false): PolicedHost | undefined {
    return this.#parts.planner.policed((ip) => this.#hosts.has(ip), { onTrial })
  }

  async #findLinks(flows: readonly Flow[], host: PolicedHost, signal: AbortSignal): Promise<LinkOf | undefined> {
    const { planner, kernel } = this.#parts
    const [context, facts] = [planner.context, this.#parts.host.facts]
    if (context === undefined || facts === undefined) return undefined
    return findLinks(flows, { context, facts, kernel, host }, signal)
  }

  /** A flow that may begin again may do so at once. */
  async #release(listings: Listings, signal: AbortSignal): Promise<void> {
    if (this.#ended.size === 0) return
    const host = this.#policed()
    const linkOf = host && (await this.#findLinks([...this.#ended.flows()], host, signal))
    if (linkOf === undefined) return
    const newest = this.#judges({ linkOf, listings }, () => this.#policed(this.#parts.planner.hasTrial))
    const isAllowed = (flow: Flow) => {
      const judge = newest()
      return judge !== undefined && judge.judge(flow) === undefined
    }
    await this.#ended.release(isAllowed)
  }

  /** Gives who judges by policy as it is at each call; undefined while that is planned anew. */
  #judges({ linkOf, listings }: Omit<Judging, 'version'>, policed: () => PolicedHost | undefined): () => FlowJudge | undefined {
    let [judge, version]: [FlowJudge | undefined, number] = [undefined, -1]
    return () => {
      if (version !== this.#version || this.#parts.planner.isPlanningPolicy) judge = undefined
      const host = judge === undefined ? policed() : undefined
      if (host !== undefined) [judge, version] = [new FlowJudge(host, linkOf, listings), this.#version]
      return judge
    }
  }

  /** Which of the denied flows end, and what is to be remembered of the others. */
  async #sortOut(denied: readonly DeniedFlow<Connection>[], host: PolicedHost) {
    const endpoints = hostEndpointKeys(host)
    // Without rules anything could begin: the flows of that time are nobody's change of mind.
    const before = this.#isFirst && this.#parts.table.hasInherited !== true ? undefined : this.#record
    const isNew = newHostEndpoints(before?.endpoints ?? [], host)
    const hasTolerated = Object.keys(before?.tolerated ?? {}).length > 0
    const tolerated: Record<string, string> = {}
    const cut: DeniedFlow<Connection>[] = []
    const pace = new Pace()
    for (const one of denied) {
      if (pace.isDue) await pace.giveWay()
      const { endpoint = '' } = one.because
      const isTolerated = before === undefined || isNew.has(endpoint) || (hasTolerated && before.tolerated[flowKey(one.flow)] === endpoint)
      if (isTolerated) tolerated[flowKey(one.flow)] = endpoint
      else cut.push(one)
    }
    const record: FlowRecord = { endpoints: [...endpoints.keys()], tolerated, ended: [...this.#ended.flows()] }
    return { cut, record }
  }

  async #end(cut: readonly DeniedFlow<Connection>[], judging: Judging, signal: AbortSignal): Promise<void> {
    const { planner, tell } = this.#parts
    await this.#raiseTombstones(signal)
    const counts = new Map<string, number>()
    const events = new EndedEvents(tell, planner.context?.view)
    const pace = new Pace()
    const newest = this.#judges(judging, () => this.#policed())
    for (let start = 0; start < cut.length; start += SLICE) {
      if (pace.isDue) await pace.giveWay()
      const slice = cut.slice(start, start + SLICE)
      const sure = this.#isCurrent(judging) ? slice : await this.#stillDenied(slice, newest, signal)
      const flows = sure.map(({ flow }) => flow)
      await this.#ended.add(flows)
      await this.#conntrack.remove(flows, signal)
      events.add(sure)
      for (const { because } of sure) counts.set(because.by, (counts.get(because.by) ?? 0) + 1)
    }
    events.finish()
    await this.#saveEnded()
    for (const [policy, count] of counts) {
      this.#counts.set(policy, (this.#counts.get(policy) ?? 0) + count)
      this.#parts.log.info({ policy, count }, 'flows ended that policy denies now')
    }
  }

  /** What decides about flows is what they were judged by. */
  #isCurrent({ version }: Judging): boolean {
    return version === this.#version && !this.#parts.planner.isPlanningPolicy
  }

  /** Policy has changed since they were judged: what it allows by now goes on. */
  async #stillDenied(
    denied: readonly DeniedFlow<Connection>[],
    newest: () => FlowJudge | undefined,
    signal: AbortSignal,
  ): Promise<readonly DeniedFlow<Connection>[]> {
    let judge = newest()
    while (judge === undefined) {
      await this.#passEnds(signal)
      signal.throwIfAborted()
      judge = newest()
    }
    const now = judge
    return denied.filter(({ flow }) => now.judge(flow) !== undefined)
  }

  /** Waits until packets are held against the sets. */
  async #raiseTombstones(signal: AbortSignal): Promise<void> {
    const { merger, wake } = this.#parts
    if (!this.#areRaised) this.#raise()
    while (!merger.tables.policy.has(TOMBSTONES_KEY)) {
      wake()
      await this.#passEnds(signal)
      signal.throwIfAborted()
    }
  }

  #raise(): void {
    this.#areRaised = true
    this.#parts.planner.give(TOMBSTONES, { policy: tombstoneObjects() })
  }

  #passEnds(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  async #saveEnded(): Promise<void> {
    if (this.#record === undefined) return
    this.#record = { ...this.#record, ended: [...this.#ended.flows()] }
    this.#written = await writeFlowRecord(this.#parts.runFolder, this.#record, this.#written)
  }
}

/** Whether rules are asked about such a connection at all, and something of it may still come. */
function isJudged(connection: Connection): boolean {
  return connection.zone === 0 && !isExpected(connection) && !isClosed(connection)
}
