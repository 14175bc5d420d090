import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLog, never, refusal } from '../../test/support/daemon.ts'
import { leaderKey } from '../model/keys.ts'
import { Election } from './election.ts'
import { MemoryStore } from './memory.ts'

const test = suite('store/election')

const KEY = leaderKey('ipam')

/** Two hosts with connections of their own, and a clock for the leases. */
function aField() {
  const clock = { ms: 0 }
  const store = new MemoryStore(() => clock.ms)
  const host = (node: string) => {
    const own = store.another()
    return { store: own, election: new Election({ store: own, task: 'ipam', node, log: aLog() }) }
  }
  return { store, clock, h1: host('h1'), h2: host('h2') }
}

test('of those who ask at once one leads, and stays the leader', async () => {
  const { store, h1, h2 } = aField()
  const [first, second] = await Promise.all([h1.election.lead(never), h2.election.lead(never)])
  assert.equal([first === undefined, second === undefined].sort(), [false, true])
  const [winner, loser] = first === undefined ? [h2, h1] : [h1, h2]
  const entry = await store.get(KEY, never)
  assert.equal({ key: KEY, revision: entry?.modRevision }, pick(first ?? second))
  assert.equal(pick(await winner.election.lead(never)), pick(first ?? second))
  assert.is(await loser.election.lead(never), undefined)
  assert.equal(loser.election.leader, winner.election.leader)
  assert.equal([winner.election.isLeading, loser.election.isLeading], [true, false])
})

test('the leader resigns: the next who asks leads', async () => {
  const { h1, h2 } = aField()
  const first = await h1.election.lead(never)
  await h1.election.resign()
  const second = await h2.election.lead(never)
  assert.ok((second?.revision ?? 0) > (first?.revision ?? 0))
  assert.is(await h1.election.lead(never), undefined)
  assert.is(h1.election.leader?.node, 'h2')
})

test('a leader that can’t be reached is followed by another, and knows it when it is back', async () => {
  const { clock, store, h1, h2 } = aField()
  const first = await h1.election.lead(never)
  h1.store.disconnect()
  clock.ms += 21_000
  store.expireLeases()
  const second = await h2.election.lead(never)
  assert.ok(second !== undefined && second.revision > (first?.revision ?? 0))
  assert.match(await refusal(h1.election.lead(never)), 'did not answer')
  h1.store.reconnect()
  assert.is(await h1.election.lead(never), undefined)
  assert.is(h1.election.isLeading, false)
})

test('a write that is fenced with the leadership is void when another leads', async () => {
  const { store, h1, h2 } = aField()
  const old = await h1.election.lead(never)
  await h1.election.resign()
  await h2.election.lead(never)
  const { isDone } = await h1.store.commit([{ key: KEY, modRevision: old?.revision ?? 0 }], [{ put: '/x', value: '' }], never)
  assert.equal([isDone, await store.get('/x', never)], [false, undefined])
})

test('a record that somebody removed is fought for anew, one that can’t be read is left', async () => {
  const { store, h1, h2 } = aField()
  await h1.election.lead(never)
  await store.commit([], [{ remove: KEY }], never)
  assert.ok(await h2.election.lead(never))
  assert.is(await h1.election.lead(never), undefined)
  await h2.election.resign()
  await store.commit([], [{ put: KEY, value: '{' }], never)
  assert.is(await h1.election.lead(never), undefined)
  assert.is(h1.election.leader?.node, '')
})

test('who fails to write the record keeps no lease', async () => {
  const { h1 } = aField()
  let revoked = 0
  const lease = async () => ({ id: 1n, lost: new Promise<void>(() => {}), revoke: async () => void revoked++ })
  const failing = Object.assign(h1.store, { lease, commit: () => Promise.reject(new Error('cut off')) })
  const election = new Election({ store: failing, task: 'ipam', node: 'h1', log: aLog() })
  assert.is(await refusal(election.lead(never)), 'cut off')
  assert.equal([election.isLeading, revoked], [false, 1])
})

test.run()

function pick(leadership: { readonly key: string; readonly revision: number } | undefined) {
  return leadership && { key: leadership.key, revision: leadership.revision }
}
