import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cidrOf } from '../../net/cidr.ts'
import { type Family, formatIp } from '../../net/ip.ts'
import { withoutCovered } from '../../net/prefix-set.ts'
import { eachAttribute, MessageWriter } from '../netlink/message.ts'
import { elementsFrom, readElements, writeElements } from './elements.ts'

const test = suite('kernel/nftables/elements')

const families: readonly Family[] = [4, 6]

function writtenAndRead(type: { family: Family; isInterval: boolean }, elements: readonly string[]): Set<string> {
  const writer = new MessageWriter()
  writer.nested(3, () => writeElements(writer, type, elements))
  const found: Buffer[] = []
  eachAttribute(writer.bytes(), (value) => found.push(value))
  return elementsFrom(type, readElements(found[0]).toReversed())
}

for (const family of families) {
  const bits = family === 4 ? 32 : 128
  const address = fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }).map((value) => formatIp(family, value))

  test(`addresses of IPv${family} come back as they were written`, () => {
    void fc.assert(
      fc.property(fc.uniqueArray(address, { maxLength: 50 }), (addresses) => {
        assert.equal(writtenAndRead({ family, isInterval: false }, addresses), new Set(addresses))
      }),
    )
  })

  test(`prefixes of IPv${family} come back as they were written, adjoining ones and the last address too`, () => {
    // Few distinct bits at the top and at the bottom make neighbours and edges likely.
    const edge = fc.constantFrom(0n, 1n, 2n, (1n << BigInt(bits)) - 1n, (1n << BigInt(bits)) - 2n, 1n << BigInt(bits - 1))
    const prefix = fc
      .tuple(
        fc.oneof(
          address,
          edge.map((value) => formatIp(family, value)),
        ),
        fc.integer({ min: 0, max: bits }),
      )
      .map(([ip, length]) => cidrOf(ip, length))
    void fc.assert(
      fc.property(fc.array(prefix, { maxLength: 50 }), (prefixes) => {
        const kept = withoutCovered(prefixes)
        assert.equal([...writtenAndRead({ family, isInterval: true }, kept)].toSorted(), [...kept].toSorted())
      }),
    )
  })
}

test('a range of somebody else that is no prefix is shown as a range', () => {
  const ranges = ['192.0.2.1-192.0.2.6']
  assert.equal(writtenAndRead({ family: 4, isInterval: true }, ranges), new Set(ranges))
})

test.run()
