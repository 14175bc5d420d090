import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseDuration } from './duration.ts'

const test = suite('model/duration')

const durations = [
  ['0', 0],
  ['0s', 0],
  ['90s', 90_000],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['50ms', 50],
  ['.5s', 500],
  ['-1s', -1000],
  ['2us', 0.002],
] as const
for (const [text, want] of durations) {
  test(`${text} is ${want} ms`, () => assert.is(parseDuration(text), want))
}

for (const text of ['', '90', '1 s', 's', '1d', '1m 30s', 's1', '1e3s']) {
  test(`${JSON.stringify(text)} is no duration`, () => {
    assert.throws(
      () => parseDuration(text),
      (error: Error) => error.message === `not a duration such as 90s or 1m30s: ${JSON.stringify(text)}`,
    )
  })
}

test.run()
