import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy } from '../../test/support/policies.ts'
import { listAll } from '../../test/support/store.ts'
import { StoreError } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { encodeResource } from '../model/codec.ts'
import { resourceKey, TRIALS_PREFIX, trialHostsPrefix, trialKey } from '../model/keys.ts'
import { encodeTrial, type Trial } from '../model/own/trial.ts'
import { MemoryStore } from '../store/memory.ts'
import { MutableView } from '../store/view.ts'
import { TrialTimes } from './trial-times.ts'
import { Trials } from './trials.ts'

const test = suite('daemon/trials')

const never = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'mgt-trials-'))
test.after(() => rmSync(folder, { recursive: true }))

/** A host's trials with a clock of ours; `enforced` are the times for which rules were put in force. */
class World {
  nowMs = 1000
  readonly store = new MemoryStore(() => this.nowMs)
  readonly view = new MutableView()
  readonly enforced: number[] = []
  wakes: (number | undefined)[] = []
  isEtcdAway = false
  /** What etcd says that the lease has left. */
  claimedSeconds: number | undefined
  readonly folder = mkdtempSync(join(folder, 'host-'))
  trials = this.restart()

  restart(): Trials {
    const store = this.store.another()
    const { leaseSeconds } = store
    store.leaseSeconds = (id, signal) => {
      if (this.isEtcdAway) return Promise.reject(new StoreError('away', { isTransient: true }))
      return this.claimedSeconds === undefined ? leaseSeconds.call(store, id, signal) : Promise.resolve(this.claimedSeconds)
    }
    this.trials = new Trials({
      store,
      ...{ node: 'h1', log: silentLogger, clock: () => this.nowMs, times: new TrialTimes(this.folder, silentLogger) },
      wake: (afterMs) => void this.wakes.push(afterMs),
      enforce: async (forMs) => void this.enforced.push(forMs),
    })
    return this.trials
  }

  async begin(id: string, seconds: number, policy = 'p'): Promise<void> {
    const lease = String(await this.store.expiringLease(seconds, never))
    const writes = [{ put: resourceKey('GlobalNetworkPolicy', policy), value: encodeResource(aGlobalPolicy(policy, { order: seconds })) }]
    const trial: Trial = { by: 'ada@h9', startedAt: '2026-01-02T03:04:05Z', seconds, lease, compares: [], writes, revision: 0 }
    await this.store.commit([], [{ put: trialKey(id), value: encodeTrial(trial), lease: BigInt(lease) }], never)
    await this.see(id)
  }

  /** The view takes over how the trial is in the store. */
  async see(id: string): Promise<void> {
    this.view.apply(trialKey(id), await this.store.get(trialKey(id), never))
  }

  /** A pass: what holds in it, as `<kind>/<id>`. */
  async pass(problems: readonly string[] = []): Promise<readonly string[] | undefined> {
    await this.trials.look(this.view)
    const { overlay } = this.trials
    await this.trials.settle(overlay, problems)
    return overlay && [...overlay.keys()]
  }
}

/** Until what is asked of the store in the background is there. */
async function answered(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

test('a trial holds when etcd has said how long it lasts, is in force for what remains, and is told of', async () => {
  const world = new World()
  assert.is(await world.pass(), undefined)
  await world.begin('k7fm', 60)
  world.nowMs += 4500
  assert.is(await world.pass(), undefined)
  await answered()
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
  assert.equal(world.enforced, [55_000])
  world.nowMs += 10_000
  await world.pass()
  assert.equal(world.enforced, [55_000, 45_000])
  assert.equal(world.trials.report(), [
    { id: 'k7fm', by: 'ada@h9', leftSeconds: 45, state: 'running', reasons: [], changes: ['GlobalNetworkPolicy p'] },
  ])
  assert.equal(
    (await listAll(world.store, trialHostsPrefix('k7fm'))).map(({ value }) => JSON.parse(value)),
    [{ node: 'h1', state: 'running', reasons: [] }],
  )
})

test('it is over by our own clock, also when etcd is away and the view still shows it', async () => {
  const world = new World()
  await world.begin('k7fm', 60)
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
  world.store.disconnect()
  world.nowMs += 59_950
  assert.is(await world.pass(), undefined)
  assert.equal(world.enforced.length, 1)
})

test('it is over when it goes from the store', async () => {
  const world = new World()
  await world.begin('k7fm', 60)
  await world.pass()
  await world.store.commit([], [{ remove: trialKey('k7fm') }], never)
  await world.see('k7fm')
  assert.is(await world.pass(), undefined)
})

test('a daemon that starts in the middle goes on with what remains in its first pass', async () => {
  const world = new World()
  await world.begin('k7fm', 60)
  await world.pass()
  world.nowMs += 20_000
  world.restart()
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
  assert.equal(world.enforced, [60_000, 40_000])
})

test('etcd that gives the lease its whole time again makes no trial longer, nor brings one back, also not for a daemon that comes after', async () => {
  const world = new World()
  await world.begin('k7fm', 60)
  await world.pass()
  world.nowMs += 50_000
  world.claimedSeconds = 60
  world.restart()
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
  assert.equal(world.enforced, [60_000, 10_000])
  world.nowMs += 10_000
  assert.is(await world.pass(), undefined)
  world.restart()
  assert.is(await world.pass(), undefined)
})

test('a daemon that starts while nobody can say how long it lasts does not begin it, and asks again', async () => {
  const world = new World()
  world.isEtcdAway = true
  await world.begin('k7fm', 60)
  assert.is(await world.pass(), undefined)
  assert.equal(world.enforced, [])
  world.isEtcdAway = false
  await world.pass()
  await answered()
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
})

test('what can not hold here is refused once and told with its reason, and the overlay goes', async () => {
  const world = new World()
  await world.begin('k7fm', 60)
  assert.equal(await world.pass(['chain trial-to-host: no room']), ['GlobalNetworkPolicy/p'])
  assert.equal(world.enforced, [])
  assert.is(await world.pass(), undefined)
  const [entry] = await listAll(world.store, trialHostsPrefix('k7fm'))
  assert.equal(JSON.parse(entry?.value ?? ''), { node: 'h1', state: 'refused', reasons: ['chain trial-to-host: no room'] })
})

test('two trials hold beside each other, in force until the first ends; then the other goes on', async () => {
  const world = new World()
  await world.begin('aaaa', 60)
  await world.begin('bbbb', 30, 'q')
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p', 'GlobalNetworkPolicy/q'])
  assert.equal(world.enforced, [30_000])
  world.nowMs += 29_950
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
  assert.equal(world.enforced, [30_000, 30_050])
})

test('what was confirmed holds as a trial until its documents are in the view, and no longer', async () => {
  const world = new World()
  await world.begin('k7fm', 60)
  const before = world.trials
  await world.pass()
  const entry = await world.store.get(trialKey('k7fm'), never)
  const confirmed = JSON.stringify({ ...JSON.parse(entry?.value ?? ''), isConfirmed: true })
  const { revision } = await world.store.commit([], [{ put: trialKey('k7fm'), value: confirmed, lease: entry?.lease ?? 0n }], never)
  await world.see('k7fm')
  const overlay = before.overlay
  assert.equal(await world.pass(), ['GlobalNetworkPolicy/p'])
  assert.is(before.overlay, overlay)
  world.view.advance('/calico/resources/v3/projectcalico.org/', revision)
  assert.is(await world.pass(), undefined)
})

test('a record that makes no sense is refused and changes nothing', async () => {
  const world = new World()
  const lease = String(await world.store.expiringLease(60, never))
  const writes = [{ put: resourceKey('GlobalNetworkPolicy', 'p'), value: '{"spec": 7}' }]
  const value = JSON.stringify({ by: 'x', startedAt: 'y', seconds: 60, lease, compares: [], writes })
  await world.store.commit([], [{ put: `${TRIALS_PREFIX}zzzz`, value, lease: BigInt(lease) }], never)
  await world.see('zzzz')
  assert.is(await world.pass(), undefined)
  assert.is(world.trials.report()[0]?.state, 'refused')
})

test.run()
