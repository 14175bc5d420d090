import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { addressAt, blockAt, blocksOf, distanceFrom, freeBlocks, indexOfBlock, ordinalOf, startOf } from './ordinals.ts'
import { createRangeSet, NO_RESERVATIONS } from './reservations.ts'

const test = suite('ipam/ordinals')

const places = [
  { block: '10.65.0.64/26', ordinal: 0, ip: '10.65.0.64' },
  { block: '10.65.0.64/26', ordinal: 63, ip: '10.65.0.127' },
  { block: '10.65.0.7/32', ordinal: 0, ip: '10.65.0.7' },
  { block: '10.65.16.0/20', ordinal: 4095, ip: '10.65.31.255' },
  { block: 'fd00:65::40/122', ordinal: 63, ip: 'fd00:65::7f' },
  { block: 'fd00:65::1/128', ordinal: 0, ip: 'fd00:65::1' },
  { block: 'fd00:65::/116', ordinal: 4095, ip: 'fd00:65::fff' },
]
for (const { block, ordinal, ip } of places) {
  test(`${ip} is number ${ordinal} of ${block}`, () => {
    assert.is(addressAt(parseCidr(block), ordinal), ip)
    assert.is(ordinalOf(parseCidr(block), parseIp(ip)), ordinal)
  })
}

const pools = [
  { pool: '10.65.0.0/16', size: 26, count: 1024n, last: '10.65.255.192/26' },
  { pool: '10.65.0.0/26', size: 26, count: 1n, last: '10.65.0.0/26' },
  { pool: '10.65.0.0/28', size: 26, count: 0n, last: undefined },
  { pool: 'fd00:65::/48', size: 122, count: 2n ** 74n, last: 'fd00:65::ffff:ffff:ffff:ffff:ffc0/122' },
]
for (const { pool, size, count, last } of pools) {
  test(`${pool} has ${count} blocks of /${size}`, () => {
    const grid = blocksOf(parseCidr(pool), size)
    assert.is(grid.count, count)
    if (last === undefined) return
    const expected = last === 'fd00:65::ffff:ffff:ffff:ffff:ffc0/122' ? 'fd00:65:0:ffff:ffff:ffff:ffff:ffc0/122' : last
    assert.is(blockAt(grid, count - 1n), expected)
    assert.is(indexOfBlock(grid, parseCidr(expected)), count - 1n)
  })
}

test('a prefix that is not a block of the pool has no index', () => {
  const grid = blocksOf(parseCidr('10.65.0.0/16'), 26)
  for (const other of ['10.66.0.0/26', '10.64.255.192/26', '10.65.0.0/27', 'fd00::/26'])
    assert.is(indexOfBlock(grid, parseCidr(other)), undefined)
})

test('the walk meets every free block once, from the start round to it', async () => {
  const property = fc.property(fc.integer({ min: 0, max: 6 }), fc.nat(), fc.uniqueArray(fc.nat(63)), (bits, seed, taken) => {
    const grid = blocksOf(parseCidr(`10.65.0.0/${26 - bits}`), 26)
    const start = BigInt(seed) % grid.count
    const met = [...freeBlocks(grid, start, (index) => taken.includes(Number(index)), NO_RESERVATIONS)]
    const indexes = met.map((cidr) => indexOfBlock(grid, cidr) ?? -1n)
    const free = Array.from({ length: Number(grid.count) }, (_, index) => BigInt(index)).filter((index) => !taken.includes(Number(index)))
    assert.equal([...indexes].sort(), [...free].sort())
    const distances = indexes.map((index) => distanceFrom(grid, start, index))
    assert.equal(
      distances,
      [...distances].sort((a, b) => Number(a - b)),
    )
  })
  await fc.assert(property, { numRuns: 200 })
})

test('the walk steps over a reserved range however many blocks it has', () => {
  const grid = blocksOf(parseCidr('fd00:65::/48'), 122)
  const reserved = createRangeSet([parseCidr('fd00:65::/49'), parseCidr('fd00:65:0:8000::/50'), parseCidr('fd00:65:0:c000::20/123')])
  const { value } = freeBlocks(grid, 5n, () => false, reserved).next()
  assert.is(value, 'fd00:65:0:c000::/122', 'half of it is not reserved')
})

test('a pool that is wholly reserved has no free block', () => {
  const reserved = createRangeSet([parseCidr('10.0.0.0/8')])
  assert.equal([...freeBlocks(blocksOf(parseCidr('10.65.0.0/16'), 26), 700n, () => false, reserved)], [])
})

test('hosts with similar names begin far from each other', () => {
  const grid = blocksOf(parseCidr('10.65.0.0/16'), 26)
  const starts = new Set(Array.from({ length: 20 }, (_, i) => startOf(grid, `h${i}`)))
  assert.ok(starts.size >= 19, `${starts.size} different starts of 20`)
  assert.is(startOf(grid, 'h1'), startOf(grid, 'h1'))
  assert.ok(startOf(blocksOf(parseCidr('fd00:65::/48'), 122), 'h1') > 2n ** 60n, 'the whole of a big pool is used')
})

test.run()
