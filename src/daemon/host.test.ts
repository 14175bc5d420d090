import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never, until } from '../../test/support/daemon.ts'
import { withHost } from '../../test/support/host.ts'
import { aPool } from '../../test/support/planning.ts'
import { putPool } from '../ipam/fixtures.ts'
import { liveKey } from '../model/keys.ts'
import type { LiveRecord } from '../model/own/live.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource } from '../store/resource-store.ts'

const test = suite('daemon/host')

async function receivesOf(store: MemoryStore): Promise<LiveRecord['receives'] | undefined> {
  const entry = await store.get(liveKey('h1'), never)
  return entry && (JSON.parse(entry.value) as LiveRecord).receives
}

function waysOf(receives: LiveRecord['receives'] | undefined, cidr: string): string {
  return [...(receives?.[cidr as keyof LiveRecord['receives']] ?? [])].sort().join(' ')
}

async function switchToVxlan(store: MemoryStore, name: string, cidr: string): Promise<void> {
  const pool = aPool(cidr, { vxlanMode: 'Always' })
  await applyResource(store, { ...pool, metadata: { name } }, never)
}

test('a host says that it receives a new way when its device stands, and that the old way still leads here', async () => {
  const store = new MemoryStore()
  await putPool(store, 'one', '10.65.0.0/16', { vxlanMode: 'Never' })
  await putPool(store, 'two', '10.66.0.0/16', { vxlanMode: 'Never' })
  await withHost(async (host) => {
    host.start()
    await until('the record', async () => waysOf(await receivesOf(store), '10.65.0.0/16') === 'direct')
    await switchToVxlan(store, 'one', '10.65.0.0/16')
    const first = await until('the new way', async () => {
      const receives = await receivesOf(store)
      return waysOf(receives, '10.65.0.0/16').includes('vxlan') ? receives : undefined
    })
    assert.ok(host.kernel.read('links').has('margay.vxlan'), 'it was said before the device stood')
    assert.is(waysOf(first, '10.65.0.0/16'), 'direct vxlan')
    await switchToVxlan(store, 'two', '10.66.0.0/16')
    const second = await until('the second pool', async () => {
      const receives = await receivesOf(store)
      return waysOf(receives, '10.66.0.0/16').includes('vxlan') ? receives : undefined
    })
    // The first switch has not settled: a peer that takes its tunnel address only now must find the old way in the record.
    assert.is(waysOf(second, '10.65.0.0/16'), 'direct vxlan')
    assert.is(waysOf(second, '10.66.0.0/16'), 'direct vxlan')
  }, store)
})

test.run()
