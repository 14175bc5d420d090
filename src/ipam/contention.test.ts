import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EtcdCluster, startEtcd } from '../../test/support/etcd.ts'
import { plainEtcd } from '../../test/support/store.ts'
import { IpamError } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { IPAM_PREFIX } from '../model/keys.ts'
import type { Ip } from '../net/ip.ts'
import type { EtcdStore } from '../store/etcd.ts'
import type { Assignment } from './block-writes.ts'
import { countHeld, findFaults, never, putNode, putPool, readRecords } from './fixtures.ts'
import { createIpam, type Ipam } from './ipam.ts'

const test = suite('ipam/contention')

const HOSTS = Array.from({ length: 20 }, (_, i) => `h${i}`)
let cluster: EtcdCluster
let stores: readonly EtcdStore[] = []

test.before(async () => {
  cluster = await startEtcd()
  stores = HOSTS.map(() => plainEtcd(cluster.endpoints))
  for (const host of HOSTS) await putNode(first(), host)
})

test.after(async () => {
  for (const store of stores) store.close()
  await cluster.close()
})

/** What one host does next: take so many addresses of each family, or give back some that it holds. */
type Step = { readonly take: number } | { readonly giveBack: number }

/** Twenty hosts' view of who holds what. To hold an address twice at one time is what must never happen. */
class Ledger {
  readonly held = new Map<Ip, string>()
  readonly faults: string[] = []
  refusals = 0

  add(host: string, assignments: readonly Assignment[]): void {
    for (const { ip } of assignments) {
      const other = this.held.get(ip)
      if (other !== undefined) this.faults.push(`${ip} was given to ${host} while ${other} held it`)
      this.held.set(ip, host)
    }
  }

  remove(assignments: readonly Assignment[]): void {
    for (const { ip } of assignments) this.held.delete(ip)
  }
}

test('twenty hosts at once on small pools: no address twice, and the totals are right', async () => {
  await putPool(first(), 'four', '10.65.0.0/26', { blockSize: 28 })
  await putPool(first(), 'six', 'fd00:65::/121', { blockSize: 125 })
  const step = fc.oneof(fc.record({ take: fc.integer({ min: 1, max: 3 }) }), fc.record({ giveBack: fc.nat(9) }))
  const plans = fc.array(fc.array(step, { minLength: 6, maxLength: 8 }), { minLength: HOSTS.length, maxLength: HOSTS.length })
  const property = fc.asyncProperty(plans, async (steps) => {
    const ledger = new Ledger()
    const fronts = HOSTS.map((node, i) => createIpam({ store: stores[i] ?? first(), node, log: silentLogger }))
    const started = performance.now()
    await Promise.all(fronts.map((front, i) => live(front, HOSTS[i] ?? '', steps[i] ?? [], ledger)))
    const ms = Math.round(performance.now() - started)
    report({ ms, held: ledger.held.size, refusals: ledger.refusals, ...sumOf(fronts) })
    assert.equal(ledger.faults, [])
    assert.is(countHeld(await readRecords(first())), ledger.held.size)
    assert.equal(await findFaults(first()), [])
    for (const handleId of (await readRecords(first())).handles.keys()) await fronts[0]?.releaseByHandle(handleId, never)
    assert.is(countHeld(await readRecords(first())), 0)
  })
  await fc.assert(property, { numRuns: 3, endOnFailure: true })
})

test('a full pool is full to the last address for twenty hosts at once', async () => {
  await clear()
  await putPool(first(), 'four', '10.65.0.0/25', { blockSize: 28 })
  await putPool(first(), 'six', 'fd00:65::/121', { blockSize: 125, disabled: true })
  const fronts = HOSTS.map((node, i) => createIpam({ store: stores[i] ?? first(), node, log: silentLogger }))
  const results = await Promise.allSettled(
    Array.from({ length: 140 }, (_, i) => {
      const front = fronts[i % fronts.length]
      return front?.autoAssign({ handleId: `w${i}`, attributes: {} }, never) ?? assert.unreachable()
    }),
  )
  const reasons = results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as IpamError).code] : []))
  assert.equal(reasons, Array<string>(12).fill('ipam-full'))
  assert.is(countHeld(await readRecords(first())), 128)
  assert.equal(await findFaults(first()), [])
})

test('addresses one after the other take a bearable time', async () => {
  await clear()
  await putPool(first(), 'four', '10.65.0.0/16')
  const front = createIpam({ store: first(), node: 'h0', log: silentLogger })
  const started = performance.now()
  const count = process.env['TEST_LONG'] === undefined ? 200 : 1000
  for (let i = 0; i < count; i++) await front.autoAssign({ handleId: `margay.default.w${i}`, attributes: { workload: `w${i}` } }, never)
  const ms = performance.now() - started
  report({ count, ms: Math.round(ms), ...sumOf([front]) })
  assert.is((await readRecords(first())).blocks.size, Math.ceil(count / 64))
  assert.ok(ms / count < 200, `${ms} ms`)
})

test.run()

function first(): EtcdStore {
  const [store] = stores
  if (store === undefined) throw new Error('no store was opened')
  return store
}

async function clear(): Promise<void> {
  cluster.ctl('del', '--prefix', IPAM_PREFIX)
}

async function live(front: Ipam, host: string, steps: readonly Step[], ledger: Ledger): Promise<void> {
  const own: Assignment[] = []
  for (const [i, step] of steps.entries()) {
    if ('take' in step) {
      try {
        const taken = await front.autoAssign({ handleId: `${host}.${i}`, attributes: {}, count: step.take }, never)
        ledger.add(host, taken)
        own.push(...taken)
      } catch (error) {
        if (!(error instanceof IpamError) || error.code !== 'ipam-full') throw error
        ledger.refusals++
      }
    } else {
      const given = own.splice(step.giveBack % (own.length + 1), 2)
      ledger.remove(given)
      const { refused, unallocated } = await front.releaseIps(given, never)
      if (refused.length + unallocated.length > 0) ledger.faults.push(`${host} could not release ${given.map(({ ip }) => ip).join(' ')}`)
    }
  }
}

function sumOf(fronts: readonly Ipam[]): { readonly commits: number; readonly conflicts: number } {
  const total = (count: (front: Ipam) => number) => fronts.reduce((sum, front) => sum + count(front), 0)
  return { commits: total(({ counters }) => counters.commits), conflicts: total(({ counters }) => counters.conflicts) }
}

function report(figures: Readonly<Record<string, number>>): void {
  process.stdout.write(`\n  ${JSON.stringify(figures)}\n`)
}
