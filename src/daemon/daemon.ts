import type { Server } from 'node:http'
import type { Config } from '../config.ts'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { createKernel, type RealKernel } from '../kernel/kernel.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { startUnit } from '../kernel/units.ts'
import type { Logger } from '../log.ts'
import { serveHealth } from '../observe/health.ts'
import { TRIAL_FAMILIES, TRIAL_SET } from '../policy/trial.ts'
import { Merger } from '../reconcile/merge.ts'
import { Reconciler } from '../reconcile/reconciler.ts'
import { Election } from '../store/election.ts'
import { clientEndpoints } from '../store/embedded.ts'
import { openEtcd } from '../store/etcd.ts'
import { readSavedView } from '../store/saved-view.ts'
import type { Connection, Store } from '../store/store.ts'
import { admit } from './admission.ts'
import { Answers } from './answers.ts'
import { type ApiHandlers, serveApi } from './api.ts'
import { createHandlers } from './api-handlers.ts'
import { Applied } from './applied.ts'
import { appliedRules } from './applied-rules.ts'
import { Attachments } from './attachments.ts'
import { AutoHostEndpoints } from './auto-host-endpoints.ts'
import { BootRules } from './boot-rules.ts'
import { Collector } from './collector.ts'
import { aborted, liveRecord } from './daemon-parts.ts'
import { EtcdAddresses } from './etcd-addresses.ts'
import { Flows } from './flows.ts'
import { GoneWorkloads } from './gone-workloads.ts'
import { Host } from './host.ts'
import { forwardedBefore } from './host-facts.ts'
import { margayGroup } from './identity.ts'
import { LiveKeeper } from './live.ts'
import { PassLoop } from './loop.ts'
import { daemonMetrics } from './metrics.ts'
import type { Notifier } from './notify.ts'
import { PassLog } from './passes.ts'
import { Planner } from './planner.ts'
import { PolicySummary } from './policy-summary.ts'
import { Questions } from './questions.ts'
import { Recorder } from './record.ts'
import { concernedFailures } from './refusals.ts'
import { closedLinks, RefusedRules } from './refused-rules.ts'
import { Registrar } from './register.ts'
import { Revoker } from './revoke.ts'
import { savedViewPath, ViewSaver } from './saver.ts'
import { FollowSource } from './source.ts'
import { notAlive, notReady, type StatusParts, workloadLinks } from './status.ts'
import { trialProblems } from './trial-problems.ts'
import { kernelClockMs, TrialTimes } from './trial-times.ts'
import { Trials } from './trials.ts'
import { Workloads } from './workloads.ts'

/** What the process gives to the daemon. */
export interface DaemonOptions {
  readonly config: Config
  readonly log: Logger
  readonly notifier: Notifier
  /** Reads the configuration again, and has it taken over by `use`. */
  readonly reload: () => void
}

/**
 * So long READY=1 waits for the first pass. Then it is said all the same: there is nothing to apply as long as etcd is away and no view
 * was saved, and the rest of the system must be able to boot. Milliseconds.
 */
const READY_AFTER_MS = 15_000
/** Pins of endpoints that were removed elsewhere, and namespaces that stand again, are looked for this often. Milliseconds. */
const UPKEEP_MS = 5000
/** The names of etcd's hosts are looked up this often. Milliseconds. */
const RESOLVE_MS = 60_000

/** The daemon's parts, put together. */
export class Daemon {
  readonly #options: DaemonOptions
  #config: Config
  readonly #policy: NftablesTable
  readonly #kernel: RealKernel
  readonly #store: Store
  readonly #ipam: Ipam
  readonly #merger = new Merger()
  readonly #applied = new Applied()
  readonly #planner = new Planner(this.#merger, () => this.#flows.canLog)
  readonly #recorder = new Recorder()
  readonly #passes = new PassLog()
  readonly #questions: Questions
  readonly #answers: Answers
  readonly #reconciler: Reconciler
  readonly #refused = new RefusedRules()
  readonly #summary = new PolicySummary()
  readonly #attachments: Attachments
  readonly #live: LiveKeeper
  readonly #registrar: Registrar
  readonly #saver: ViewSaver
  readonly #bootRules: BootRules
  readonly #autoHostEndpoints: AutoHostEndpoints
  readonly #etcd: EtcdAddresses
  readonly #trials: Trials
  readonly #host: Host
  readonly #loop: PassLoop
  readonly #workloads: Workloads
  readonly #collector: Collector
  readonly #flows: Flows
  readonly #revoker: Revoker
  readonly #goneWorkloads: GoneWorkloads
  #source: FollowSource | undefined
  #connection: Connection = { isConnected: false }
  #waitsFor: string | undefined
  #appliedRevision = 0
  #isReady = false

  constructor(options: DaemonOptions) {
    this.#options = options
    const { config, log } = options
    this.#config = config
    const { state, run } = config.paths
    this.#policy = new NftablesTable({ log })
    this.#kernel = createKernel({ policy: this.#policy })
    this.#store = openEtcd({ ...config.etcd, endpoints: clientEndpoints(config) })
    this.#ipam = createIpam({
      ...{ store: this.#store, node: config.node.name, log, stickySeconds: () => this.#config.ipam.stickySeconds },
    })
    this.#reconciler = new Reconciler(this.#kernel.tables, () => performance.now())
    const [context, facts] = [() => this.#planner.context, () => this.#host.facts]
    this.#questions = new Questions({
      ...{ node: config.node.name, kernel: this.#kernel, etcd: () => this.#etcd.use, context, facts },
      refused: () => closedLinks(this.#reconciler.failures()),
      revocation: () => ({ isWanted: this.#config.policy.revokeEstablished, hasTrial: this.#planner.hasTrial }),
      trials: () => this.#trials.inForce(),
    })
    this.#answers = new Answers({
      ...{ store: this.#store, node: config.node.name, log },
      failures: (about) =>
        concernedFailures(this.#reconciler.failures(), about, workloadLinks({ planner: this.#planner, merger: this.#merger })),
      responders: this.#questions.responders(),
    })
    this.#attachments = new Attachments(state, run, log)
    this.#live = new LiveKeeper(this.#store, liveRecord(config), log)
    this.#registrar = new Registrar({ store: this.#store, ipam: this.#ipam, config: () => this.#config, log })
    this.#saver = new ViewSaver(state, log)
    this.#bootRules = new BootRules(state, config.node.name, log)
    this.#autoHostEndpoints = new AutoHostEndpoints({ node: config.node.name, store: this.#store, log })
    this.#etcd = new EtcdAddresses({ endpoints: clientEndpoints(config), embedded: config.etcd.embedded })
    this.#trials = this.#createTrials()
    this.#host = this.#createHost()
    const parts = { merger: this.#merger, reconciler: this.#reconciler, log }
    this.#loop = new PassLoop({ ...parts, kernel: this.#kernel, planning: this.#host })
    this.#workloads = new Workloads({
      ...{ ...parts, store: this.#store, ipam: this.#ipam, attachments: this.#attachments, applied: this.#applied, planner: this.#planner },
      node: config.node.name,
      wake: () => this.#loop.poke(),
    })
    this.#collector = this.#createCollector()
    this.#flows = this.#createFlows()
    this.#revoker = this.#createRevoker()
    this.#goneWorkloads = new GoneWorkloads({ ...parts, planner: this.#planner, runFolder: run })
  }

  /** What is used now. */
  get config(): Config {
    return this.#config
  }

  /** Uses another configuration from now on; only what `planReload` takes over may be different in it. */
  use(config: Config): void {
    this.#config = config
    this.#host.reconfigure()
    this.#loop.refresh()
    this.#collector.poke()
    this.#revoker.poke()
  }

  /** Runs until the signal aborts, or throws why it can't. Leaves the kernel as it is. */
  async run(signal: AbortSignal): Promise<void> {
    const { config, log } = this.#options
    const failed = new AbortController()
    const ends = AbortSignal.any([signal, failed.signal])
    this.#passes.start()
    this.#flows.listen()
    const { source, admission } = await this.#createSource(ends)
    const servers = await this.#serve(source)
    if (config.etcd.embedded) await startUnit('margay-etcd.service', log)
    const timers = [setTimeout(() => this.#sayReady(source), READY_AFTER_MS), setInterval(() => this.#upkeep(ends), UPKEEP_MS)]
    timers.push(setInterval(() => this.#resolveEtcd(), RESOLVE_MS))
    this.#resolveEtcd()
    try {
      const work = [
        source.run(ends),
        this.#revoker.begin(ends).then(() => Promise.all([this.#loop.run(source, ends), this.#revoker.run(ends)])),
        // A host that is not let in says nothing of itself: it could write over the one that has its name.
        admission.then(() =>
          Promise.all([
            this.#registrar.run(ends),
            this.#live.run(ends),
            this.#collector.run(ends),
            this.#autoHostEndpoints.run(ends),
            this.#answers.run(ends),
          ]),
        ),
        this.#watchRuleset(ends),
        this.#flows.run(ends),
        this.#goneWorkloads.run(ends),
      ]
      await Promise.race([Promise.all(work), aborted(signal)])
    } finally {
      failed.abort()
      for (const timer of timers) clearTimeout(timer)
      await this.#close(servers)
    }
  }

  #createHost(): Host {
    const { config, log } = this.#options
    return new Host({
      ...{ kernel: this.#kernel, planner: this.#planner, reconciler: this.#reconciler, attachments: this.#attachments },
      ...{ config: () => this.#config, log },
      etcd: this.#etcd,
      ...{ applied: this.#applied, registrar: this.#registrar, live: this.#live, hostForwardedBefore: forwardedBefore(config.paths.run) },
      trials: this.#trials,
      wake: (afterMs) => this.#wake(afterMs),
    })
  }

  #createRevoker(): Revoker {
    return new Revoker({
      ...{ planner: this.#planner, host: this.#host, merger: this.#merger, reconciler: this.#reconciler, kernel: this.#kernel },
      ...{ table: this.#policy, log: this.#options.log, runFolder: this.#config.paths.run },
      ...{ isWanted: () => this.#config.policy.revokeEstablished, wake: () => this.#loop.poke(), tell: (line) => this.#flows.note(line) },
    })
  }

  #createTrials(): Trials {
    const { config, log } = this.#options
    return new Trials({
      ...{ store: this.#store, node: config.node.name, log },
      ...{ clock: kernelClockMs, times: new TrialTimes(config.paths.run, log) },
      wake: (afterMs) => this.#wake(afterMs),
      enforce: (timeoutMs) => this.#policy.changeTimed(TRIAL_SET, { put: { elements: TRIAL_FAMILIES, timeoutMs } }),
    })
  }

  #wake(afterMs?: number): void {
    if (afterMs === undefined) this.#loop.poke()
    else setTimeout(() => this.#loop.poke(), afterMs).unref()
  }

  #createCollector(): Collector {
    const { config, log } = this.#options
    const { name: node } = config.node
    return new Collector({
      ...{ node, log, ipam: this.#ipam, settings: () => this.#config.ipam, clock: () => performance.now() },
      election: (task) => new Election({ store: this.#store, task, node, log }),
      look: async (scope, signal) => {
        // A view from disk shows what was: what it doesn't show may be used since.
        // The first pass goes before: with 100,000 endpoints of other hosts a look takes as long as a tenth of all that it has to do.
        const isTried = this.#appliedRevision > 0 || this.#loop.failure !== undefined
        const isKnown = isTried && this.#planner.context !== undefined && this.#source?.isSaved === false
        return isKnown && this.#source !== undefined ? this.#ipam.surveyWith(this.#source.view, scope, signal) : undefined
      },
      standing: () => this.#workloads.standingHandles(),
    })
  }

  #createFlows(): Flows {
    const { config, log } = this.#options
    return new Flows({
      ...{ node: config.node.name, log },
      rules: () => this.#planner.countedRules,
      context: () => this.#planner.context,
      interfaces: (signal) => this.#kernel.interfaces(signal),
    })
  }

  async #createSource(signal: AbortSignal): Promise<{ readonly source: FollowSource; readonly admission: Promise<void> }> {
    const { config, log } = this.#options
    const saved = await readSavedView(savedViewPath(config.paths.state), log)
    const onWait = (reason: string | undefined) => {
      this.#waitsFor = reason
    }
    const admission = admit({ store: this.#store, kernel: this.#kernel, config, live: this.#live, log, onWait }, signal)
    const onConnection = (connection: Connection) => {
      this.#connection = connection
    }
    const source = new FollowSource({ store: this.#store, log, saved, admission, onConnection })
    this.#source = source
    this.#host.onPass = (view, timing) => {
      this.#appliedRevision = view.revision
      this.#answers.note(view.revision)
      this.#saver.note(source.view, timing.changes)
      void this.#trials.settle(this.#planner.generations?.overlay, trialProblems(this.#planner, this.#reconciler))
      const parts = { planner: this.#planner, reconciler: this.#reconciler, merger: this.#merger }
      this.#bootRules.note(view, timing.changes, source.isSaved ? undefined : appliedRules(parts))
      if (!source.isSaved) this.#autoHostEndpoints.note(view, timing.changes)
      if (!source.isSaved) for (const part of [this.#revoker, this.#goneWorkloads]) part.note(timing.changes)
      this.#passes.note(view, timing)
      this.#recorder.note(source.view, timing, this.#host)
      if (!this.#isReady) this.#sayReady(source)
    }
    this.#loop.onTurn = () => {
      if (this.#isReady) this.#sayReady(source)
      if (this.#options.notifier.watchdogMs !== undefined) this.#options.notifier.alive()
    }
    return { source, admission }
  }

  #statusParts(source: FollowSource): StatusParts {
    return {
      ...{ config: this.#config, host: this.#host, loop: this.#loop, planner: this.#planner, merger: this.#merger },
      ...{ reconciler: this.#reconciler, registrar: this.#registrar, live: this.#live, saver: this.#saver, source },
      bootRules: this.#bootRules,
      trials: this.#trials,
      autoHostEndpoints: this.#autoHostEndpoints,
      ...{ refused: this.#refused, summary: this.#summary },
      collector: this.#collector,
      flows: this.#flows,
      revoker: this.#revoker,
      connection: this.#connection,
      admission: this.#waitsFor,
      loopDelayP999Ms: this.#passes.loopDelayP999Ms(),
      appliedRevision: this.#appliedRevision,
    }
  }

  async #serve(source: FollowSource): Promise<readonly Server[]> {
    const { config, log } = this.#options
    const health = {
      notAlive: () => notAlive(this.#statusParts(source)),
      notReady: () => notReady(this.#statusParts(source)),
      metrics: [...daemonMetrics({ collector: this.#collector, ipam: this.#ipam }), ...this.#flows.metrics(), ...this.#revoker.metrics()],
    }
    const api = await serveApi(config.api.socket, this.#handlers(source), { groupId: margayGroup(), folder: config.paths.run }, log)
    return config.health.enabled ? [api, await serveHealth(health, config.health.host, config.health.port)] : [api]
  }

  #handlers(source: FollowSource): ApiHandlers {
    return createHandlers({
      status: () => this.#statusParts(source),
      ...{ kernel: this.#kernel, questions: this.#questions, workloads: this.#workloads, passes: this.#passes },
      ...{ flows: this.#flows, recorder: this.#recorder, reload: () => this.#options.reload() },
    })
  }

  /** What we know is applied and the sockets answer: the first time READY=1, afterwards how it is. */
  #sayReady(source: FollowSource): void {
    const { notifier } = this.#options
    const [reason] = notReady(this.#statusParts(source))
    const text = reason ?? `ready, revision ${this.#appliedRevision}, ${this.#planner.context?.endpoints.size ?? 0} workloads`
    if (this.#isReady) notifier.status(text)
    else notifier.ready(text)
    this.#isReady = true
  }

  #resolveEtcd(): void {
    void this.#etcd.refresh().then((isChanged) => isChanged && this.#loop.poke())
  }

  #upkeep(signal: AbortSignal): void {
    if (this.#attachments.refresh()) this.#loop.poke()
    void this.#workloads.forgetGone(signal)
  }

  async #watchRuleset(signal: AbortSignal): Promise<void> {
    for await (const event of this.#policy.events(signal)) this.#kernel.emit(event)
  }

  async #close(servers: readonly Server[]): Promise<void> {
    this.#options.notifier.stopping()
    this.#passes.stop()
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
    await Promise.all([this.#saver.flush(), this.#bootRules.flush()])
    await Promise.all([this.#live.stop(), this.#collector.stop()])
    for (const part of [this.#store, this.#flows, this.#kernel, this.#policy]) part.close()
  }
}
