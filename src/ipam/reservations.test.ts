import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCidr, rangeOf } from '../net/cidr.ts'
import { ipToNumber, parseIp } from '../net/ip.ts'
import { createRangeSet } from './reservations.ts'

const test = suite('ipam/reservations')

const reserved = createRangeSet(['10.65.0.0/30', '10.65.0.4/30', '10.65.0.2/32', '10.65.1.9/32', 'fd00:65::/64'].map(parseCidr))

test('an address is reserved or not', () => {
  const isReserved = (text: string) => reserved.has(text.includes(':') ? 6 : 4, ipToNumber(parseIp(text)))
  for (const text of ['10.65.0.0', '10.65.0.7', '10.65.1.9', 'fd00:65::ffff']) assert.ok(isReserved(text), text)
  for (const text of ['10.64.255.255', '10.65.0.8', '10.65.1.8', '10.65.1.10', 'fd00:65:0:1::']) assert.not.ok(isReserved(text), text)
})

test('neighbouring ranges cover what lies over both', () => {
  const { first, last } = rangeOf(parseCidr('10.65.0.0/29'))
  assert.is(reserved.coveredUntil(4, first, last), last)
  assert.is(reserved.coveredUntil(4, first, last + 1n), undefined)
})

test('addresses are counted once although ranges overlap', () => {
  const { first, last } = rangeOf(parseCidr('10.65.0.0/16'))
  assert.is(reserved.countWithin(4, first, last), 9n)
  assert.is(reserved.countWithin(4, first + 6n, last), 3n)
})

test.run()
