import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Cidr, cidrContains, cidrOf, lengthOf } from './cidr.ts'
import { formatIp, type Ip } from './ip.ts'
import { PrefixMap } from './prefix-map.ts'

const test = suite('net/prefix-map')

function aMap(...cidrs: string[]): PrefixMap<string> {
  const map = new PrefixMap<string>()
  for (const cidr of cidrs) map.set(cidr as Cidr, `value of ${cidr}`)
  return map
}

test('the longest prefix is found, in both families', () => {
  const map = aMap('0.0.0.0/0', '10.0.0.0/8', '10.65.0.0/16', '10.65.1.0/26', '2001:db8::/32', '2001:db8::/64')
  const find = (ip: string) => map.longest(ip as Ip)?.cidr
  assert.is(find('10.65.1.63'), '10.65.1.0/26')
  assert.is(find('10.65.1.64'), '10.65.0.0/16')
  assert.is(find('10.1.1.1'), '10.0.0.0/8')
  assert.is(find('203.0.113.1'), '0.0.0.0/0')
  assert.is(find('2001:db8::1'), '2001:db8::/64')
  assert.is(find('2001:db8:1::1'), '2001:db8::/32')
  assert.is(find('2001:db9::1'), undefined)
})

test('covering prefixes come longest first, with the prefix itself', () => {
  const map = aMap('10.0.0.0/8', '10.65.0.0/16', '10.65.1.0/26', '0.0.0.0/0')
  const find = (inner: string) => map.covering(inner as Cidr).map((entry) => entry.cidr)
  assert.equal(find('10.65.0.0/16'), ['10.65.0.0/16', '10.0.0.0/8', '0.0.0.0/0'])
  assert.equal(find('10.65.1.1'), ['10.65.1.0/26', '10.65.0.0/16', '10.0.0.0/8', '0.0.0.0/0'])
  assert.equal(find('::1'), [])
})

test('what is set can be replaced and deleted', () => {
  const map = aMap('10.0.0.0/8', '::/0')
  map.set('10.0.0.0/8' as Cidr, 'new')
  assert.is(map.get('10.0.0.0/8' as Cidr), 'new')
  assert.is(map.size, 2)
  assert.is(map.delete('10.0.0.0/8' as Cidr), true)
  assert.is(map.delete('10.0.0.0/8' as Cidr), false)
  assert.is(map.longest('10.0.0.1' as Ip), undefined)
  assert.equal([...map], [{ cidr: '::/0', value: 'value of ::/0' }])
})

test('it agrees with a search through all prefixes', () => {
  const cidr = fc.tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.nat(32)).map(([n, length]) => cidrOf(formatIp(4, n), length))
  const ip = fc.bigInt(0n, 2n ** 32n - 1n).map((n) => formatIp(4, n))
  void fc.assert(
    fc.property(fc.array(cidr), ip, (cidrs, address) => {
      const want = cidrs.filter((each) => cidrContains(each, address)).sort((a, b) => lengthOf(b) - lengthOf(a))[0]
      assert.is(aMap(...cidrs).longest(address)?.cidr, want)
    }),
  )
})

test.run()
