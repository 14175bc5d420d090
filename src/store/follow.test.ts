import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aTier, put, within } from '../../test/support/store.ts'
import { type LogFields, type Logger, silentLogger } from '../log.ts'
import { type FollowOptions, follow, type Step } from './follow.ts'
import { MemoryStore } from './memory.ts'
import type { Connection } from './store.ts'

const test = suite('store/follow')
const TIERS = '/calico/resources/v3/projectcalico.org/tiers'

test('the first step holds everything at one revision', async () => {
  const store = await aStore({ a: 1, b: 2 })
  await put(store, '/calico/resources/v3/projectcalico.org/unknownkinds/x', 'not even JSON')
  const reader = read(store)
  const step = await reader.next()
  assert.equal(show(step), { isFirst: true, isRelisted: false, changes: ['Tier/a', 'Tier/b'], orders: { a: 1, b: 2 } })
  assert.is(step.view.revision, store.revision)
  await reader.end()
})

test('an empty store has a first step too', async () => {
  const reader = read(new MemoryStore())
  assert.equal(show(await reader.next()), { isFirst: true, isRelisted: false, changes: [], orders: {} })
  await reader.end()
})

test('a change, a new object and one that is gone are one step each or together, and the view holds them', async () => {
  const store = await aStore({ a: 1, b: 2 })
  const reader = read(store)
  await reader.next()
  await store.commit(
    [],
    [{ put: `${TIERS}/a`, value: aTier('a', 7) }, { remove: `${TIERS}/b` }, { put: `${TIERS}/c`, value: aTier('c', 3) }],
    never,
  )
  const step = await reader.next()
  assert.equal(show(step), { isFirst: false, isRelisted: false, changes: ['Tier/a', 'Tier/b', 'Tier/c'], orders: { a: 7, c: 3 } })
  assert.is(step.view.get('Tier').get('a')?.metadata.resourceVersion, String(store.revision))
  await reader.end()
})

test('what arrives while the reader works is queued, one entry a key, and not seen in its view', async () => {
  const store = await aStore({ a: 1 })
  const reader = read(store)
  const { view } = await reader.next()
  for (let i = 2; i <= 50; i++) await put(store, `${TIERS}/a`, aTier('a', i))
  await put(store, `${TIERS}/short-lived`, aTier('short-lived', 1))
  await store.commit([], [{ remove: `${TIERS}/short-lived` }], never)
  await turns(20)
  assert.is(view.get('Tier').get('a')?.spec.order, 1)
  assert.is(view.get('Tier').size, 1)
  const step = await reader.next()
  assert.equal(show(step), { isFirst: false, isRelisted: false, changes: ['Tier/a'], orders: { a: 50 } })
  await reader.end()
})

test('after a compaction that it missed it lists again, and what vanished is a change', async () => {
  const store = await aStore({ gone: 1, changed: 1, same: 1 })
  const writer = store.another()
  const reader = read(store)
  await reader.next()
  store.disconnect()
  await writer.commit([], [{ remove: `${TIERS}/gone` }, { put: `${TIERS}/changed`, value: aTier('changed', 2) }], never)
  await put(writer, `${TIERS}/new`, aTier('new', 1))
  await put(writer, `${TIERS}/new`, aTier('new', 2))
  writer.compact(writer.revision)
  store.reconnect()
  const step = await reader.next()
  assert.equal(show(step), {
    isFirst: false,
    isRelisted: true,
    changes: ['Tier/changed', 'Tier/gone', 'Tier/new'],
    orders: { changed: 2, new: 2, same: 1 },
  })
  await reader.end()
})

test('a store that lost its history is listed again', async () => {
  const store = await aStore({ a: 1, b: 1, c: 1 })
  const reader = read(store)
  await reader.next()
  store.wipe()
  await put(store, `${TIERS}/a`, aTier('a', 9))
  assert.equal(show(await reader.next()), { isFirst: false, isRelisted: true, changes: ['Tier/a', 'Tier/b', 'Tier/c'], orders: { a: 9 } })
  await reader.end()
})

test('a value that does not parse keeps its last good version, or is absent without one, and both are named', async () => {
  const store = await aStore({ a: 1 })
  const log = new Lines()
  const reader = read(store, { log })
  await reader.next()
  await store.commit(
    [],
    [
      { put: `${TIERS}/a`, value: '{"spec":{"order":"many"}}' },
      { put: `${TIERS}/b`, value: '{' },
    ],
    never,
  )
  const step = await reader.next()
  assert.equal(show(step).orders, { a: 1 })
  const broken = [...step.view.broken.values()].map(({ kind, id, hasGoodVersion }) => ({ kind, id, hasGoodVersion }))
  assert.equal(broken, [
    { kind: 'Tier', id: 'a', hasGoodVersion: true },
    { kind: 'Tier', id: 'b', hasGoodVersion: false },
  ])
  assert.match(log.lines.find((line) => line.startsWith('warn'))?.slice(0) ?? '', /Tier\/a: .*order.*Tier\/b: /)
  await put(store, `${TIERS}/a`, aTier('a', 2))
  await put(store, `${TIERS}/b`, aTier('b', 2))
  const after = await reader.next()
  assert.is((await reader.settled(after, () => after.view.broken.size === 0)).view.get('Tier').get('b')?.spec.order, 2)
  await reader.end()
})

test('nothing is given while the store is away, and the log says so once', async () => {
  const store = await aStore({ a: 1 })
  store.disconnect()
  const log = new Lines()
  const connections: Connection[] = []
  const reader = read(store, { log, onConnection: (connection) => connections.push(connection) })
  const first = reader.next()
  await until(() => connections.length > 0)
  await new Promise((resolve) => setTimeout(resolve, 900))
  assert.equal(log.lines, ['warn disconnected etcd connection was lost, trying again until it is back'])
  store.reconnect()
  assert.equal(show(await first).orders, { a: 1 })
  assert.equal(
    log.lines.slice(1).map((line) => line.replace(/\d+/, 'N')),
    ['info N etcd connection was restored'],
  )
  assert.equal(connections.at(-1), { isConnected: true })
  await reader.end()
})

test('from a saved view on, the first step holds only what is different', async () => {
  const store = await aStore({ a: 1, b: 1 })
  const before = read(store)
  const { view } = await before.next()
  await before.end()
  await put(store, `${TIERS}/b`, aTier('b', 2))
  const reader = read(store, { view })
  assert.equal(show(await reader.next()), { isFirst: true, isRelisted: false, changes: ['Tier/b'], orders: { a: 1, b: 2 } })
  await reader.end()
})

test('it ends when aborted, also while it waits', async () => {
  const stop = new AbortController()
  const steps = follow(await aStore({}), stop.signal, { log: silentLogger })
  await steps.next()
  const waiting = steps.next()
  stop.abort()
  assert.is((await within(1000, waiting)).done, true)
})

const never = new AbortController().signal

async function aStore(orders: Record<string, number>): Promise<MemoryStore> {
  const store = new MemoryStore()
  for (const [name, order] of Object.entries(orders)) await put(store, `${TIERS}/${name}`, aTier(name, order))
  return store
}

function read(store: MemoryStore, options: Partial<FollowOptions> = {}) {
  const stop = new AbortController()
  const steps = follow(store, stop.signal, { log: silentLogger, ...options })
  const next = async (): Promise<Step> => {
    const { value } = await within(5000, steps.next())
    if (!value) throw new Error('it ended')
    return value
  }
  return {
    next,
    /** Steps until this holds: several revisions may come as one step or as more. */
    async settled(step: Step, holds: () => boolean): Promise<Step> {
      let last = step
      while (!holds()) last = await next()
      return last
    },
    async end(): Promise<void> {
      stop.abort()
      await steps.return(undefined)
    },
  }
}

function show({ isFirst, isRelisted, changes, view }: Step) {
  const orders = Object.fromEntries([...view.get('Tier')].map(([id, tier]) => [id, tier.spec.order]).sort())
  return { isFirst, isRelisted, changes: changes.map(({ kind, id }) => `${kind}/${id}`).sort(), orders }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition() && Date.now() < deadline) await turns(1)
}

class Lines implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info(fields: LogFields, message: string): void {
    this.lines.push(`info ${fields.ms ?? fields.reason} ${message}`)
  }
  warn(fields: LogFields, message: string): void {
    this.lines.push(`warn ${fields.reason} ${message}`)
  }
  error(fields: LogFields, message: string): void {
    this.lines.push(`error ${fields.reason} ${message}`)
  }
}

test.run()
