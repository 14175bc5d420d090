import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SWITCH_WAIT_MS, SwitchTimers } from './switch-timers.ts'

const test = suite('daemon/switch-timers')
const [a, b] = ['h2 10.65.0.0/16', 'h3 10.65.0.0/16']

test('a pair that is waited for too long times out, each on its own', () => {
  const timers = new SwitchTimers()
  assert.is(timers.nextDueMs(), undefined)
  assert.is(timers.update(new Set([a]), 100), false)
  assert.is(timers.update(new Set([a, b]), 1100), false)
  assert.is(timers.nextDueMs(), 100 + SWITCH_WAIT_MS)
  assert.is(timers.update(new Set([a, b]), 100 + SWITCH_WAIT_MS), true)
  assert.equal([...timers.timedOut], [a])
  assert.is(timers.nextDueMs(), 1100 + SWITCH_WAIT_MS)
  assert.is(timers.update(new Set([a, b]), 101 + SWITCH_WAIT_MS), false)
})

test('a pair that is no longer waited for begins anew', () => {
  const timers = new SwitchTimers()
  timers.update(new Set([a]), 0)
  timers.update(new Set(), 10)
  timers.update(new Set([a]), 20)
  assert.is(timers.update(new Set([a]), SWITCH_WAIT_MS), false)
  assert.is(timers.update(new Set([a]), SWITCH_WAIT_MS + 20), true)
  assert.is(timers.update(new Set(), SWITCH_WAIT_MS + 21), true)
  assert.equal([...timers.timedOut], [])
})

test('the set is the same object while nothing changed, so that planning sees no change', () => {
  const timers = new SwitchTimers()
  timers.update(new Set([a]), 0)
  timers.update(new Set([a]), SWITCH_WAIT_MS)
  const { timedOut } = timers
  timers.update(new Set([a, b]), SWITCH_WAIT_MS + 1)
  assert.is(timers.timedOut, timedOut)
})

test.run()
