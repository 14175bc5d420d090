import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startEtcd, waitUntil } from '../../test/support/etcd.ts'
import { listAll, plainEtcd, put, within } from '../../test/support/store.ts'
import { openProxy } from '../../test/support/tcp-proxy.ts'
import { StoreError } from '../errors.ts'
import type { EtcdStore } from './etcd.ts'
import { CompactedError, type Connection } from './store.ts'

const test = suite('store/etcd faults')
const never = new AbortController().signal
const open: { close(): unknown }[] = []

test.after.each(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

test('a watch gives each change once, over cut connections, a killed member and its restart', async () => {
  const { cluster, store, proxy } = await behindProxy()
  const writer = opened(plainEtcd(cluster.endpoints))
  const from = (await put(writer, '/calico/w/first', '')) + 1
  const watch = watching(store, '/calico/w/', from)
  let written = 0
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) await put(writer, '/calico/w/key', String(++written))
  }
  await write(50)
  await until(() => watch.values.length >= 10)
  proxy.cut()
  await write(50)
  await cluster.members[0]?.kill()
  await cluster.members[0]?.start()
  await write(50)
  proxy.cut()
  await write(50)
  await until(() => watch.values.length >= written)
  assert.equal(
    watch.values,
    Array.from({ length: written }, (_, i) => String(i + 1)),
  )
})

test('a catch-up that is cut again and again loses nothing and doubles nothing', async () => {
  const { cluster, store, proxy } = await behindProxy()
  const writer = opened(plainEtcd(cluster.endpoints))
  const from = (await put(writer, '/calico/w/first', '')) + 1
  await inParallel(4000, (i) => put(writer, `/calico/w/${i}`, 'v'.repeat(500)))
  proxy.cutReply(300_000)
  const watch = watching(store, '/calico/w/', from)
  for (const _ of [1, 2, 3]) {
    const before = proxy.received
    await until(() => proxy.received > before + 200_000 || watch.keys.length >= 4000)
    proxy.cutReply(100_000)
  }
  await until(() => watch.keys.length >= 4000)
  assert.is(watch.keys.length, 4000)
  assert.is(new Set(watch.keys).size, 4000)
})

test('changes of more than 4 MiB at once come through', async () => {
  const cluster = opened(await startEtcd())
  const store = opened(plainEtcd(cluster.endpoints))
  const from = (await put(store, '/calico/w/first', '')) + 1
  await inParallel(1500, (i) => put(store, `/calico/w/${i}`, 'v'.repeat(8000)))
  const watch = watching(store, '/calico/w/', from)
  await until(() => watch.keys.length >= 1500)
  assert.is(new Set(watch.keys).size, 1500)
})

test('history that was compacted while the connection was away is a CompactedError', async () => {
  const { cluster, store, proxy } = await behindProxy()
  const writer = opened(plainEtcd(cluster.endpoints))
  const from = (await put(writer, '/calico/w/first', '')) + 1
  const watch = watching(store, '/calico/w/', from)
  await put(writer, '/calico/w/a', '1')
  await until(() => watch.values.length === 1)
  proxy.hole()
  await put(writer, '/calico/w/a', '2')
  const newest = await put(writer, '/calico/w/a', '3')
  await writer.compact(newest, never)
  proxy.heal()
  const error = await within(10_000, watch.ended)
  assert.instance(error, CompactedError)
  assert.is(error instanceof CompactedError && error.revision, newest)
})

for (const { name, writes } of [
  { name: 'silence', writes: 0 },
  { name: 'half of the truth, when it has more revisions by now', writes: 100 },
]) {
  test(`an etcd that was made anew under the same address is a CompactedError, not ${name}`, async () => {
    const cluster = opened(await startEtcd())
    const [member] = cluster.members
    // Raft's term grows with each start: that a new history has a smaller one shows it.
    await member?.stop()
    await member?.start()
    const proxy = opened(await openProxy(member?.clientPort ?? 0))
    const store = opened(plainEtcd([`http://127.0.0.1:${proxy.port}`]))
    await inParallel(50, (i) => put(store, `/calico/w/${i}`, ''))
    const watch = watching(store, '/calico/w/', 40)
    await until(() => watch.keys.length > 0)
    proxy.hole()
    await member?.kill()
    cluster.wipe()
    await member?.start()
    const writer = opened(plainEtcd(cluster.endpoints))
    await inParallel(writes, (i) => put(writer, `/calico/w/${i}`, ''))
    proxy.heal()
    assert.instance(await within(10_000, watch.ended), CompactedError)
  })
}

test('a write whose reply was lost is known to be done, and done once', async () => {
  const { cluster, store, proxy } = await behindProxy()
  const observer = opened(plainEtcd(cluster.endpoints))
  const first = await put(store, '/calico/cas', 'old')
  proxy.cutReply()
  const writes = [
    { put: '/calico/cas', value: 'new' },
    { put: '/calico/cas2', value: 'new' },
  ]
  const result = await store.commit([{ key: '/calico/cas', modRevision: first }], writes, never)
  assert.is(result.isDone, true)
  const entry = await observer.get('/calico/cas', never)
  assert.equal([entry?.value, entry?.modRevision, result.revision], ['new', first + 1, first + 1])
})

test('a write whose reply was lost and that was not done because of somebody else is known to be not done', async () => {
  const { cluster, store, proxy } = await behindProxy()
  const observer = opened(plainEtcd(cluster.endpoints))
  const first = await put(store, '/calico/cas', 'old')
  await put(observer, '/calico/cas', 'theirs')
  proxy.cutReply()
  const result = await store.commit([{ key: '/calico/cas', modRevision: first }], [{ put: '/calico/cas', value: 'ours' }], never)
  assert.is(result.isDone, false)
  assert.is(result.current.get('/calico/cas')?.value, 'theirs')
})

test('an etcd that does not answer makes calls fail within 5 s, and everything goes on when it does again', async () => {
  const cluster = opened(await startEtcd())
  const store = opened(plainEtcd(cluster.endpoints))
  const connections: Connection[] = []
  store.onConnection((connection) => connections.push(connection), never)
  const from = (await put(store, '/calico/w/first', '')) + 1
  const watch = watching(store, '/calico/w/', from)
  cluster.members[0]?.pause()
  const [read, written] = await Promise.all([timed(store.get('/calico/w/first', never)), timed(put(store, '/calico/w/a', '1'))])
  for (const { ms, error } of [read, written]) {
    assert.ok(ms < 5300, `${ms} ms`)
    assert.ok(error instanceof StoreError && error.isTransient, String(error))
    assert.match(String(error), `${cluster.endpoints[0]}: timed out`)
  }
  assert.is(connections.at(-1)?.isConnected, false)
  cluster.members[0]?.resume()
  await put(store, '/calico/w/b', '2')
  // The first write may have been done when etcd woke up: its outcome was said to be unknown.
  await until(() => watch.values.includes('2'))
  await until(() => connections.at(-1)?.isConnected === true)
})

test('an etcd that is started again within 3 s costs no call', async () => {
  const cluster = opened(await startEtcd())
  const store = opened(plainEtcd(cluster.endpoints))
  await put(store, '/calico/a', '1')
  await cluster.members[0]?.kill()
  const reading = store.get('/calico/a', never)
  await new Promise((resolve) => setTimeout(resolve, 700))
  await cluster.members[0]?.start()
  assert.is((await reading)?.value, '1')
})

test('50,000 keys are listed in pages, and a listing is not held up by its size', async () => {
  const cluster = opened(await startEtcd())
  const store = opened(plainEtcd(cluster.endpoints))
  const value = (i: number) => JSON.stringify({ i, pad: 'x'.repeat(300) })
  await inParallel(500, (part) => {
    const writes = Array.from({ length: 100 }, (_, k) => ({
      put: `/calico/many/${String(part * 100 + k).padStart(5, '0')}`,
      value: value(k),
    }))
    return store.commit([], writes, never)
  })
  const started = Date.now()
  const entries = await listAll(store, '/calico/many/')
  const ms = Date.now() - started
  assert.is(entries.length, 50_000)
  assert.equal(
    entries.map(({ key }) => key),
    entries.map((_, i) => `/calico/many/${String(i).padStart(5, '0')}`),
  )
  assert.ok(ms < 15_000, `${ms} ms`)
})

async function behindProxy() {
  const cluster = opened(await startEtcd())
  const proxy = opened(await openProxy(cluster.members[0]?.clientPort ?? 0))
  const store = opened(plainEtcd([`http://127.0.0.1:${proxy.port}`]))
  return { cluster, proxy, store }
}

function opened<T extends { close(): unknown }>(thing: T): T {
  open.push(thing)
  return thing
}

/** Collects what a watch gives in the background. */
function watching(store: EtcdStore, prefix: string, from: number) {
  const stop = new AbortController()
  const seen = { keys: [] as string[], values: [] as string[] }
  const run = async (): Promise<unknown> => {
    try {
      for await (const batch of store.watch(prefix, from, stop.signal)) {
        for (const { key, entry } of batch.events) {
          seen.keys.push(key)
          seen.values.push(entry?.value ?? '')
        }
      }
      return undefined
    } catch (error) {
      return error
    }
  }
  const ended = run()
  opened({ close: () => stop.abort() })
  return { ...seen, ended }
}

async function inParallel(count: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await run(next++)
  }
  await Promise.all(Array.from({ length: 20 }, worker))
}

async function timed(promise: Promise<unknown>): Promise<{ readonly ms: number; readonly error: unknown }> {
  const started = Date.now()
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { ms: Date.now() - started, error }
}

function until(condition: () => boolean): Promise<void> {
  return waitUntil(condition, 15_000, 'it did not come')
}

test.run()
