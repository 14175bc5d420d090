import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refusal } from '../../test/support/daemon.ts'
import { Applied, type Verdict } from './applied.ts'

const test = suite('daemon/applied')

function waiting(applied: Applied, signal: AbortSignal = new AbortController().signal) {
  const state: { verdict: Verdict; asked: number } = { verdict: 'waiting', asked: 0 }
  const check = () => {
    state.asked++
    return state.verdict
  }
  return { state, end: applied.wait('setting up w1', check, signal) }
}

test('who waits is asked after each pass, and no longer when it is done', async () => {
  const applied = new Applied()
  const { state, end } = waiting(applied)
  applied.advance()
  state.verdict = 'done'
  applied.advance()
  await end
  applied.advance()
  assert.is(state.asked, 2)
})

test('what can not be is said at once, to whom it concerns', async () => {
  const applied = new Applied()
  const [first, second] = [waiting(applied), waiting(applied)]
  first.state.verdict = { reason: 'file exists' }
  applied.advance()
  assert.is(await refusal(first.end), 'file exists')
  second.state.verdict = 'done'
  applied.advance()
  await second.end
})

test('who gives up is told what was not done, also if he gave up before', async () => {
  const [applied, caller] = [new Applied(), new AbortController()]
  const { state, end } = waiting(applied, caller.signal)
  caller.abort()
  assert.is(await refusal(end), 'setting up w1 was not done in time')
  assert.is(await refusal(waiting(applied, caller.signal).end), 'setting up w1 was not done in time')
  applied.advance()
  assert.is(state.asked, 0)
})

test.run()
