import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { compareIps, familyOf, formatIp, type Ip, ipFromBytes, ipToBytes, ipToNumber, isIp, parseIp } from './ip.ts'

const test = suite('net/ip')

const canonical = [
  ['192.0.2.1', '192.0.2.1'],
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['2001:DB8::1', '2001:db8::1'],
  ['2001:0db8:0000:0000:0000:0000:0002:0001', '2001:db8::2:1'],
  // RFC 5952, 4.2.2: one group of zeros is not shortened.
  ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  // RFC 5952, 4.2.3: the longest run, the first of equals.
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['1:0:0:0:0:0:0:0', '1::'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['::ffff:1.2.3.4', '::ffff:102:304'],
  ['::1.2.3.4', '::102:304'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
] as const
for (const [given, want] of canonical) {
  test(`${given} is ${want}`, () => assert.is(parseIp(given), want))
}

const refused = [
  '',
  '1.2.3',
  '1.2.3.4.5',
  '010.0.0.1',
  '1.2.3.256',
  ' 1.2.3.4',
  '1.2.3.4/32',
  '0x7f.1',
  ':::',
  '1::2::3',
  'fe80::1%eth0',
  '12345::',
  'host',
]
for (const text of refused) {
  test(`${JSON.stringify(text)} is no address`, () => {
    assert.not(isIp(text))
    assert.throws(() => parseIp(text), new RegExp(`not an IP address: ${JSON.stringify(text).replace(/[.*+?^$()|[\]\\/]/g, '\\$&')}`))
  })
}

test('numbers and bytes give the address back, in both families', () => {
  void fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 32n - 1n), fc.bigInt(0n, 2n ** 128n - 1n), (low, high) => {
      for (const ip of [formatIp(4, low), formatIp(6, high)]) {
        assert.is(ipToNumber(ip), familyOf(ip) === 4 ? low : high)
        assert.is(ipFromBytes(ipToBytes(ip)), ip)
        assert.is(parseIp(ip), ip)
      }
    }),
  )
})

test('canonical IPv6 agrees with what URL makes of it', () => {
  void fc.assert(fc.property(fc.ipV6(), (text) => assert.is(`[${parseIp(text)}]`, new URL(`http://[${text}]/`).hostname)))
})

test('whichever zeros are left out, the address is written in one way', () => {
  const group = fc.constantFrom(0, 0, 0, 1, 0x10, 0xabc, 0xffff)
  const groups = fc.array(group, { minLength: 8, maxLength: 8 })
  void fc.assert(
    fc.property(groups, fc.nat(7), fc.integer({ min: 1, max: 8 }), fc.boolean(), (given, start, most, isPadded) => {
      const end = given.findIndex((value, i) => i >= start && (value !== 0 || i === start + most))
      const shown = given.map((value) => value.toString(16).padStart(isPadded ? 4 : 1, '0'))
      const rest = shown.slice(end < 0 ? 8 : end)
      const text = end === start ? shown.join(':') : `${shown.slice(0, start).join(':')}::${rest.join(':')}`
      assert.is(`[${parseIp(text)}]`, new URL(`http://[${text}]/`).hostname)
      assert.equal(
        [...ipToBytes(parseIp(text))],
        given.flatMap((value) => [value >> 8, value & 255]),
      )
    }),
    { numRuns: 2000 },
  )
})

test('lists are in order of family, then number', () => {
  const given = ['2001:db8::1', '10.0.0.10', '10.0.0.9', '::1', '192.0.2.1'] as Ip[]
  assert.equal(given.sort(compareIps), ['10.0.0.9', '10.0.0.10', '192.0.2.1', '::1', '2001:db8::1'])
})

test.run()
