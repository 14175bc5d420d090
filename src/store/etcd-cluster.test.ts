import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EtcdCluster, startEtcd, waitUntil } from '../../test/support/etcd.ts'
import { plainEtcd, put } from '../../test/support/store.ts'
import { openProxy } from '../../test/support/tcp-proxy.ts'
import type { EtcdStore } from './etcd.ts'
import type { Connection } from './store.ts'

const test = suite('store/etcd cluster')
const never = new AbortController().signal
let cluster: EtcdCluster | undefined
const open: { close(): unknown }[] = []

test.before(async () => {
  cluster = await startEtcd({ members: 3 })
})

test.after(() => cluster?.close())

test.after.each(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
  for (const member of cluster?.members ?? []) {
    member.resume()
    await member.start()
  }
})

test('calls go to another member when one refuses, and when one is silent', async () => {
  const { endpoints, members } = theCluster()
  // Each store begins at one of the members: with one for each, every case is met.
  const stores = endpoints.map((_, i) => opened(plainEtcd([...endpoints.slice(i), ...endpoints.slice(0, i)])))
  await Promise.all(stores.map((store, i) => put(store, `/calico/go/${i}`, 'before')))
  await members[0]?.kill()
  await Promise.all(stores.map((store, i) => put(store, `/calico/go/${i}`, 'killed')))
  await members[0]?.start()
  members[1]?.pause()
  const started = Date.now()
  await Promise.all(stores.map((store, i) => put(store, `/calico/go/${i}`, 'silent')))
  assert.ok(Date.now() - started < 5000, `${Date.now() - started} ms`)
  const values = await Promise.all(stores.map(async (store, i) => (await store.get(`/calico/go/${i}`, never))?.value))
  assert.equal(values, ['silent', 'silent', 'silent'])
})

test('a watch on a member that goes silent goes on at another within 15 s', async () => {
  const { endpoints, members } = theCluster()
  const store = opened(plainEtcd([endpoints[2] ?? '']))
  const from = await put(store, '/calico/silent', '0')
  const watches = members.map((_, i) => {
    const rotated = [...endpoints.slice(i), ...endpoints.slice(0, i)]
    return watching(opened(plainEtcd(rotated)), '/calico/silent', from)
  })
  await until(() => watches.every((values) => values.includes('0')))
  members[0]?.pause()
  for (let i = 1; i <= 5; i++) await put(store, '/calico/silent', String(i))
  await until(() => watches.every((values) => values.length === 6), 16_000)
  for (const values of watches) assert.equal(values, ['0', '1', '2', '3', '4', '5'])
})

test('without a quorum calls fail within 5 s, watches say so, and both go on when it is back', async () => {
  const { endpoints, members } = theCluster()
  const store = opened(plainEtcd(endpoints))
  const connections: Connection[] = []
  store.onConnection((connection) => connections.push(connection), never)
  const from = await put(store, '/calico/quorum', '0')
  const values = watching(store, '/calico/quorum', from)
  await until(() => values.length === 1)
  await members[0]?.kill()
  await members[1]?.kill()
  const started = Date.now()
  const errors = await Promise.all(
    [store.get('/calico/quorum', never), put(store, '/calico/quorum2', '1')].map((call) => call.catch(String)),
  )
  assert.ok(Date.now() - started < 5300, `${Date.now() - started} ms`)
  for (const error of errors) assert.match(String(error), /etcd did not answer .*connection refused/)
  await until(() => connections.at(-1)?.isConnected === false)
  await members[0]?.start()
  await until(async () =>
    put(store, '/calico/quorum', '1').then(
      () => true,
      () => false,
    ),
  )
  await until(() => values.includes('1') && connections.at(-1)?.isConnected === true)
})

test('a lease lives through the restart of a member and through a short silence, and is lost when etcd lost it', async () => {
  const { endpoints, members } = theCluster()
  const proxy = opened(await openProxy(members[0]?.clientPort ?? 0))
  const store = opened(plainEtcd([`http://127.0.0.1:${proxy.port}`]))
  const observer = opened(plainEtcd(endpoints.slice(1)))
  const lease = await store.lease(3, never)
  let isLost = false
  void lease.lost.then(() => {
    isLost = true
  })
  await store.commit([], [{ put: '/margay/v1/live/h1', value: '', lease: lease.id }], never)
  await members[0]?.kill()
  await members[0]?.start()
  await new Promise((resolve) => setTimeout(resolve, 4000))
  assert.is((await observer.get('/margay/v1/live/h1', never))?.lease, lease.id)
  assert.is(isLost, false)
  proxy.hole()
  await until(async () => (await observer.get('/margay/v1/live/h1', never)) === undefined)
  // Nobody has told the holder yet, and the clock does not count.
  assert.is(isLost, false)
  proxy.heal()
  await until(() => isLost)
})

test('a revoked lease is not lost', async () => {
  const store = opened(plainEtcd(theCluster().endpoints))
  const lease = await store.lease(1, never)
  let isLost = false
  void lease.lost.then(() => {
    isLost = true
  })
  await lease.revoke()
  await new Promise((resolve) => setTimeout(resolve, 1500))
  assert.is(isLost, false)
})

function theCluster(): EtcdCluster {
  if (!cluster) throw new Error('etcd was not started')
  return cluster
}

function opened<T extends { close(): unknown }>(thing: T): T {
  open.push(thing)
  return thing
}

/** The values that a watch has given so far, in order. */
function watching(store: EtcdStore, prefix: string, from: number): string[] {
  const stop = new AbortController()
  const values: string[] = []
  const run = async (): Promise<void> => {
    for await (const batch of store.watch(prefix, from, stop.signal))
      values.push(...batch.events.map(({ entry }) => entry?.value ?? 'gone'))
  }
  run().catch((error: unknown) => values.push(String(error)))
  opened({ close: () => stop.abort() })
  return values
}

function until(condition: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  return waitUntil(condition, ms, 'it did not come')
}

test.run()
