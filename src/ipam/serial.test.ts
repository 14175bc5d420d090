import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { IpamError } from '../errors.ts'
import { aNetwork, findFaults, never } from './fixtures.ts'

const test = suite('ipam/serial')

const wants = (handleId: string, count = 1) => ({ handleId, attributes: {}, count })

test('requests of one host at once are served one after the other, without conflicts', async () => {
  const { h1, store } = await aNetwork({ a: '10.65.0.0/24' })
  const all = await Promise.all(Array.from({ length: 60 }, (_, i) => h1.autoAssign(wants(`w${i}`), never)))
  assert.is(new Set(all.flat().map(({ ip }) => ip)).size, 60)
  assert.is(h1.counters.conflicts, 0)
  assert.equal(await findFaults(store), [])
})

test('a request that is given up while it waits leaves the line', async () => {
  const { h1 } = await aNetwork({ a: '10.65.0.0/24' })
  const stop = new AbortController()
  const all = [h1.autoAssign(wants('a'), never), h1.autoAssign(wants('b'), stop.signal), h1.autoAssign(wants('c'), never)]
  stop.abort(new Error('given up'))
  const results = await Promise.allSettled(all)
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
})

test('when the store is away every waiting request fails with the first', async () => {
  const { h1, store } = await aNetwork({ a: '10.65.0.0/24' })
  store.disconnect()
  const results = await Promise.allSettled([1, 2, 3].map((i) => h1.autoAssign(wants(`w${i}`), never)))
  assert.equal(
    results.map((result) => result.status === 'rejected' && (result.reason as IpamError).code),
    ['store-unreachable', 'store-unreachable', 'store-unreachable'],
  )
  store.reconnect()
  assert.is((await h1.autoAssign(wants('w'), never)).length, 1)
})

test.run()
