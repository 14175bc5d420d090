import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never } from '../../test/support/daemon.ts'
import { pause, Wake } from './wake.ts'

const test = suite('daemon/wake')

test('a notice that comes before anybody waits is not lost, and a thousand cost one wake-up', async () => {
  const wake = new Wake()
  for (let n = 0; n < 1000; n++) wake.set()
  await wake.wait(never)
  const start = performance.now()
  await wake.wait(never, 20)
  assert.ok(performance.now() - start >= 19)
})

test('a notice ends the wait, and so does the signal', async () => {
  const [wake, stop] = [new Wake(), new AbortController()]
  const first = wake.wait(stop.signal)
  wake.set()
  await first
  const second = wake.wait(stop.signal)
  stop.abort()
  await second
  await wake.wait(stop.signal)
})

test('a notice while somebody is woken wakes again', async () => {
  const wake = new Wake()
  wake.set()
  await wake.wait(never)
  wake.set()
  await wake.wait(never)
})

test('a pause ends with its time or with the signal', async () => {
  await pause(1, never)
  const stop = new AbortController()
  const paused = pause(60_000, stop.signal)
  stop.abort()
  await paused
  await pause(60_000, stop.signal)
})

test.run()
