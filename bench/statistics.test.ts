import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { median, percentile, ratioOf } from './statistics.ts'

const test = suite('bench/statistics')

test('the median is the middle, or the mean of two', () => {
  assert.equal([median([3, 1, 2]), median([4, 1, 3, 2]), median([7])], [2, 2.5, 7])
  assert.ok(Number.isNaN(median([])))
})

test('a percentile lies between its neighbours', () => {
  assert.equal([percentile([1, 2, 3, 4, 5], 0), percentile([1, 2, 3, 4, 5], 25), percentile([1, 2, 3, 4, 5], 99.9)], [1, 2, 4.996])
})

test('a ratio is that of the same round, so a slow round changes nothing', () => {
  assert.equal(ratioOf([10, 5, 20], [10, 5, 20]), { value: 1, low: 1, high: 1 })
})

test('the interval holds the ratio and is the same each time', () => {
  const ours = [9.1, 9.8, 10.3, 9.5, 9.9, 10.1, 9.4, 10.4, 9.7]
  const theirs = [10, 10, 10, 10, 10, 10, 10, 10, 10]
  const ratio = ratioOf(ours, theirs)
  assert.ok(Math.abs(ratio.value - 0.98) < 1e-9 && ratio.low <= ratio.value && ratio.value <= ratio.high, JSON.stringify(ratio))
  assert.ok(ratio.low >= 0.91 && ratio.high <= 1.04, JSON.stringify(ratio))
  assert.equal(ratioOf(ours, theirs), ratio)
})

test.run()
