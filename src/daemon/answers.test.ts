import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import type { FailureReport } from '../model/own/api.ts'
import { ASK_PREFIX, askKey, decodeAnswer, isAskKey } from '../model/own/ask.ts'
import { MemoryStore } from '../store/memory.ts'
import { Answers } from './answers.ts'

const test = suite('daemon/answers')

const never = new AbortController().signal

/** A host that listens, and somebody who asks it. */
async function aHost(failures: readonly FailureReport[] = []) {
  const store = new MemoryStore()
  const stop = new AbortController()
  const answers = new Answers({ store: store.another(), node: 'h1', log: silentLogger, failures: () => failures })
  const done = answers.run(stop.signal)
  await turn()
  const lease = await store.lease(60, never)
  return {
    ...{ store, answers, lease },
    ask: (id: string, revision: number) =>
      store.commit([], [{ put: askKey(id), value: JSON.stringify({ revision, lease: String(lease.id) }), lease: lease.id }], never),
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

test.run()
