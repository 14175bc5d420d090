import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import { RESOURCES_PREFIX, resourceKey } from '../model/keys.ts'
import { parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'
import { never, putConfig, putNode, putPool, putValue } from './fixtures.ts'
import { createIpam } from './ipam.ts'

const test = suite('ipam/usage')

test('pools, blocks, reservations, cooling and borrowed addresses and orphans are counted', async () => {
  const store = new MemoryStore()
  await putPool(store, 'a', '10.65.0.0/28', { blockSize: 29 })
  await putPool(store, 'gone', '10.66.0.0/28', { blockSize: 29 })
  await putPool(store, 'six', 'fd00:65::/48')
  await putNode(store, 'h1')
  await putNode(store, 'h2')
  await putConfig(store, { ipCooldownSeconds: 60 })
  await putValue(store, `${RESOURCES_PREFIX}ipreservations/r`, '{"spec":{"reservedCIDRs":["10.65.0.8/31","10.65.0.1"]}}')
  const h1 = createIpam({ store, node: 'h1', log: silentLogger })
  const h2 = createIpam({ store, node: 'h2', log: silentLogger })
  const at = (ip: string, handleId: string) => ({ ip: parseIp(ip), handleId, attributes: { type: 't' } })
  await h1.assignIp(at('10.65.0.1', 'w1'), never)
  await h2.assignIp(at('10.65.0.2', 'w2'), never)
  await h1.assignIp(at('10.65.0.3', 'w3'), never)
  await h1.assignIp(at('10.66.0.1', 'w4'), never)
  await h1.releaseByHandle('w3', never)
  await store.commit([], [{ remove: resourceKey('IPPool', 'gone') }], never)
  const usage = await h1.usage(never)
  const block = { cidr: '10.65.0.0/29', owner: 'h1', total: 8, used: 2, cooling: 1, free: 5 }
  assert.equal(usage.pools, [
    { name: 'a', cidr: '10.65.0.0/28', total: 16n, used: 2n, cooling: 1n, reserved: 2n, free: 11n, blocks: [block] },
    { name: 'six', cidr: 'fd00:65::/48', total: 2n ** 80n, used: 0n, cooling: 0n, reserved: 0n, free: 2n ** 80n, blocks: [] },
  ])
  assert.equal(usage.orphans, [{ cidr: '10.66.0.0/29', owner: 'h1', total: 8, used: 1, cooling: 0, free: 7 }])
  const attributes = { type: 't', node: 'h2' }
  assert.equal(usage.borrowed, [{ ip: '10.65.0.2', node: 'h2', block: '10.65.0.0/29', owner: 'h1', handleId: 'w2', attributes }])
  assert.is((await h1.lookUp(parseIp('10.65.0.3'), never)).state, 'cooling')
  assert.equal(await h1.lookUp(parseIp('192.0.2.1'), never), {
    ip: '192.0.2.1',
    state: 'free',
    block: undefined,
    owner: undefined,
    handleId: undefined,
    sequenceNumber: undefined,
    attributes: {},
  })
})

test.run()
