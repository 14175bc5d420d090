import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import type { FailureReport } from '../model/own/api.ts'
import { type About, ASK_PREFIX, askKey, decodeAnswer, isAskKey } from '../model/own/ask.ts'
import { MemoryStore } from '../store/memory.ts'
import { Answers, type Responder } from './answers.ts'

const test = suite('daemon/answers')

const never = new AbortController().signal

/** A host that listens, and somebody who asks it. */
async function aHost(own: readonly FailureReport[] = [], responders: Readonly<Record<string, Responder>> = {}) {
  const store = new MemoryStore()
  const stop = new AbortController()
  const failures = (about?: About) => ({ own: about === undefined ? own : [], others: about === undefined ? 0 : own.length })
  const answers = new Answers({ store: store.another(), node: 'h1', log: silentLogger, failures, responders })
  const done = answers.run(stop.signal)
  await turn()
  const lease = await store.lease(60, never)
  return {
    ...{ store, answers, lease },
    ask: (id: string, revision: number, more: object = {}) =>
      store.commit(
        [],
        [{ put: askKey(id), value: JSON.stringify({ revision, lease: String(lease.id), ...more }), lease: lease.id }],
        never,
      ),
    answerOf: async (id: string) => {
      for (let i = 0; i < 20; i++) await turn()
      const entry = await store.get(`${askKey(id)}/h1`, never)
      return entry && decodeAnswer(entry.value)
    },
    end: async () => {
      stop.abort()
      await done
    },
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('a question is answered when its revision is applied, and not before', async () => {
  const { ask, answers, answerOf, end } = await aHost()
  await ask('q', 7)
  assert.is(await answerOf('q'), undefined)
  answers.note(6)
  assert.is(await answerOf('q'), undefined)
  answers.note(8)
  assert.equal(await answerOf('q'), { node: 'h1', revision: 8, refused: 0, reasons: [] })
  await end()
})

test('what is applied already is answered at once, with what the kernel refuses', async () => {
  const failures = Array.from({ length: 7 }, (_, i) => ({ table: 'routes', key: `r${i}`, reason: 'no such device' }))
  const { ask, answers, answerOf, end } = await aHost(failures)
  answers.note(9)
  await ask('q', 0)
  const answer = await answerOf('q')
  assert.equal([answer?.refused, answer?.reasons.length, answer?.reasons[0]], [7, 5, 'routes r0: no such device'])
  await ask('of-a-policy', 0, { about: { kinds: ['GlobalNetworkPolicy'], endpoints: [] } })
  assert.equal(await answerOf('of-a-policy'), { node: 'h1', revision: 9, refused: 0, reasons: [], others: 7 })
  await end()
})

test('answers go with the question of the asker, and who is gone is not answered', async () => {
  const { store, lease, ask, answers, answerOf, end } = await aHost()
  answers.note(1)
  await ask('q', 1)
  assert.ok(await answerOf('q'))
  await ask('later', 5)
  await lease.revoke()
  answers.note(5)
  assert.equal([await answerOf('q'), await answerOf('later')], [undefined, undefined])
  for await (const page of store.list(ASK_PREFIX, {}, never)) assert.equal(page.entries, [])
  await end()
})

test('what is no question is passed over', async () => {
  const { store, ask, answers, answerOf, end } = await aHost()
  answers.note(1)
  await store.commit([], [{ put: askKey('odd'), value: '{"revision": "x"}' }], never)
  await ask('q', 1)
  assert.equal([await answerOf('odd'), (await answerOf('q'))?.revision], [undefined, 1])
  assert.equal([isAskKey(askKey('q')), isAskKey(`${askKey('q')}/h1`)], [true, false])
  await end()
})

test('questions of a kind are answered by whoever knows it, others with a problem, and one that fails hinders no other', async () => {
  const responders: Readonly<Record<string, Responder>> = {
    echo: async (body) => ({ heard: body }),
    broken: async () => {
      throw new Error('something went wrong')
    },
  }
  const { ask, answers, answerOf, end } = await aHost([], responders)
  await ask('q1', 5, { kind: 'broken' })
  await ask('q2', 5, { kind: 'echo', body: { a: 1 } })
  await ask('q3', 5, { kind: 'moon' })
  await ask('q4', 5, { kind: 'constructor' })
  assert.is(await answerOf('q2'), undefined, 'not before its revision is applied')
  answers.note(5)
  const said = [await answerOf('q1'), await answerOf('q2'), await answerOf('q3'), await answerOf('q4')]
  assert.equal(
    said.map((one) => [one?.kind, one?.body, one?.problem]),
    [
      ['broken', undefined, 'something went wrong'],
      ['echo', { heard: { a: 1 } }, undefined],
      ['moon', undefined, 'a question of the kind "moon" is not known to this version'],
      ['constructor', undefined, 'a question of the kind "constructor" is not known to this version'],
    ],
  )
  await end()
})

test.run()
