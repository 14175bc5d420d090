import { setTimeout as delay } from 'node:timers/promises'
import type { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { collect, listAll, put, within } from '../../test/support/store.ts'
import { CompactedError, type Store } from './store.ts'

type Suite = ReturnType<typeof suite>

/** A store under test, and what its kind needs to be tested. */
export interface StoreUnderTest {
  readonly store: Store
  /** Another connection to the same content. */
  another(): Store
  compact(revision: number): Promise<void>
}

/** What every store must do, whatever it is made of. `open` gives one store for all; each test has keys of its own. */
export function checkStore(test: Suite, open: () => StoreUnderTest): void {
  checkReads(test, open)
  checkCommits(test, open)
  checkWatches(test, open)
  checkLeases(test, open)
}

const signal = new AbortController().signal

function checkReads(test: Suite, open: () => StoreUnderTest): void {
  test('a key that does not exist is undefined', async () => {
    assert.is(await open().store.get('/calico/t/none', signal), undefined)
  })

  test('a value comes back as it was written, with the revision of its writing', async () => {
    const { store } = open()
    const value = '{"name":"Grüße \u{1f408}","n":1785662104123456791,"empty":""}'
    const revision = await put(store, '/calico/t/value', value)
    assert.equal(await store.get('/calico/t/value', signal), { key: '/calico/t/value', value, modRevision: revision, lease: 0n })
  })

  test('a listing comes in key order, in pages, and holds only its prefix', async () => {
    const { store } = open()
    for (const name of ['c', 'a', 'b', 'e', 'd']) await put(store, `/calico/t/list/${name}`, name)
    await put(store, '/calico/t/list0', 'a neighbour')
    const pages = []
    for await (const page of store.list('/calico/t/list/', { pageSize: 2 }, signal)) pages.push(page.entries.map((entry) => entry.value))
    assert.equal(pages, [['a', 'b'], ['c', 'd'], ['e']])
  })

  test('a listing of nothing is one empty page with the revision', async () => {
    const { store } = open()
    const revision = await put(store, '/calico/t/revision', '')
    const pages = []
    for await (const page of store.list('/calico/t/nothing/', {}, signal)) pages.push(page)
    assert.equal(pages, [{ revision, entries: [] }])
  })

  test('all pages of a listing are of one revision, whatever is written in between', async () => {
    const { store } = open()
    for (const name of ['a', 'b', 'c']) await put(store, `/calico/t/pinned/${name}`, 'old')
    const values: string[] = []
    for await (const page of store.list('/calico/t/pinned/', { pageSize: 1 }, signal)) {
      values.push(...page.entries.map((entry) => entry.key.slice(-1) + entry.value))
      await put(store, '/calico/t/pinned/c', 'new')
      await put(store, '/calico/t/pinned/d', 'new')
    }
    assert.equal(values, ['aold', 'bold', 'cold'])
  })

  test('a listing at a revision that was compacted throws CompactedError', async () => {
    const { store, compact } = open()
    const revision = await put(store, '/calico/t/old', '1')
    await compact(await put(store, '/calico/t/old', '2'))
    await rejects(() => listAll(store, '/calico/t/', revision), CompactedError)
  })
}

function checkCommits(test: Suite, open: () => StoreUnderTest): void {
  test('a transaction whose compares hold is done as one revision', async () => {
    const { store } = open()
    const first = await put(store, '/calico/t/txn/a', '1')
    await put(store, '/calico/t/txn/b', '1')
    const result = await store.commit(
      [
        { key: '/calico/t/txn/a', modRevision: first },
        { key: '/calico/t/txn/c', modRevision: 0 },
      ],
      [{ put: '/calico/t/txn/a', value: '2' }, { remove: '/calico/t/txn/b' }, { put: '/calico/t/txn/c', value: '2' }],
      signal,
    )
    assert.equal(result, { isDone: true, revision: result.revision, current: new Map() })
    const left = (await listAll(store, '/calico/t/txn/')).map(({ key, modRevision }) => [key.slice(-1), modRevision])
    assert.equal(left, [
      ['a', result.revision],
      ['c', result.revision],
    ])
  })

  test('a transaction with a compare that does not hold writes nothing and shows what is there', async () => {
    const { store } = open()
    const revision = await put(store, '/calico/t/cas', 'theirs')
    const compares = [
      { key: '/calico/t/cas', modRevision: revision - 1 },
      { key: '/calico/t/cas2', modRevision: 0 },
    ]
    const result = await store.commit(
      compares,
      [
        { put: '/calico/t/cas', value: 'ours' },
        { put: '/calico/t/cas2', value: 'ours' },
      ],
      signal,
    )
    assert.is(result.isDone, false)
    assert.equal(
      result.current,
      new Map([
        ['/calico/t/cas', { key: '/calico/t/cas', value: 'theirs', modRevision: revision, lease: 0n }],
        ['/calico/t/cas2', undefined],
      ]),
    )
    assert.is(await store.get('/calico/t/cas2', signal), undefined)
  })

  test('of twenty that create one key at once, one succeeds', async () => {
    const { store, another } = open()
    const stores = [store, another()]
    const create = (i: number) =>
      stores[i % 2]?.commit([{ key: '/calico/t/race', modRevision: 0 }], [{ put: '/calico/t/race', value: `${i}` }], signal)
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => create(i)))
    const winners = results.flatMap((result, i) => (result?.isDone ? [`${i}`] : []))
    assert.is(winners.length, 1)
    assert.is((await store.get('/calico/t/race', signal))?.value, winners[0])
    stores[1]?.close()
  })

  test('removing a key that is not there is done and changes nothing', async () => {
    const { store } = open()
    const revision = await put(store, '/calico/t/here', '')
    assert.is((await store.commit([], [{ remove: '/calico/t/not-here' }], signal)).revision, revision)
  })

  test('a transaction of more than 128 writes, or two of one key, is refused by name', async () => {
    const { store } = open()
    const many = Array.from({ length: 129 }, (_, i) => ({ put: `/calico/t/many/${i}`, value: '' }))
    await rejects(() => store.commit([], many, signal), /at most 128 of each, not 0 compares and 129 writes/)
    await rejects(
      () => store.commit([], [{ put: '/calico/t/two', value: '' }, { remove: '/calico/t/two' }], signal),
      /once, not twice: "\/calico\/t\/two"/,
    )
    assert.is((await store.commit([], many.slice(1), signal)).isDone, true)
  })

  test('a call with an aborted signal is not made', async () => {
    const { store } = open()
    const aborted = AbortSignal.abort(new Error('enough'))
    await rejects(() => store.commit([], [{ put: '/calico/t/aborted', value: '' }], aborted), /enough/)
    await rejects(() => store.get('/calico/t/aborted', aborted), /enough/)
    assert.is(await store.get('/calico/t/aborted', signal), undefined)
  })
}

function checkWatches(test: Suite, open: () => StoreUnderTest): void {
  test('a watch gives all changes from its revision on, in order, of its prefix only', async () => {
    const { store, another } = open()
    const from = await put(store, '/calico/t/watch/a', '1')
    await put(store, '/calico/t/watch/a', '2')
    await put(store, '/calico/t/elsewhere', '')
    const other = another()
    const events = collect(store, '/calico/t/watch/', from, 5)
    await put(other, '/calico/t/watch/b', '1')
    await other.commit([], [{ remove: '/calico/t/watch/a' }, { put: '/calico/t/watch/c', value: '1' }], signal)
    const short = (await events).map(({ key, entry }) => `${key.slice(-1)}=${entry?.value ?? 'gone'}`)
    assert.equal(short, ['a=1', 'a=2', 'b=1', 'a=gone', 'c=1'])
    other.close()
  })

  test('changes of one revision come in one batch, and revisions only grow', async () => {
    const { store } = open()
    const from = (await put(store, '/calico/t/batches/a', '')) + 1
    const writes = (i: number) => Array.from({ length: 5 }, (_, k) => ({ put: `/calico/t/batches/${k}`, value: `${i}` }))
    for (let i = 0; i < 20; i++) await store.commit([], writes(i), signal)
    const revisions: number[] = []
    const stop = new AbortController()
    let count = 0
    for await (const batch of store.watch('/calico/t/batches/', from, stop.signal)) {
      revisions.push(batch.revision, ...batch.events.map(({ entry }) => entry?.modRevision ?? 0).reverse())
      count += batch.events.length
      assert.is(batch.revision, batch.events.at(-1)?.entry?.modRevision)
      if (count === 100) stop.abort()
    }
    assert.is(count, 100)
  })

  test('a watch from 0 gives what comes after it', async () => {
    const { store } = open()
    await put(store, '/calico/t/now/a', 'before')
    const stop = new AbortController()
    const iterator = store.watch('/calico/t/now/', 0, stop.signal)[Symbol.asyncIterator]()
    const first = iterator.next()
    // Where the watch begins is the store's business: it is written until something comes.
    let isThere = false
    first.then(
      () => {
        isThere = true
      },
      () => {},
    )
    for (let i = 0; !isThere; i++) await put(store, '/calico/t/now/b', `${i}`)
    const { value } = await first
    assert.is(value?.events[0]?.key, '/calico/t/now/b')
    stop.abort()
    await iterator.return?.()
  })

  test('a watch from a revision that was compacted throws CompactedError', async () => {
    const { store, compact } = open()
    const from = await put(store, '/calico/t/compacted', '1')
    await put(store, '/calico/t/compacted', '2')
    await compact(await put(store, '/calico/t/compacted', '3'))
    await rejects(() => collect(store, '/calico/t/compacted', from, 3), CompactedError)
  })

  test('an aborted watch ends without an error', async () => {
    const { store } = open()
    const stop = new AbortController()
    const watching = (async () => {
      for await (const batch of store.watch('/calico/t/idle/', 0, stop.signal)) assert.equal(batch.events, [])
    })()
    stop.abort()
    await within(2000, watching)
  })
}

function checkLeases(test: Suite, open: () => StoreUnderTest): void {
  test('a key with a lease goes when the lease is revoked', async () => {
    const { store } = open()
    const lease = await store.lease(30, signal)
    await store.commit([], [{ put: '/calico/t/leased', value: '1', lease: lease.id }], signal)
    assert.is((await store.get('/calico/t/leased', signal))?.lease, lease.id)
    await lease.revoke()
    assert.is(await store.get('/calico/t/leased', signal), undefined)
  })

  test('a lease that nobody keeps alive says how long it lasts, and ends by itself with its keys', async () => {
    const { store, another } = open()
    const id = await store.expiringLease(3, signal)
    await store.commit([], [{ put: '/calico/t/expiring', value: '1', lease: id }], signal)
    const left = await another().leaseSeconds(id, signal)
    assert.ok(left !== undefined && left <= 3 && left >= 1, `${left} s are left`)
    const end = Date.now() + 10_000
    while ((await store.get('/calico/t/expiring', signal)) !== undefined && Date.now() < end) await delay(50)
    assert.is(await store.get('/calico/t/expiring', signal), undefined)
    assert.is(await store.leaseSeconds(id, signal), undefined)
    assert.is(await store.leaseSeconds(12345n, signal), undefined)
  })

  test('a write with a lease that is gone is refused', async () => {
    const { store } = open()
    const lease = await store.lease(30, signal)
    await lease.revoke()
    await rejects(() => store.commit([], [{ put: '/calico/t/orphan', value: '1', lease: lease.id }], signal), /requested lease not found/)
  })
}

/** Asserts that it rejects with an error of this class, or with a message like this. */
async function rejects(run: () => Promise<unknown>, want: RegExp | (new (...args: never[]) => Error)): Promise<void> {
  try {
    await within(6000, run())
  } catch (error) {
    if (want instanceof RegExp) assert.match(String(error), want)
    else assert.instance(error, want)
    return
  }
  assert.unreachable('it did not fail')
}
