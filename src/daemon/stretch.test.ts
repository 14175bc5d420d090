// runs alone
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never, until } from '../../test/support/daemon.ts'
import { type TestHost, withHost } from '../../test/support/host.ts'
import { aBlock, aLive, aNode } from '../../test/support/planning.ts'
import { longestStretch } from '../../test/support/stretch.ts'
import { putPool } from '../ipam/fixtures.ts'
import { encodeResource } from '../model/codec.ts'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { blockKey, liveKey, resourceKey } from '../model/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { desiredReport, diffReport, statusReport } from './status.ts'

const test = suite('daemon/stretch')

const PEERS = 5000
/** What is promised is 50 ms; a busy machine and the fakes, which do all at once, get some more. */
const LIMIT_MS = 150

/** A store with many peers, each with a block and a sign of life. */
async function aLargeNetwork(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await putPool(store, 'v4', '10.64.0.0/10', { vxlanMode: 'Always' })
  const own = aNode('h1', { v4: '192.0.2.1/24', tunnel4: '10.127.0.0' })
  await store.commit([], [{ put: resourceKey('Node', 'h1'), value: encodeResource(own) }], never)
  for (let n = 0; n < PEERS; n++) {
    const [name, prefix] = [`p${n}`, `10.${64 + (n >> 8)}.${n & 255}`]
    const node = aNode(name, { v4: `198.18.${n >> 8}.${n & 255}/15`, tunnel4: `${prefix}.0` })
    const block = aBlock(`${prefix}.0/26`, name, { [`${prefix}.0`]: name })
    const writes = [
      { put: resourceKey('Node', name), value: encodeResource(node) },
      { put: blockKey(block.cidr), value: encodeBlock(block) },
      { put: liveKey(name), value: JSON.stringify(aLive(name)) },
    ]
    await store.commit([], writes, never)
  }
  return store
}

test('a stretch is measured', async () => {
  const busy = async () => {
    const start = process.cpuUsage()
    while (process.cpuUsage(start).user < 60_000);
  }
  const ms = await longestStretch(busy)
  assert.ok(ms > 20, `${ms} ms`)
})

const store = await aLargeNetwork()

async function firstPass(host: TestHost): Promise<void> {
  // Without its own records: the fake store answers at a stretch what address management asks.
  host.start({ isRegistering: false })
  await until('every peer to be there', () => host.kernel.read('fdb').size === PEERS && host.passes.length > 0)
}

test(`with ${PEERS} peers nothing keeps others from running for long`, () =>
  withHost(async (host) => {
    const figures: Record<string, number> = {}
    // The fake store lists everything at a stretch, which is not what is measured here.
    host.follow()
    await host.source.hasNews(never)
    figures['first pass'] = await longestStretch(() => firstPass(host))
    figures['a peer changes'] = await longestStretch(async () => {
      const node = aNode('p7', { v4: '198.18.0.7/15', tunnel4: '10.64.7.1' })
      await store.commit([], [{ put: resourceKey('Node', 'p7'), value: encodeResource(node) }], never)
      await until('the change', () => [...host.kernel.read('neighbours').values()].some(({ ip }) => ip === '10.64.7.1'))
    })
    figures['the kernel is listed'] = await longestStretch(async () => {
      const before = host.passes.length
      host.kernel.loseEvents()
      await until('the pass', () => host.passes.length > before)
    })
    figures['status'] = await longestStretch(async () => {
      const report = await statusReport(host.statusParts)
      assert.is(report.peers.length, PEERS)
      JSON.stringify(report)
    })
    figures['diff'] = await longestStretch(() => diffReport(host.kernel.tables, host.merger, never))
    figures['desired'] = await longestStretch(async () => JSON.stringify(await desiredReport(host.merger)))
    const shown = Object.entries(figures).map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`)
    console.log(`longest stretch: ${shown.join(', ')}`)
    for (const [name, ms] of Object.entries(figures)) assert.ok(ms < LIMIT_MS, `${name}: ${ms} ms`)
  }, store))

test.run()
