import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFolder, aLog, never, refusal } from '../../test/support/daemon.ts'
import { putPool } from '../ipam/fixtures.ts'
import { silentLogger } from '../log.ts'
import { MemoryStore } from '../store/memory.ts'
import { readSavedView, type SavedView, writeSavedView } from '../store/saved-view.ts'
import type { Connection } from '../store/store.ts'
import type { MutableView } from '../store/view.ts'
import { FollowSource } from './source.ts'

const test = suite('daemon/source')

function following(store: MemoryStore, saved?: SavedView, admission: Promise<void> = Promise.resolve()) {
  const [log, stop, connections] = [aLog(), new AbortController(), [] as Connection[]]
  const onConnection = (connection: Connection) => void connections.push(connection)
  const source = new FollowSource({ store, saved, admission, log, onConnection })
  const run = source.run(stop.signal)
  const end = () => {
    stop.abort()
    return run
  }
  return { source, log, connections, stop: end }
}

async function saved(view: MutableView): Promise<SavedView | undefined> {
  const folder = aFolder()
  try {
    await writeSavedView(`${folder.path}/view`, view, '2026-11-21T09:00:00Z')
    return await readSavedView(`${folder.path}/view`, silentLogger)
  } finally {
    folder.close()
  }
}

async function take(source: FollowSource) {
  assert.is(await source.hasNews(never), true)
  const { view, changes } = await source.take()
  return { pools: [...view.get('IPPool').keys()], changes: changes.map(({ kind, id }) => `${kind}/${id}`) }
}

test('what the store has is shown from the first whole list on, then what changes', async () => {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.1.0.0/16')
  const { source, stop } = following(store)
  assert.equal(await take(source), { pools: ['a'], changes: ['IPPool/a'] })
  await putPool(store, 'b', '10.2.0.0/16')
  assert.equal(await take(source), { pools: ['a', 'b'], changes: ['IPPool/b'] })
  assert.is(source.isSaved, false)
  await stop()
})

test('a store that is away at the start: the saved view first, then what the store has in place of it', async () => {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.1.0.0/16')
  await putPool(store, 'gone', '10.9.0.0/16')
  const before = following(store)
  await take(before.source)
  const file = await saved(before.source.view)
  await before.stop()
  await store.commit([], [{ remove: '/calico/resources/v3/projectcalico.org/ippools/gone' }], never)
  await putPool(store, 'b', '10.2.0.0/16')
  store.disconnect()
  const { source, log, connections, stop } = following(store, file)
  assert.equal(await take(source), { pools: ['a', 'gone'], changes: [] })
  assert.is(source.isSaved, true)
  assert.is(connections.at(-1)?.isConnected, false)
  assert.match(log.lines.join('\n'), 'etcd is away: starting from the saved view')
  store.reconnect()
  assert.equal(await take(source), { pools: ['a', 'b'], changes: ['IPPool/b', 'IPPool/gone'] })
  assert.is(source.isSaved, false)
  await stop()
})

/** Takes longer for its first list than it may be silent. */
class SlowStore extends MemoryStore {
  #isSlow = true

  override async *list(...[prefix, options, signal]: Parameters<MemoryStore['list']>) {
    for (let pages = 0; this.#isSlow && pages < 4; pages++) {
      await delay(1000)
      yield { revision: 1, entries: [] }
    }
    this.#isSlow = false
    yield* super.list(prefix, options, signal)
  }
}

test('a store that lists for long is not away', async () => {
  const before = following(new MemoryStore())
  await take(before.source)
  const file = await saved(before.source.view)
  await before.stop()
  const store = new SlowStore()
  await putPool(store, 'a', '10.1.0.0/16')
  const { source, log, stop } = following(store, file)
  assert.equal(await take(source), { pools: ['a'], changes: ['IPPool/a'] })
  assert.is(source.isSaved, false)
  assert.equal(log.lines, [])
  await stop()
})

test('nothing of the store is shown to a host that is not let in', async () => {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.1.0.0/16')
  let letIn = () => {}
  const admission = new Promise<void>((resolve) => {
    letIn = resolve
  })
  const { source, stop } = following(store, undefined, admission)
  const asked = new AbortController()
  setTimeout(() => asked.abort(), 20)
  assert.is(await source.hasNews(asked.signal), false)
  letIn()
  assert.equal((await take(source)).pools, ['a'])
  await stop()
})

test('a host that is refused ends the following with the reason, also when nobody listened yet', async () => {
  const admission = Promise.reject(new Error('the name is taken'))
  const source = new FollowSource({ store: new MemoryStore(), saved: undefined, admission, log: silentLogger, onConnection: () => {} })
  await new Promise((resolve) => setImmediate(resolve))
  assert.is(await refusal(source.run(never)), 'the name is taken')
})

test.run()
