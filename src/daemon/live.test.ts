import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLiveRecord, aLog, never, refusal, until } from '../../test/support/daemon.ts'
import { silentLogger } from '../log.ts'
import { liveKey } from '../model/keys.ts'
import type { LiveRecord } from '../model/own/live.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { LIVE_TTL_SECONDS, LiveKeeper, refuseTwin } from './live.ts'

const test = suite('daemon/live')

async function read(store: Store): Promise<LiveRecord | undefined> {
  const entry = await store.get(liveKey('h1'), never)
  return entry && (JSON.parse(entry.value) as LiveRecord)
}

/** A keeper that runs, on a store of which the clock can be moved. */
async function running(work: (parts: { store: MemoryStore; clock: { now: number }; live: LiveKeeper }) => Promise<void>): Promise<void> {
  const [clock, stop] = [{ now: 0 }, new AbortController()]
  const store = new MemoryStore(() => clock.now)
  const live = new LiveKeeper(store.another(), aLiveRecord(), silentLogger)
  const run = live.run(stop.signal)
  try {
    await until('the record', () => read(store))
    await work({ store, clock, live })
  } finally {
    stop.abort()
    await run
  }
}

test('the record says what is known, and is written again when that changes', () =>
  running(async ({ store, live }) => {
    live.update({ addresses: ['192.0.2.1/24'] })
    const seen = await until('the address', async () => ((await read(store))?.addresses.length ? read(store) : undefined))
    assert.equal(seen, aLiveRecord({ addresses: ['192.0.2.1/24'] }))
    assert.equal(live.published, seen)
    const { revision } = store
    live.update({ addresses: ['192.0.2.1/24'] })
    await until('nothing to be written', async () => store.revision === revision)
  }))

test('a record whose lease was lost is written again with another', async () => {
  const [clock, stop] = [{ now: 0 }, new AbortController()]
  const store = new MemoryStore(() => clock.now)
  const connection = store.another()
  const live = new LiveKeeper(connection, aLiveRecord(), silentLogger)
  const run = live.run(stop.signal)
  try {
    await until('the record', () => read(store))
    const first = await store.get(liveKey('h1'), never)
    connection.disconnect()
    clock.now += (LIVE_TTL_SECONDS + 1) * 1000
    store.expireLeases()
    assert.is(await read(store), undefined)
    connection.reconnect()
    await until('the record', () => read(store))
    assert.is.not((await store.get(liveKey('h1'), never))?.lease, first?.lease)
  } finally {
    stop.abort()
    await run
  }
})

test('a record that somebody removed is written again when the view shows it', () =>
  running(async ({ store, live }) => {
    await store.commit([], [{ remove: liveKey('h1') }], never)
    live.notice(undefined)
    await until('the record', () => read(store))
    const { revision } = store
    live.notice(aLiveRecord({ addresses: ['192.0.2.1/24'] }))
    assert.is(store.revision, revision)
  }))

test('the record of another host that took the name is left alone, and named until it is gone', () =>
  running(async ({ store, live }) => {
    const theirs = aLiveRecord({ instance: 'second', addresses: ['198.51.100.9/24'] })
    await store.commit([], [{ put: liveKey('h1'), value: JSON.stringify(theirs) }], never)
    live.notice(theirs)
    assert.match(await until('the problem', () => live.problem), /^node name "h1" is taken: a host with the addresses 198\.51\.100\.9\/24/)
    assert.equal(await read(store), theirs)
    await store.commit([], [{ remove: liveKey('h1') }], never)
    await until('our record', async () => (await read(store))?.instance === 'first')
    await until('no problem', () => live.problem === undefined)
  }))

test('of two hosts that claim one name at once, one has it', async () => {
  const store = new MemoryStore()
  const claims = ['first', 'second'].map((instance, n) => {
    const live = new LiveKeeper(store.another(), aLiveRecord({ instance }), silentLogger)
    return refusal(live.claim([`192.0.2.${n + 1}/24`], never))
  })
  const refusals = await Promise.all(claims)
  assert.is(refusals.filter((text) => text === 'it was not refused').length, 1)
  const [loser] = ['first', 'second'].filter((_, n) => refusals[n] !== 'it was not refused')
  const [again] = [new LiveKeeper(store, aLiveRecord({ instance: loser ?? '' }), silentLogger)]
  assert.match(await refusal(again.claim(['192.0.2.7/24'], never)), 'is taken')
})

test('a store that is away is complained of once', async () => {
  const [store, log, stop] = [new MemoryStore(), aLog(), new AbortController()]
  store.disconnect()
  const live = new LiveKeeper(store, aLiveRecord(), log)
  const run = live.run(stop.signal)
  await until('the complaint', () => log.lines.length > 0)
  store.reconnect()
  await until('the record', () => read(store))
  stop.abort()
  await run
  assert.equal(log.lines, ['warn liveness could not be written, trying again: the store did not answer (disconnected)'])
  assert.is(live.problem, undefined)
})

test('an orderly stop takes the record away, and one that never began does nothing', async () => {
  const store = new MemoryStore()
  const live = new LiveKeeper(store, aLiveRecord(), silentLogger)
  await live.stop()
  await live.claim([], never)
  await live.stop()
  assert.is(await read(store), undefined)
})

const twins = [
  { name: 'nobody', other: undefined, isRefused: false },
  { name: 'the same host', other: aLiveRecord(), isRefused: false },
  { name: 'the same host with a new state folder', other: aLiveRecord({ instance: 'x', addresses: ['192.0.2.1/24'] }), isRefused: false },
  { name: 'another host', other: aLiveRecord({ instance: 'x', addresses: ['192.0.2.2/24'] }), isRefused: true },
]
for (const { name, other, isRefused } of twins) {
  test(`${name} is ${isRefused ? '' : 'not '}refused`, () => {
    const check = () => refuseTwin(aLiveRecord({ addresses: ['192.0.2.1/24'] }), other)
    if (isRefused) assert.throws(check, /is taken: a host with the addresses 192\.0\.2\.2\/24 is alive under it/)
    else check()
  })
}

test.run()
