import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Cidr,
  cidrContains,
  cidrOf,
  cidrsOverlap,
  hostCidr,
  ipOf,
  lengthOf,
  parseCidr,
  parseCidrLoosely,
  parseInterfaceAddress,
  rangeOf,
  sizeOf,
  subnetOf,
} from './cidr.ts'
import { formatIp, type Ip } from './ip.ts'

const test = suite('net/cidr')

const contained: readonly (readonly [string, string, boolean])[] = [
  ['10.0.0.0/8', '10.255.255.255', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.0.0.0/8', '10.0.0.0/8', true],
  ['10.0.0.0/8', '10.0.0.0/7', false],
  ['10.0.0.0/26', '10.0.0.64/32', false],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', '0.0.0.0/0', true],
  ['0.0.0.0/1', '128.0.0.0', false],
  ['128.0.0.0/1', '200.1.2.3', true],
  ['192.0.2.1/32', '192.0.2.1', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '192.0.2.1', false],
  ['::/0', 'ffff::', true],
  ['2001:db8::/32', '2001:db8:ffff::/48', true],
  ['2001:db8::/48', '2001:db8::/32', false],
  ['fe80::/10', 'febf::1', true],
  ['fe80::/10', 'fec0::', false],
]
for (const [outer, inner, want] of contained) {
  test(`${outer} ${want ? 'holds' : 'does not hold'} ${inner}`, () => assert.is(cidrContains(outer as Cidr, inner as Ip), want))
}

test('IPv4 agrees with the arithmetic of ranges', () => {
  const cidr = fc.tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.nat(32)).map(([n, length]) => cidrOf(formatIp(4, n), length))
  void fc.assert(
    fc.property(cidr, cidr, (a, b) => {
      const [x, y] = [rangeOf(a), rangeOf(b)]
      assert.is(cidrContains(a, b), x.first <= y.first && y.last <= x.last)
      assert.is(cidrsOverlap(a, b), x.first <= y.last && y.first <= x.last)
      assert.is(cidrContains(a, ipOf(b)), x.first <= y.first && y.first <= x.last)
    }),
  )
})

const refused = [
  ['10.0.0.1/8', '"10.0.0.1/8" has host bits set, the prefix is 10.0.0.0/8'],
  ['2001:db8::1/64', '"2001:db8::1/64" has host bits set, the prefix is 2001:db8::/64'],
  ['10.0.0.0', 'not a prefix (address/length): "10.0.0.0"'],
  ['10.0.0.0/', 'not a prefix (address/length): "10.0.0.0/"'],
  ['10.0.0.0/08', 'not a prefix (address/length): "10.0.0.0/08"'],
  ['10.0.0.0/-1', 'not a prefix (address/length): "10.0.0.0/-1"'],
  ['10.0.0.0/33', 'the prefix length of "10.0.0.0/33" is over 32'],
  ['::/129', 'the prefix length of "::/129" is over 128'],
  ['10.0.0/8', 'not an IP address: "10.0.0"'],
  ['', 'not a prefix (address/length): ""'],
] as const
for (const [text, message] of refused) {
  test(`${JSON.stringify(text)} is refused`, () =>
    assert.throws(
      () => parseCidr(text),
      (error: Error) => error.message === message,
    ))
}

test('prefixes are canonical, and loose ones are masked', () => {
  assert.is(parseCidr('2001:DB8:0::/48'), '2001:db8::/48')
  assert.is(parseCidrLoosely('10.1.2.3/8'), '10.0.0.0/8')
  assert.is(parseCidrLoosely('10.1.2.3'), '10.1.2.3/32')
  assert.is(parseCidrLoosely('2001:db8::1'), '2001:db8::1/128')
  assert.is(parseCidrLoosely('255.255.255.255/0'), '0.0.0.0/0')
  assert.is(parseInterfaceAddress('192.0.2.10/24'), '192.0.2.10/24')
  assert.is(subnetOf(parseInterfaceAddress('192.0.2.10/24')), '192.0.2.0/24')
  assert.is(parseInterfaceAddress('192.0.2.10'), '192.0.2.10/32')
  assert.is(hostCidr('::1' as Ip), '::1/128')
})

test('sizes are exact', () => {
  assert.is(sizeOf('::/0' as Cidr), 2n ** 128n)
  assert.is(sizeOf('10.0.0.0/26' as Cidr), 64n)
  assert.is(lengthOf('10.0.0.0/26' as Cidr), 26)
})

test.run()
