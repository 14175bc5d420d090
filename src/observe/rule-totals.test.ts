import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RuleTotals } from './rule-totals.ts'

const test = suite('observe/rule-totals')

const counters = (packets: Readonly<Record<string, number>>) =>
  new Map(Object.entries(packets).map(([name, count]) => [name, { packets: count, bytes: count * 100 }]))

test('what counters counted before anybody looked is in the totals, and is no news', () => {
  const totals = new RuleTotals()
  assert.equal(totals.update(counters({ a: 5 })), new Map())
  assert.equal(totals.get('a'), { packets: 5, bytes: 500 })
  assert.equal(totals.get('b'), { packets: 0, bytes: 0 })
})

test('each reading tells what came since the one before; a counter that is new began at nothing', () => {
  const totals = new RuleTotals()
  totals.update(counters({ a: 5 }))
  assert.equal(
    totals.update(counters({ a: 7, b: 3, c: 0 })),
    new Map([
      ['a', 2],
      ['b', 3],
    ]),
  )
})

test('a counter that begins anew, or was away, goes on from what it had', () => {
  const totals = new RuleTotals()
  totals.update(counters({ a: 5 }))
  assert.equal(totals.update(counters({ a: 2 })), new Map([['a', 2]]))
  assert.equal(totals.get('a'), { packets: 7, bytes: 700 })
  assert.equal(totals.update(counters({})), new Map())
  assert.equal(totals.get('a'), { packets: 7, bytes: 700 })
  assert.equal(totals.update(counters({ a: 1 })), new Map([['a', 1]]))
  assert.equal(totals.get('a'), { packets: 8, bytes: 800 })
})

test('what nobody wants to know any more is forgotten', () => {
  const totals = new RuleTotals()
  totals.update(counters({ a: 5, b: 1 }))
  totals.keepOnly((name) => name === 'b')
  assert.equal([totals.get('a').packets, totals.get('b').packets], [0, 1])
})

test.run()
