import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAsNumber } from './as-number.ts'

const test = suite('net/as-number')

for (const [text, want] of [
  ['0', 0],
  ['64512', 64_512],
  ['4294967295', 4_294_967_295],
  ['1.10', 65_546],
  ['0.5', 5],
  ['65535.65535', 4_294_967_295],
] as const) {
  test(`${text} is ${want}`, () => assert.is(parseAsNumber(text), want))
}

for (const text of ['', '4294967296', '-1', '01', '1.', '.1', '65536.0', '1.65536', '1.2.3', '1e5', ' 1', 'as1']) {
  test(`${JSON.stringify(text)} is no AS number`, () => {
    const message = `not an AS number (0 to 4294967295, or 1.10): ${JSON.stringify(text)}`
    assert.throws(
      () => parseAsNumber(text),
      (error: Error) => error.message === message,
    )
  })
}

test.run()
