// at most 120 s
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never } from '../../test/support/daemon.ts'
import { IS_LONG } from '../../test/support/fault.ts'
import { ConflictError, IpamError } from '../errors.ts'
import { aContext, countHeld, findFaults, putPool, readRecords } from '../ipam/fixtures.ts'
import { workloadHandle } from '../ipam/handle.ts'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { readIpamSurvey } from '../ipam/read-survey.ts'
import { silentLogger } from '../log.ts'
import { decodeEntry } from '../model/codec.ts'
import { liveKey, resourceKey, resourcePrefix } from '../model/keys.ts'
import { API_VERSION } from '../model/resource.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import type { Ip } from '../net/ip.ts'
import { attachWorkload, detachWorkload, type WorkloadHost, workloadOf } from '../plugins/workload.ts'
import { Election } from '../store/election.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource, getResource, listResources } from '../store/resource-store.ts'
import type { Lease, Store } from '../store/store.ts'
import { Collector } from './collector.ts'

const test = suite('daemon/collector-property')
// Twenty hosts wait with one signal, and node warns of a leak from the eleventh listener on.
setMaxListeners(0, never)

const HOSTS = Array.from({ length: 20 }, (_, i) => `h${i}`)
/** Real time of the disorder, and how much longer it may last on a busy machine until enough has happened. */
const FOR_MS = IS_LONG ? 600_000 : 3000
const AT_MOST_MS = FOR_MS + 40_000
/** The store's and the collectors' clock goes so many times as fast. */
const FASTER = 200
const GRACE_SECONDS = 30
const LEASE_SECONDS = 20
const NAMES = ['web', 'db', 'mail', 'cache', 'api', 'job']

/** What a process that died would have done after is not done. */
class Killed extends Error {}

/** The network that all hosts share, and its clock. */
class World {
  readonly beganMs = performance.now()
  #skippedMs = 0
  readonly store = new MemoryStore(() => this.nowMs)
  /** Leases of dead processes, which nobody renews any more. */
  readonly orphaned: { readonly lease: Lease; readonly endsMs: number }[] = []
  readonly counts = { attached: 0, detached: 0, refused: 0, kills: 0, deletions: 0, scans: 0, collected: 0 }

  /** Whether the disorder has lasted long enough, and there was enough of it. */
  get isOver(): boolean {
    const ms = performance.now() - this.beganMs
    return ms > AT_MOST_MS || (ms > FOR_MS && this.isWild)
  }

  get isWild(): boolean {
    const { attached, kills, deletions, scans } = this.counts
    return attached >= 40 && kills >= 10 && deletions >= 1 && scans >= 40
  }

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
class Process {
  readonly #world: World
  readonly #leases: Lease[] = []
  #isDead = false
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
    const endsMs = this.#world.nowMs + LEASE_SECONDS * 1000
    this.#world.orphaned.push(...this.#leases.map((lease) => ({ lease, endsMs })))
  }

  /** Whether it dies now: before a write reaches the store, or after it, unheard. */
  #check(): void {
    if (this.#isDead) throw new Killed()
  }

  #mortal(store: MemoryStore): Store {
    const alive = <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        await travel()
        this.#check()
        const result = await call(...args)
        await travel()
        this.#check()
        return result
      }
    }
    const check = () => this.#check()
    return {
      get: alive((...args: Parameters<Store['get']>) => store.get(...args)),
      commit: alive((...args: Parameters<Store['commit']>) => store.commit(...args)),
      async *list(...args) {
        for await (const page of store.list(...args)) {
          await travel()
          check()
          yield page
        }
      },
      watch: store.watch.bind(store),
      lease: alive(async (...args: Parameters<Store['lease']>) => {
        const lease = await store.lease(...args)
        this.#leases.push(lease)
        return lease
      }),
      close() {},
    }
  }
}

/** A host: its daemon, which comes and goes, and what stays of it: which workloads are attached here. */
class SimulatedHost {
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
      ...{ node: this.node, store, ipam, log: silentLogger, interfaceName: () => 'mgy0', holderOf: () => undefined },
      attach: (id) => void this.attached.add(id),
      detach: (id) => void this.attached.delete(id),
      applied: async () => {},
      removed: async () => {},
    }
  }
}

test('twenty hosts that crash, lose their disks and are deleted, with collectors: no address twice, none leaked in the end', async () => {
  const world = new World()
  await putPool(world.store, 'four', '10.65.0.0/23', { blockSize: 29, vxlanMode: 'Always' })
  await putPool(world.store, 'six', 'fd65::/119', { blockSize: 125 })
  const faults = watchEndpoints(world)
  const hosts = HOSTS.map((node) => new SimulatedHost(world, node))
  await Promise.all(hosts.map((host) => host.start()))
  const collecting = hosts.map((host) => collect(world, host))
  await Promise.all([...hosts.map((host) => live(world, host)), ...collecting, lookForFaults(world, faults), age(world)])
  await settle(world, hosts)
  faults.stop()
  process.stdout.write(`\n  ${JSON.stringify({ ...world.counts, revision: world.store.revision })}\n`)
  assert.equal(faults.found, [])
  await assertNothingLeaked(world)
  assert.ok(world.isWild && world.counts.collected > 0, `it was orderly all the time: ${JSON.stringify(world.counts)}`)
})

test.run()

/** Now and then the network is slow: to the collectors' clock, seconds. */
const travel = async () => (chance(0.1) ? sleep(Math.random() * 40) : undefined)
const chance = (of: number) => Math.random() < of
const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T

/** What a host does until the end: everything that a host does, at random. */
async function live(world: World, host: SimulatedHost): Promise<void> {
  while (!world.isOver) {
    const killed = chance(0.06) ? sleep(Math.random() * 4).then(() => host.restart(chance(0.3))) : undefined
    await passKilled(actOnce(world, host))
    await killed
    if (killed !== undefined && chance(0.2)) await beDeleted(world, host)
    if (killed !== undefined) await startAgain(host)
    await sleep(Math.random() * 10)
  }
}

/** Its collector looks all the time, while workloads come and go. */
async function collect(world: World, host: SimulatedHost): Promise<void> {
  while (!world.isOver) {
    await passKilled(host.process.collector.scan(never).then(() => world.counts.scans++))
    await sleep(Math.random() * 40)
  }
}

async function actOnce({ counts }: World, host: SimulatedHost): Promise<void> {
  const name = pick(NAMES)
  const deed = Math.random()
  try {
    if (deed < 0.55) await host.attach(name).then(() => counts.attached++)
    else if (deed < 0.9) await host.detach(name).then(() => counts.detached++)
    else await host.forgetGone()
  } catch (error) {
    // A full pool, and a workload that is there already.
    if (!(error instanceof IpamError) && !(error instanceof ConflictError)) throw error
    counts.refused++
  }
}

/** Its daemon is down; somebody removes the host, with its endpoints or without, and it comes back after a while. */
async function beDeleted({ store, counts }: World, host: SimulatedHost): Promise<void> {
  host.process.kill()
  counts.deletions++
  const keys = [resourceKey('Node', host.node)]
  if (chance(0.7)) {
    const { resources } = await listResources(store, { kind: 'WorkloadEndpoint' }, never)
    const own = resources.filter(({ spec }) => spec.node === host.node)
    keys.push(...own.map(({ metadata }) => resourceKey('WorkloadEndpoint', metadata.name, metadata.namespace)))
  }
  await store.commit(
    [],
    keys.map((remove) => ({ remove })),
    never,
  )
  await sleep((Math.random() * 4 * GRACE_SECONDS * 1000) / FASTER)
  host.restart(chance(0.3))
}

async function startAgain(host: SimulatedHost): Promise<void> {
  await passKilled(host.start()).catch((error: unknown) => {
    if (!(error instanceof IpamError) && !(error instanceof ConflictError)) throw error
  })
}

async function passKilled(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!isKilled(error)) throw error
  })
}

function isKilled(error: unknown): boolean {
  return error instanceof Killed || (error instanceof Error && isKilled(error.cause))
}

async function age(world: World): Promise<void> {
  for (; !world.isOver; await sleep(10)) await world.age()
}

/** Says at once when an endpoint is written with an address that another has: each revision is looked at. */
function watchEndpoints(world: World) {
  const stop = new AbortController()
  const found: string[] = []
  const holders = new Map<Ip, string>()
  const addressesOf = new Map<string, readonly Ip[]>()
  const take = (key: string, endpoint: WorkloadEndpoint | undefined) => {
    for (const ip of addressesOf.get(key) ?? []) holders.delete(ip)
    const ips = (endpoint?.spec.ipNetworks ?? []).map((network) => network.split('/')[0] as Ip)
    addressesOf.set(key, ips)
    for (const ip of ips) {
      const other = holders.get(ip)
      if (other !== undefined) found.push(`${ip} was given to ${key} while ${other} had it`)
      holders.set(ip, key)
    }
  }
  const watching = (async () => {
    for await (const { events } of world.store.watch(resourcePrefix('WorkloadEndpoint'), world.store.revision, stop.signal)) {
      for (const { key, entry } of events) take(key, entry && (decodeEntry(key, entry.value, entry.modRevision)?.value as WorkloadEndpoint))
    }
  })()
  watching.catch((error: unknown) => found.push(String(error)))
  return { found, stop: () => stop.abort() }
}

/** What must not be even for a moment: an address that is used and not held, or held for another host, and blocks that overlap. */
async function lookForFaults(world: World, { found }: { readonly found: string[] }): Promise<void> {
  const wrong = new Set(['missing-address', 'foreign-address', 'shared-address', 'invalid-block', 'overlapping-block', 'unreadable'])
  const ipam = createIpam({ store: world.store, node: 'h0', log: silentLogger, now: world.now })
  for (; !world.isOver; await sleep(200)) {
    const { findings } = await ipam.check(never)
    found.push(...findings.filter(({ kind }) => wrong.has(kind)).map(({ kind, subject, reason }) => `${kind} ${subject}: ${reason}`))
  }
}

/** Every fourth host stays away and is deleted; the others come to rest, and time passes until all is due. */
async function settle(world: World, hosts: readonly SimulatedHost[]): Promise<void> {
  const [gone, left] = [hosts.filter((_, i) => i % 4 === 0), hosts.filter((_, i) => i % 4 !== 0)]
  for (const host of gone) {
    host.process.kill()
    await world.store.commit([], [{ remove: resourceKey('Node', host.node) }], never)
    const { resources } = await listResources(world.store, { kind: 'WorkloadEndpoint' }, never)
    for (const { metadata } of resources.filter(({ spec }) => spec.node === host.node)) {
      await world.store.commit([], [{ remove: resourceKey('WorkloadEndpoint', metadata.name, metadata.namespace) }], never)
    }
  }
  for (const host of left) {
    host.restart(false)
    await host.start()
    await host.forgetGone()
  }
  for (let round = 0; round < 4; round++) {
    world.skip(GRACE_SECONDS * 2)
    await world.age()
    for (const host of left) await host.process.collector.scan(never)
  }
  for (const host of left) world.counts.collected += host.process.collector.report.collected.addresses
}

async function assertNothingLeaked({ store, now }: World): Promise<void> {
  const { findings } = await createIpam({ store, node: 'h1', log: silentLogger, now }).check(never)
  assert.equal(findings, [])
  assert.equal(await findFaults(store, now()), [])
  const { resources } = await listResources(store, { kind: 'WorkloadEndpoint' }, never)
  const nodes = await listResources(store, { kind: 'Node' }, never)
  const used = resources.reduce((sum, { spec }) => sum + (spec.ipNetworks?.length ?? 0), 0)
  assert.is(countHeld(await readRecords(store)), used + nodes.resources.length)
}
