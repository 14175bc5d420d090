import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { macFromBytes, macToBytes, parseMac } from './mac.ts'

const test = suite('net/mac')

test('MAC addresses are written one way', () => {
  assert.is(parseMac('66:1A:2b:3c:4d:5e'), '66:1a:2b:3c:4d:5e')
  assert.is(parseMac('66-1a-2b-3c-4d-5e'), '66:1a:2b:3c:4d:5e')
  assert.is(macFromBytes(macToBytes(parseMac('00:01:02:fd:fe:ff'))), '00:01:02:fd:fe:ff')
})

for (const text of [
  '',
  '66:1a:2b:3c:4d',
  '66:1a:2b:3c:4d:5e:6f',
  '661a2b3c4d5e',
  '6:1a:2b:3c:4d:5e',
  '66:1a:2b:3c:4d:5g',
  '66:1a:2b:3c:4d:5e ',
]) {
  test(`${JSON.stringify(text)} is no MAC address`, () => {
    assert.throws(
      () => parseMac(text),
      (error: Error) => error.message === `not a MAC address: ${JSON.stringify(text)}`,
    )
  })
}

test.run()
