import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Held } from './held.ts'

const test = suite('kernel/netlink/held')
const aHeld = () => new Held<number>((a, b) => a === b)

test('only a difference is news', () => {
  const held = aHeld()
  assert.is(held.learn('a', undefined), false)
  assert.is(held.learn('a', 1), true)
  assert.is(held.learn('a', 1), false)
  assert.is(held.learn('a', 2), true)
  assert.is(held.learn('a', undefined), true)
  assert.is(held.has('a'), false)
})

test('what is learned while the kernel is listed is newer than the list', () => {
  const held = aHeld()
  held.learn('gone', 1)
  held.learn('old', 1)
  held.beginList()
  held.learn('gone', undefined)
  held.learn('new', 3)
  held.endList(
    new Map([
      ['gone', 1],
      ['listed', 2],
    ]),
  )
  assert.equal(
    ['gone', 'old', 'new', 'listed'].map((key) => held.has(key)),
    [false, false, true, true],
  )
})

test.run()
