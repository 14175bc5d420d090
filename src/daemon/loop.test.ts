import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anInterface, never, until } from '../../test/support/daemon.ts'
import { withHost } from '../../test/support/host.ts'
import { aNode } from '../../test/support/planning.ts'
import { putPool } from '../ipam/fixtures.ts'
import { APPLY_ORDER } from '../kernel/objects.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource } from '../store/resource-store.ts'

const test = suite('daemon/loop')

/** A network of h1 and h2 with one pool, in VXLAN mode. */
async function aNetwork(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await putPool(store, 'v4', '10.65.0.0/16', { vxlanMode: 'Always' })
  await applyResource(store, aNode('h2', { v4: '192.0.2.2/24', tunnel4: '10.65.2.0' }), never)
  return store
}

test('nothing is written to the kernel before the first whole view, and the watchdog is fed meanwhile', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    let turns = 0
    host.loop.onTurn = () => void turns++
    host.connection.disconnect()
    host.start()
    host.loop.poke()
    await until('a turn of the loop', () => turns > 0)
    host.kernel.loseEvents()
    await until('another turn', () => turns > 1)
    assert.equal(
      Object.values(host.kernel.commits),
      APPLY_ORDER.map(() => 0),
    )
    assert.is(host.passes.length, 0)
    host.connection.reconnect()
    await until('the tunnel', () => host.kernel.read('links').has('margay.vxlan'))
  }, store)
})

test('a storm of kernel events costs one pass', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    host.start()
    await until('the tunnel', () => host.kernel.read('fdb').size > 0)
    await until('quiet', async () => {
      const before = host.passes.length
      await new Promise((resolve) => setTimeout(resolve, 100))
      return host.passes.length === before
    })
    const before = host.passes.length
    for (let n = 0; n < 1000; n++) host.kernel.emit({ type: 'stale', table: 'routes' })
    await until('the pass', () => host.passes.length > before)
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(host.passes.length <= before + 2, `${host.passes.length - before} passes`)
  }, store)
})

test('what somebody deletes is put back and counted', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    host.start()
    const [key] = await until('the FDB entry', () => [...host.kernel.read('fdb').keys()].length > 0 && [...host.kernel.read('fdb').keys()])
    host.kernel.removeByOthers('fdb', key ?? '')
    await until('the entry again', () => host.kernel.read('fdb').has(key ?? ''))
    assert.is(host.reconciler.repairs, 1)
  }, store)
})

test('a kernel that can not be read is tried again, with the reason, and turns go on', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    const { list } = host.kernel.tables.routes
    let [isBroken, turns] = [true, 0]
    host.loop.onTurn = () => void turns++
    host.kernel.tables.routes.list = (signal) => (isBroken ? Promise.reject(new Error('no buffer space')) : list(signal))
    host.start()
    await until('the failure', () => host.loop.failure)
    assert.is(host.loop.failure, 'could not read back the routes of the kernel: no buffer space')
    await until('a second try', () => turns > 2)
    assert.is(host.log.lines.filter((line) => line.startsWith('error')).length, 1)
    isBroken = false
    await until('success', () => host.loop.failure === undefined)
    await until('the tunnel', () => host.kernel.read('fdb').size > 0)
  }, store)
})

test('an uplink that comes under another name is followed, and one that is gone keeps the old address', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    const uplink = () => {
      const link = host.kernel.read('links').get('margay.vxlan')
      return link?.kind === 'vxlan' ? link.uplink : undefined
    }
    host.start()
    await until('the tunnel', () => uplink() === 'eth0')
    host.kernel.setInterfaces([anInterface('eth7', ['192.0.2.1/24'])])
    await until('the other uplink', () => uplink() === 'eth7')
    host.kernel.setInterfaces([])
    assert.match(await until('the problem', () => host.host.factsProblem), 'no interface has an IPv4 address that fits')
    assert.equal(host.host.facts?.address, { 4: '192.0.2.1/24' })
  }, store)
})

test.run()
