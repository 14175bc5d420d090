import { Applied } from '../../src/daemon/applied.ts'
import { Attachments } from '../../src/daemon/attachments.ts'
import { BootRules } from '../../src/daemon/boot-rules.ts'
import { Collector } from '../../src/daemon/collector.ts'
import { EtcdAddresses } from '../../src/daemon/etcd-addresses.ts'
import { Host } from '../../src/daemon/host.ts'
import { LiveKeeper } from '../../src/daemon/live.ts'
import { PassLoop, type PassTiming } from '../../src/daemon/loop.ts'
import { Planner } from '../../src/daemon/planner.ts'
import { PolicySummary } from '../../src/daemon/policy-summary.ts'
import { RefusedRules } from '../../src/daemon/refused-rules.ts'
import { Registrar } from '../../src/daemon/register.ts'
import { ViewSaver } from '../../src/daemon/saver.ts'
import { FollowSource } from '../../src/daemon/source.ts'
import type { StatusParts } from '../../src/daemon/status.ts'
import { kernelClockMs, TrialTimes } from '../../src/daemon/trial-times.ts'
import { Trials } from '../../src/daemon/trials.ts'
import { Workloads } from '../../src/daemon/workloads.ts'
import { createIpam } from '../../src/ipam/ipam.ts'
import { FakeKernel } from '../../src/kernel/fake.ts'
import { removePinFolder, unpinNetns } from '../../src/kernel/netns.ts'
import { Merger } from '../../src/reconcile/merge.ts'
import { Reconciler } from '../../src/reconcile/reconciler.ts'
import { Election } from '../../src/store/election.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { aConfig, aFolder, aLiveRecord, aLog, anInterface } from './daemon.ts'

/** The daemon of host h1, 192.0.2.1/24 on eth0, put together as the daemon does it, over a kernel and a store in memory. */
export class TestHost {
  readonly folder = aFolder()
  readonly log = aLog()
  readonly kernel = new FakeKernel([anInterface('eth0', ['192.0.2.1/24'])])
  readonly merger = new Merger()
  readonly planner = new Planner(this.merger)
  readonly applied = new Applied()
  readonly passes: PassTiming[] = []
  readonly store: MemoryStore
  /** The daemon's own connection to the store. */
  readonly connection: MemoryStore
  readonly reconciler = new Reconciler(this.kernel.tables, () => performance.now())
  readonly attachments: Attachments
  readonly live: LiveKeeper
  readonly registrar: Registrar
  readonly host: Host
  readonly loop: PassLoop
  readonly workloads: Workloads
  readonly source: FollowSource
  readonly saver: ViewSaver
  readonly bootRules: BootRules
  readonly collector: Collector
  readonly trials: Trials
  /** The clock of the collector, in milliseconds. */
  collectorMs = 0
  config = aConfig()
  readonly #stop = new AbortController()
  #work: Promise<unknown> = Promise.resolve()
  #isFollowing = false

  constructor(store: MemoryStore = new MemoryStore()) {
    this.store = store
    this.connection = store.another()
    const [log, kernel, config, connection] = [this.log, this.kernel, () => this.config, this.connection]
    const ipam = createIpam({ store: connection, node: 'h1', log, stickySeconds: () => this.config.ipam.stickySeconds })
    this.attachments = new Attachments(`${this.folder.path}/state`, `${this.folder.path}/run`, log)
    this.live = new LiveKeeper(connection, aLiveRecord(), log)
    this.registrar = new Registrar({ store: connection, ipam, config, log })
    this.saver = new ViewSaver(this.folder.path, log)
    this.bootRules = new BootRules(this.folder.path, 'h1', log)
    const wake = (afterMs?: number) => void setTimeout(() => this.loop.poke(), afterMs ?? 0).unref()
    this.trials = new Trials({
      ...{ store: connection, node: 'h1', log, wake },
      clock: kernelClockMs,
      times: new TrialTimes(this.folder.path, log),
      enforce: async () => {},
    })
    const parts = { merger: this.merger, reconciler: this.reconciler, log, kernel, planner: this.planner, applied: this.applied }
    this.host = new Host({
      ...{ ...parts, config, attachments: this.attachments, registrar: this.registrar, live: this.live, hostForwardedBefore: false },
      etcd: new EtcdAddresses({ endpoints: [], embedded: false }),
      ...{ trials: this.trials, wake },
    })
    this.host.onPass = (_view, timing) => void this.passes.push(timing)
    this.loop = new PassLoop({ ...parts, planning: this.host })
    this.workloads = new Workloads({
      ...{ ...parts, node: 'h1', store: connection, ipam, attachments: this.attachments, wake: () => this.loop.poke() },
    })
    this.source = new FollowSource({ store: connection, log, saved: undefined, admission: Promise.resolve(), onConnection: () => {} })
    this.collector = new Collector({
      ...{ node: 'h1', log, ipam, settings: () => this.config.ipam, clock: () => this.collectorMs },
      election: (task) => new Election({ store: connection, task, node: 'h1', log }),
      look: (scope, signal) => ipam.surveyWith(this.source.view, scope, signal),
      standing: () => this.workloads.standingHandles(),
    })
  }

  /** Begins to follow the store only. */
  follow(): void {
    if (this.#isFollowing) return
    this.#isFollowing = true
    this.#work = this.source.run(this.#stop.signal)
  }

  /** Begins to work; `isRegistering` says whether the host writes its own records too. */
  start({ isRegistering = true } = {}): this {
    const { signal } = this.#stop
    this.follow()
    const own = isRegistering ? [this.registrar.run(signal), this.live.run(signal)] : []
    this.#work = Promise.all([this.#work, this.loop.run(this.source, signal), ...own])
    return this
  }

  get statusParts(): StatusParts {
    const { config, host, loop, planner, merger, reconciler, registrar, live, saver, bootRules, source, collector } = this
    const autoHostEndpoints = { problem: undefined }
    const [connection, admission, loopDelayP999Ms] = [{ isConnected: true }, undefined, 0]
    const appliedRevision = this.planner.context?.view.revision ?? 0
    return {
      config,
      host,
      loop,
      planner,
      merger,
      reconciler,
      registrar,
      live,
      saver,
      bootRules,
      autoHostEndpoints,
      trials: this.trials,
      source,
      collector,
      connection,
      refused: new RefusedRules(),
      summary: new PolicySummary(),
      admission,
      appliedRevision,
      loopDelayP999Ms,
    }
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#work
    for (const pin of this.attachments.pins.values()) unpinNetns(pin)
    removePinFolder(`${this.folder.path}/run/netns`)
    this.folder.close()
  }
}

/** Runs work with a host that is ended afterwards in any case. */
export async function withHost(work: (host: TestHost) => Promise<void>, store?: MemoryStore): Promise<void> {
  const host = new TestHost(store)
  try {
    await work(host)
  } finally {
    await host.close()
  }
}
