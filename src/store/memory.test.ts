import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { collect, put } from '../../test/support/store.ts'
import { MemoryStore } from './memory.ts'
import { checkStore } from './store.compliance.ts'

const test = suite('store/memory')
const signal = new AbortController().signal
const shared = new MemoryStore()

checkStore(test, () => ({ store: shared, another: () => shared.another(), compact: async (revision) => shared.compact(revision) }))

test('calls fail while it is disconnected, and a watch misses nothing of that time', async () => {
  const store = new MemoryStore()
  const other = store.another()
  const events = collect(store, '/calico/', 2, 2)
  await put(other, '/calico/a', '1')
  store.disconnect()
  await put(other, '/calico/a', '2')
  await rejectsWith(() => store.get('/calico/a', signal), 'the store did not answer (disconnected)')
  store.reconnect()
  assert.equal(
    (await events).map(({ entry }) => entry?.value),
    ['1', '2'],
  )
})

test('a lease lives as long as its holder is connected, and is lost when its time runs out without', async () => {
  let now = 0
  const store = new MemoryStore(() => now)
  const other = store.another()
  const lease = await store.lease(10, signal)
  await store.commit([], [{ put: '/margay/v1/live/h1', value: '', lease: lease.id }], signal)
  now = 60_000
  assert.is((await other.get('/margay/v1/live/h1', signal))?.lease, lease.id)
  store.disconnect()
  now += 9999
  assert.is((await other.get('/margay/v1/live/h1', signal))?.lease, lease.id)
  now += 1
  assert.is(await other.get('/margay/v1/live/h1', signal), undefined)
  store.reconnect()
  await lease.lost
})

async function rejectsWith(run: () => Promise<unknown>, message: string): Promise<void> {
  const error = await run().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.is(error instanceof Error ? error.message : error, message)
}

test.run()
