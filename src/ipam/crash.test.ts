import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import { affinityKey } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'
import type { CommitResult, Store } from '../store/store.ts'
import { countHeld, findFaults, never, putConfig, putNode, putPool, putValue, readRecords } from './fixtures.ts'
import { createIpam, type Ipam } from './ipam.ts'

const test = suite('ipam/crash')

/** The process died: nothing it would have done after happens. */
class Killed extends Error {}

/** When the process dies: before its k-th write reaches the store, or after that, before it hears of it. */
interface Death {
  readonly write: number
  readonly when: 'before' | 'after'
}

/** A store whose user dies. */
function deadlyStore(store: Store, death: Death): Store {
  let writes = 0
  let isDead = false
  const alive = () => {
    if (isDead) throw new Killed()
    return store
  }
  return {
    get: async (key, signal) => alive().get(key, signal),
    list: (prefix, options, signal) => alive().list(prefix, options, signal),
    async commit(compares, changes, signal): Promise<CommitResult> {
      alive()
      isDead = ++writes === death.write
      if (!isDead) return store.commit(compares, changes, signal)
      if (death.when === 'after') await store.commit(compares, changes, signal)
      throw new Killed()
    },
    watch: store.watch.bind(store),
    lease: store.lease.bind(store),
    expiringLease: store.expiringLease.bind(store),
    leaseSeconds: store.leaseSeconds.bind(store),
    close() {},
  }
}

interface Operation {
  readonly name: string
  /** What is there before. */
  prepare?(h1: Ipam, h2: Ipam, store: Store): Promise<unknown>
  run(h1: Ipam): Promise<unknown>
}

/** Whoever repeats a request after a crash counts what the handle holds already. */
const wants = (handleId: string, count = 1) => ({ handleId, attributes: {}, count, families: [4] as const, keepHeld: true })
const at = (ip: string, handleId: string) => ({ ip: parseIp(ip), handleId, attributes: {} })
const old = new Date('2026-11-21T08:00:00Z')

const operations: readonly Operation[] = [
  { name: 'a first address of each family', run: (h1) => h1.autoAssign({ handleId: 'w', attributes: {}, count: 2 }, never) },
  { name: 'addresses of several blocks', run: (h1) => h1.autoAssign(wants('w', 20), never) },
  {
    name: 'a repeated request',
    prepare: (h1) => h1.autoAssign(wants('w'), never),
    run: (h1) => h1.autoAssign(wants('w', 12), never),
  },
  {
    name: 'a claim that somebody left half made',
    prepare: (_, __, store) => putValue(store, affinityKey('h1', parseCidr('10.65.0.0/29')), '{"state":"pending","deleted":false}'),
    run: (h1) => h1.autoAssign(wants('w', 3), never),
  },
  {
    name: 'borrowed addresses',
    prepare: (_, h2) => h2.autoAssign(wants('other', 25), never),
    run: (h1) => h1.autoAssign(wants('w', 5), never),
  },
  {
    name: 'a block taken over',
    async prepare(_, h2) {
      await h2.autoAssign(wants('other', 32), never)
      await h2.releaseByHandle('other', never)
    },
    run: (h1) => h1.autoAssign(wants('w', 30), never),
  },
  { name: 'a request that fails half way', run: (h1) => h1.autoAssign(wants('w', 33), never).catch(passIpamError) },
  { name: 'an address by name', run: (h1) => h1.assignIp(at('10.65.0.9', 'w'), never) },
  {
    name: 'a release of addresses',
    prepare: (h1) => h1.autoAssign(wants('w', 20), never),
    run: async (h1) => h1.releaseIps((await h1.heldBy('w', never)).slice(3, 17), never),
  },
  { name: 'a release by handle', prepare: (h1) => h1.autoAssign(wants('w', 20), never), run: (h1) => h1.releaseByHandle('w', never) },
  { name: 'a tunnel address', run: (h1) => h1.ensureTunnelAddress({ family: 4, current: undefined }, never) },
  {
    name: 'a tunnel address that moves',
    async prepare(h1, _, store) {
      await h1.ensureTunnelAddress({ family: 4, current: undefined }, never)
      await putPool(store, 'a', '10.65.0.0/27', { blockSize: 29 })
      await putPool(store, 'b', '10.66.0.0/27', { blockSize: 29, vxlanMode: 'Always' })
    },
    run: (h1) => h1.ensureTunnelAddress({ family: 4, current: parseIp('10.65.0.1') }, never),
  },
  {
    name: 'the removal of a host',
    async prepare(h1, h2) {
      await h1.autoAssign(wants('w', 9), never)
      await h2.autoAssign(wants('other', 17), never)
      await h2.ensureTunnelAddress({ family: 4, current: undefined }, never)
    },
    run: (h1) => h1.removeHost('h2', never),
  },
  {
    name: 'the release of a pool',
    prepare: (h1, h2) => Promise.all([h1.autoAssign(wants('w', 9), never), h2.autoAssign(wants('other', 9), never)]),
    run: (h1) => h1.releasePoolAffinities(parseCidr('10.65.0.0/27'), never),
  },
]
for (const { name, prepare, run } of operations) {
  test(`${name}: whenever the process dies, all is sound, and the next try succeeds`, async () => {
    let deaths = 0
    for (const when of ['before', 'after'] as const) {
      for (let write = 1; await diesWell({ write, when }, prepare, run); write++) deaths++
    }
    assert.ok(deaths >= 2, 'it was never killed')
  })
}

test('a reply that is lost, and a write of another before it is looked for, cost no address', async () => {
  const { store, front } = await aNetwork()
  let lost = 0
  const forgetful: Store = {
    ...deadlyStore(store, { write: -1, when: 'before' }),
    async commit(compares, writes, signal) {
      const result = await store.commit(compares, writes, signal)
      const current = await Promise.all(compares.map(async ({ key }) => [key, await store.get(key, signal)] as const))
      return ++lost % 2 === 1 ? { ...result, isDone: false, current: new Map(current) } : result
    },
  }
  const h1 = front('h1', forgetful)
  for (const handleId of ['a', 'b', 'c']) assert.is((await h1.autoAssign(wants(handleId, 6), never)).length, 6)
  assert.is(countHeld(await readRecords(store)), 18)
  for (const handleId of ['a', 'b', 'c']) await h1.releaseByHandle(handleId, never)
  assert.is(countHeld(await readRecords(store)), 0)
  assert.equal(await findFaults(store), [])
})

test.run()

async function aNetwork() {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.65.0.0/27', { blockSize: 29, vxlanMode: 'Always' })
  await putPool(store, 'six', 'fd00:65::/124', { blockSize: 126 })
  await putNode(store, 'h1')
  await putNode(store, 'h2')
  await putConfig(store, {})
  const front = (node: string, own: Store = store, now?: () => Date) =>
    createIpam({ store: own, node, log: silentLogger, ...(now === undefined ? {} : { now }) })
  return { store, front }
}

/** Runs it until it dies; false if it ended before, because it has fewer writes. */
async function diesWell(death: Death, prepare: Operation['prepare'], run: Operation['run']): Promise<boolean> {
  const { store, front } = await aNetwork()
  await prepare?.(
    front('h1', store, () => old),
    front('h2', store, () => old),
    store,
  )
  const killed = await run(front('h1', deadlyStore(store, death))).then(
    () => false,
    (error: unknown) => {
      if (error instanceof Killed) return true
      throw error
    },
  )
  const label = `${death.when} write ${death.write}`
  assert.equal(await findUnsound(store), [], label)
  await run(front('h1'))
  assert.equal(await findUnsound(store), [], `${label}, tried again`)
  for (const handleId of (await readRecords(store)).handles.keys()) await front('h1').releaseByHandle(handleId, never)
  assert.is(countHeld(await readRecords(store)), 0, `${label}: an address could not be released`)
  return killed
}

/** A claim that was half made before we came is no fault of ours. */
async function findUnsound(store: Store): Promise<readonly string[]> {
  return (await findFaults(store)).filter((fault) => !fault.includes('is pending, the block is undefined'))
}

function passIpamError(error: unknown): void {
  if (error instanceof Killed) throw error
}
