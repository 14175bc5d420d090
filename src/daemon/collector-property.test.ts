// at most 120 s
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never } from '../../test/support/daemon.ts'
import { IS_LONG } from '../../test/support/fault.ts'
import { FASTER, GRACE_SECONDS, Killed, SimulatedHost, World } from '../../test/support/simulated-hosts.ts'
import { ConflictError, IpamError } from '../errors.ts'
import { countHeld, findFaults, putPool, readRecords } from '../ipam/fixtures.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { decodeEntry } from '../model/codec.ts'
import { resourceKey, resourcePrefix } from '../model/keys.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import type { Ip } from '../net/ip.ts'
import { listResources } from '../store/resource-store.ts'

const test = suite('daemon/collector-property')

const HOSTS = Array.from({ length: 20 }, (_, i) => `h${i}`)
/** Real time of the disorder, and how much longer it may last on a busy machine until enough has happened. */
const FOR_MS = IS_LONG ? 600_000 : 2500
const AT_MOST_MS = FOR_MS + 40_000
const NAMES = ['web', 'db', 'mail', 'cache', 'api', 'job']

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
  assert.ok(isWild(world) && world.counts.collected > 0, `it was orderly all the time: ${JSON.stringify(world.counts)}`)
})

test.run()

/** Whether there was enough disorder. */
const isWild = ({ counts }: World) => counts.attached >= 30 && counts.kills >= 8 && counts.deletions >= 1 && counts.scans >= 30

/** Whether it has lasted long enough, and there was enough of it. */
function isOver(world: World): boolean {
  const ms = performance.now() - world.beganMs
  return ms > AT_MOST_MS || (ms > FOR_MS && isWild(world))
}

const chance = (of: number) => Math.random() < of
const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T

/** What a host does until the end: everything that a host does, at random. */
async function live(world: World, host: SimulatedHost): Promise<void> {
  while (!isOver(world)) {
    if (chance(0.02)) await standStill(world, host)
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
  while (!isOver(world)) {
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

/** Its daemon is down; the host is deleted, and comes back after a while. */
async function beDeleted(world: World, host: SimulatedHost): Promise<void> {
  host.process.kill()
  await removeNode(world, host)
  host.restart(chance(0.3))
}

/** Somebody removes the host, with its endpoints or without, and time passes. */
async function removeNode({ store, counts }: World, host: SimulatedHost): Promise<void> {
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
}

/** Its daemon stands still in the middle of something, for so long that the host is taken for dead and deleted; then it goes on. */
async function standStill(world: World, host: SimulatedHost): Promise<void> {
  world.counts.stops++
  const acting = passKilled(actOnce(world, host))
  await sleep(Math.random() * 4)
  host.process.standStill()
  await removeNode(world, host)
  host.process.goOn()
  await acting
  await startAgain(host)
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
  for (; !isOver(world); await sleep(10)) await world.age()
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
  for (; !isOver(world); await sleep(200)) {
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
  const comeToRest = async (host: SimulatedHost) => {
    host.restart(false)
    await host.start()
    await host.forgetGone()
  }
  await Promise.all(left.map(comeToRest))
  for (let round = 0; round < 4; round++) {
    world.skip(GRACE_SECONDS * 2)
    await world.age()
    await Promise.all(left.map((host) => host.process.collector.scan(never)))
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
