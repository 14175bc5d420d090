import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Collector } from '../../src/daemon/collector.ts'
import { aContext } from '../../src/ipam/fixtures.ts'
import { workloadHandle } from '../../src/ipam/handle.ts'
import { createIpam, type Ipam } from '../../src/ipam/ipam.ts'
import { readIpamSurvey } from '../../src/ipam/read-survey.ts'
import { silentLogger } from '../../src/log.ts'
import { liveKey } from '../../src/model/keys.ts'
import { API_VERSION } from '../../src/model/resource.ts'
import type { Ip } from '../../src/net/ip.ts'
import { attachWorkload, detachWorkload, type WorkloadHost, workloadOf } from '../../src/plugins/workload.ts'
import { Election } from '../../src/store/election.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { applyResource, getResource } from '../../src/store/resource-store.ts'
import type { Lease, Store } from '../../src/store/store.ts'
import { never } from './daemon.ts'
import { MAC1 } from './planning.ts'

/** Hosts with daemons that come and go, over a store in memory: what of a daemon has to do with addresses, and nothing of the kernel. */

// All of them wait with one signal, and node warns of a leak from the eleventh listener on.
setMaxListeners(0, never)

/** The store's and the collectors' clock goes so many times as fast as the machine's. */
export const FASTER = 200
/** The collectors' grace period, by their clock. */
export const GRACE_SECONDS = 30
const LEASE_SECONDS = 20

/** What a process that died would have done after is not done. */
export class Killed extends Error {}

/** The network that all hosts share, and its clock. */
export class World {
  readonly beganMs = performance.now()
  #skippedMs = 0
  readonly store = new MemoryStore(() => this.nowMs)
  /** Leases of dead processes, which nobody renews any more. */
  readonly orphaned: { readonly lease: Lease; readonly endsMs: number }[] = []
  /** What happened. */
  readonly counts = { attached: 0, detached: 0, refused: 0, kills: 0, deletions: 0, stops: 0, scans: 0, collected: 0 }

  get nowMs(): number {
    return (performance.now() - this.beganMs) * FASTER + this.#skippedMs
  }

  now = (): Date => new Date(Date.UTC(2026, 10, 21) + this.nowMs)

  /** Time passes in which nobody does anything. */
  skip(seconds: number): void {
    this.#skippedMs += seconds * 1000
  }

  /** Ends what nobody keeps alive, and forgets history that nobody reads. */
  async age(): Promise<void> {
    const over = this.orphaned.filter(({ endsMs }) => endsMs <= this.nowMs)
    for (const one of over) this.orphaned.splice(this.orphaned.indexOf(one), 1)
    await Promise.all(over.map(({ lease }) => lease.revoke()))
    if (this.store.revision > 4000) this.store.compact(this.store.revision - 2000)
  }
}

/** One run of a host's daemon, until it is killed: then its store throws, and its leases run out. */
export class Process {
  readonly #world: World
  readonly #leases: Lease[] = []
  #isDead = false
  /** Resolves when the process goes on. */
  #gate: Promise<void> | undefined
  #open: () => void = () => {}
  readonly store: Store
  readonly ipam: Ipam
  readonly collector: Collector

  constructor(world: World, node: string, standing: () => ReadonlySet<string>) {
    this.#world = world
    this.store = this.#mortal(world.store)
    this.ipam = createIpam({ store: this.store, node, log: silentLogger, now: world.now, stickySeconds: () => 60 })
    this.collector = new Collector({
      ...{ node, log: silentLogger, ipam: this.ipam, standing, clock: () => world.nowMs },
      settings: () => ({ collect: 'on', leakGraceSeconds: GRACE_SECONDS, stickySeconds: 60 }),
      election: (task) => new Election({ store: this.store, task, node, log: silentLogger }),
      look: (_, signal) => readIpamSurvey(aContext(this.store, node, world.now), signal),
    })
  }

  kill(): void {
    this.#isDead = true
    this.#world.counts.kills++
    this.#world.counts.collected += this.collector.report.collected.addresses
    this.#loseLeases()
    this.goOn()
  }

  /** Stands still in the middle of what it does, as after SIGSTOP. */
  standStill(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
    this.#loseLeases()
  }

  goOn(): void {
    this.#gate = undefined
    this.#open()
  }

  #loseLeases(): void {
    const endsMs = this.#world.nowMs + LEASE_SECONDS * 1000
    this.#world.orphaned.push(...this.#leases.splice(0).map((lease) => ({ lease, endsMs })))
  }

  /** On the way to the store and back the process may stand still, or die: before a write is done, or after it, unheard. */
  async #travel(): Promise<void> {
    await travel()
    await this.#gate
    if (this.#isDead) throw new Killed()
  }

  #mortal(store: MemoryStore): Store {
    const alive = <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        await this.#travel()
        const result = await call(...args)
        await this.#travel()
        return result
      }
    }
    const arrive = () => this.#travel()
    return {
      get: alive((...args: Parameters<Store['get']>) => store.get(...args)),
      commit: alive((...args: Parameters<Store['commit']>) => store.commit(...args)),
      async *list(...args) {
        for await (const page of store.list(...args)) {
          await arrive()
          yield page
        }
      },
      watch: store.watch.bind(store),
      lease: alive(async (...args: Parameters<Store['lease']>) => {
        const lease = await store.lease(...args)
        this.#leases.push(lease)
        return lease
      }),
      expiringLease: alive((...args: Parameters<Store['expiringLease']>) => store.expiringLease(...args)),
      leaseSeconds: alive((...args: Parameters<Store['leaseSeconds']>) => store.leaseSeconds(...args)),
      close() {},
    }
  }
}

/** A host: its daemon, which comes and goes, and what stays of it: which workloads are attached here. */
export class SimulatedHost {
  readonly node: string
  readonly #world: World
  /** As /var/lib/margay has it. */
  attached = new Set<string>()
  process: Process

  constructor(world: World, node: string) {
    this.#world = world
    this.node = node
    this.process = this.#startProcess()
  }

  /** As a daemon starts: its sign of life, its Node, its tunnel address. */
  async start(): Promise<void> {
    const { store, ipam } = this.process
    const live = await store.lease(LEASE_SECONDS, never)
    await store.commit([], [{ put: liveKey(this.node), value: '{}', lease: live.id }], never)
    const name = { kind: 'Node', name: this.node } as const
    const node = (await getResource(store, name, never)) ?? {
      apiVersion: API_VERSION,
      kind: 'Node',
      metadata: { name: this.node },
      spec: {},
    }
    await applyResource(store, node, never)
    const tunnel = await ipam.ensureTunnelAddress({ family: 4, current: node.spec.ipv4VXLANTunnelAddr as Ip | undefined }, never)
    const written = await getResource(store, name, never)
    if (written === undefined || tunnel === undefined) return
    await applyResource(store, { ...written, spec: { ...written.spec, ipv4VXLANTunnelAddr: tunnel } }, never)
  }

  /** Killed in whatever it does; the disk may be lost with it. */
  restart(isDiskLost: boolean): void {
    this.process.kill()
    if (isDiskLost) this.attached = new Set()
    this.process = this.#startProcess()
  }

  attach(name: string): Promise<unknown> {
    return attachWorkload(this.#workloadHost(), { name, namespace: 'default', netns: `/run/netns/${name}` }, never)
  }

  detach(name: string): Promise<unknown> {
    return detachWorkload(this.#workloadHost(), 'default', name, never)
  }

  /** As the daemon's upkeep: what is attached here and has no endpoint is detached. */
  async forgetGone(): Promise<void> {
    for (const id of [...this.attached]) {
      const workload = workloadOf(this.node, id)
      const ref = { kind: 'WorkloadEndpoint', namespace: 'default', name: id.slice('default/'.length) } as const
      if (workload !== undefined && (await getResource(this.process.store, ref, never)) === undefined) await this.detach(workload.name)
    }
  }

  #startProcess(): Process {
    const handles = () => [...this.attached].map((id) => workloadHandle('default', workloadOf(this.node, id)?.name ?? ''))
    return new Process(this.#world, this.node, () => new Set(handles()))
  }

  #workloadHost(): WorkloadHost {
    const { store, ipam } = this.process
    return {
      ...{ node: this.node, store, ipam, log: silentLogger, interfaceName: () => 'mgy0', mac: () => MAC1, holderOf: () => undefined },
      attach: (id) => void this.attached.add(id),
      detach: (id) => void this.attached.delete(id),
      applied: async () => {},
      removed: async () => {},
    }
  }
}

/** Now and then the network is slow: to the collectors' clock, seconds. */
const travel = async () => (Math.random() < 0.1 ? sleep(Math.random() * 40) : undefined)
