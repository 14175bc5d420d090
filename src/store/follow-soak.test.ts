import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startEtcd, waitUntil } from '../../test/support/etcd.ts'
import { aTier, listAll, plainEtcd } from '../../test/support/store.ts'
import { silentLogger } from '../log.ts'
import { FOLLOWED_PREFIXES, RESOURCES_PREFIX } from '../model/keys.ts'
import type { EtcdStore } from './etcd.ts'
import { follow } from './follow.ts'
import type { MutableView } from './view.ts'

const test = suite('store/follow soak')
const never = new AbortController().signal
/** `MARGAY_SOAK_SECONDS=3600 npm test -- follow-soak --long` for a long one. */
const SECONDS = Number(process.env.MARGAY_SOAK_SECONDS ?? 12)
const KEYS = 300

test('after kills, compactions and silence the view is what etcd holds', async () => {
  const cluster = await startEtcd({ members: 3 })
  const stores = [0, 1, 2].map(() => plainEtcd(cluster.endpoints, { timeoutMs: 2000 }))
  const [reader, writer, keeper] = stores
  const stop = new AbortController()
  try {
    if (!reader || !writer || !keeper) return
    const followed = followSlowly(reader, stop.signal)
    const end = Date.now() + SECONDS * 1000
    const writers = [1, 2, 3].map(() => writeUntil(writer, end))
    const kills = hurtUntil(cluster, keeper, end)
    const [faults, ...writes] = await Promise.all([kills, ...writers])
    await waitUntil(
      async () => (await differences(followed.view(), keeper)).length === 0,
      20_000,
      'the view did not become what etcd holds',
    )
    const counts = { seconds: SECONDS, writes: writes.reduce((a, b) => a + b), ...faults, ...followed.counts }
    process.stdout.write(`  ${JSON.stringify(counts)}\n`)
    assert.ok(followed.counts.steps > 1)
    assert.equal(await differences(followed.view(), keeper), [])
  } finally {
    stop.abort()
    for (const store of stores) store.close()
    await cluster.close()
  }
})

/** A reader that takes its time, as a pass does. Between its steps the view must not change. */
function followSlowly(store: EtcdStore, signal: AbortSignal) {
  const counts = { steps: 0, changes: 0, relists: 0 }
  let view: MutableView | undefined
  const run = async (): Promise<void> => {
    for await (const step of follow(store, signal, { log: silentLogger })) {
      view = step.view
      counts.steps++
      counts.changes += step.changes.length
      if (step.isRelisted) counts.relists++
      const before = show(step.view)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 40))
      assert.is(show(step.view), before)
    }
  }
  run().catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  return { counts, view: () => view }
}

/** Writes and removes tiers; gives how many of it were done for certain. */
async function writeUntil(store: EtcdStore, end: number): Promise<number> {
  let done = 0
  while (Date.now() < end) {
    const name = `t${Math.floor(Math.random() * KEYS)}`
    const key = `${RESOURCES_PREFIX}tiers/${name}`
    const write = Math.random() < 0.3 ? { remove: key } : { put: key, value: aTier(name, done) }
    const isDone = await store.commit([], [write], never).then(
      () => true,
      () => false,
    )
    if (isDone) done++
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  return done
}

/** Kills, silences and restarts one member after the other, and compacts to the newest revision while it is away. */
async function hurtUntil(cluster: Awaited<ReturnType<typeof startEtcd>>, store: EtcdStore, end: number) {
  const counts = { kills: 0, silences: 0, compactions: 0 }
  for (let i = 0; Date.now() < end; i++) {
    const member = cluster.members[i % 3]
    const isSilence = i % 4 === 3
    if (isSilence) member?.pause()
    else await member?.kill()
    counts[isSilence ? 'silences' : 'kills']++
    await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 500))
    if (await compact(store)) counts.compactions++
    if (isSilence) member?.resume()
    else await member?.start()
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  return counts
}

async function compact(store: EtcdStore): Promise<boolean> {
  try {
    for await (const page of store.list('/calico/none', {}, never)) await store.compact(page.revision, never)
    return true
  } catch {
    return false
  }
}

function show(view: MutableView): string {
  return view
    .entries()
    .map(({ key, modRevision }) => `${key} ${modRevision}`)
    .join()
}

async function differences(view: MutableView | undefined, store: EtcdStore): Promise<string[]> {
  const lists = await Promise.all(FOLLOWED_PREFIXES.map((prefix) => listAll(store, prefix))).catch(() => undefined)
  if (!lists) return ['etcd did not answer']
  const want = lists.flat().map(({ key, value, modRevision }) => `${key} ${modRevision} ${value}`)
  const have = (view?.entries() ?? []).map(({ key, value, modRevision }) => `${key} ${modRevision} ${value}`)
  const [wanted, had] = [new Set(want), new Set(have)]
  return [...want.filter((line) => !had.has(line)), ...have.filter((line) => !wanted.has(line))]
}

test.run()
