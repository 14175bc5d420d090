import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withDeadline } from './deadline.ts'

const test = suite('store/deadline')

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const end = () => resolve('aborted')
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
  })
}

test('work that ends in time gives its result, and its error', async () => {
  const { signal } = new AbortController()
  assert.is(await withDeadline(10_000, signal, async () => 7), 7)
  const failing = withDeadline(10_000, signal, () => Promise.reject(new Error('no')))
  assert.is(await failing.catch((error: Error) => error.message), 'no')
})

test('work is aborted when its time is over, whatever was collected as garbage meanwhile', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const collecting = setInterval(collect, 10)
  try {
    assert.is(await withDeadline(60, new AbortController().signal, aborted), 'aborted')
  } finally {
    clearInterval(collecting)
  }
})

test('work is aborted with the caller’s signal, also with one that was aborted before', async () => {
  const caller = new AbortController()
  const running = withDeadline(10_000, caller.signal, aborted)
  caller.abort()
  assert.is(await running, 'aborted')
  assert.is(await withDeadline(10_000, caller.signal, aborted), 'aborted')
})

test.run()
