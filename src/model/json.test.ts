import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseJson } from './json.ts'

const test = suite('model/json')

test('no digit of an integer is lost, wherever it stands and however long it is', () => {
  void fc.assert(
    fc.property(fc.nat(40), fc.integer({ min: 1, max: 25 }), fc.nat(40), (before, digits, after) => {
      const number = '9'.repeat(digits)
      const text = `["${'x'.repeat(before)}",${number},"${'x'.repeat(after)}"]`
      const value = Number.isSafeInteger(Number(number)) ? Number(number) : BigInt(number)
      assert.equal(parseJson(text), ['x'.repeat(before), value, 'x'.repeat(after)])
    }),
    { numRuns: 1000 },
  )
})

test('digits in a text are no number', () => {
  assert.equal(parseJson('{"a":"12345678901234567890","b":7}'), { a: '12345678901234567890', b: 7 })
})

test.run()
