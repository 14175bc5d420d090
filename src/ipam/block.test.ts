import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Block } from '../model/ipam-block.ts'
import { decodeBlock, encodeBlock } from '../model/ipam-block-codec.ts'
import { parseCidr } from '../net/cidr.ts'
import {
  assignAutomatic,
  assignOrdinal,
  checkBlock,
  collectGarbage,
  countBlock,
  isEmpty,
  newBlock,
  ordinalsOf,
  releaseOrdinals,
} from './block.ts'

const test = suite('ipam/block')

const now = new Date('2026-08-02T09:15:04.123Z')
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000)
const aHolder = (handleId = 'margay.default.w1', attributes: Record<string, string> = { node: 'h1' }) => ({ handleId, attributes })
const aBlock = (cidr = '10.65.0.0/29') => newBlock(parseCidr(cidr), 'host:h1', now)
/** A block all of whose addresses are held, each by a handle of its own name. */
const aFullBlock = () => [...'abcdefgh'].reduce((block, name) => assignAutomatic(block, 1, aHolder(name)).block, aBlock())

test('a new block is empty and begins its sequence at the clock', () => {
  const block = aBlock()
  assert.equal(block.unallocated, [0, 1, 2, 3, 4, 5, 6, 7])
  assert.is(block.sequenceNumber, BigInt(now.getTime()) * 1_000_000n)
  assert.is(block.affinityClaimTime, '2026-08-02T09:15:04Z')
  assert.ok(isEmpty(block))
  assert.equal(checkBlock(block, now), [])
})

test('a block is written as Calico writes it', () => {
  const first = assignAutomatic(aBlock(), 1, aHolder('vxlan-tunnel-addr-h1', { node: 'h1', type: 'vxlanTunnelAddress' })).block
  const both = assignOrdinal(first, 2, aHolder('lnw.5f1c')) ?? first
  const sequence = BigInt(now.getTime()) * 1_000_000n
  const expected =
    '{"cidr":"10.65.0.0/29","affinity":"host:h1","affinity_claim_time":"2026-08-02T09:15:04Z",' +
    '"allocations":[0,null,1,null,null,null,null,null],"unallocated":[1,3,4,5,6,7],' +
    '"attributes":[{"handle_id":"vxlan-tunnel-addr-h1","secondary":{"node":"h1","type":"vxlanTunnelAddress"}},' +
    '{"handle_id":"lnw.5f1c","secondary":{"node":"h1"}}],' +
    `"sequenceNumber":${sequence + 2n},"sequenceNumberForAllocation":{"0":${sequence},"2":${sequence + 1n}},"deleted":false}`
  assert.is(encodeBlock(both), expected)
  assert.equal(decodeBlock(expected), both)
})

test('addresses are given in the order in which they became free, without reserved ones', () => {
  const { block, ordinals } = assignAutomatic(aBlock(), 3, aHolder(), (ordinal) => ordinal === 1)
  assert.equal(ordinals, [0, 2, 3])
  const { block: after } = releaseOrdinals(block, [{ ordinal: 2 }], now, 0)
  assert.equal(after.unallocated, [1, 4, 5, 6, 7, 2])
  assert.equal(assignAutomatic(after, 9, aHolder()).ordinals, [1, 4, 5, 6, 7, 2])
})

test('a full block gives nothing and stays as it was', () => {
  const block = aFullBlock()
  const again = assignAutomatic(block, 1, aHolder())
  assert.is(again.block, block)
  assert.equal(again.ordinals, [])
  assert.is(assignOrdinal(block, 3, aHolder()), undefined)
})

test('holders with equal handle and facts share an attribute, whatever the order of their facts', () => {
  const first = assignAutomatic(aBlock(), 1, aHolder('w', { node: 'h1', type: 't' })).block
  const second = assignAutomatic(first, 2, aHolder('w', { type: 't', node: 'h1' })).block
  const third = assignAutomatic(second, 1, aHolder('w', { node: 'h2', type: 't' })).block
  assert.is(third.attributes.length, 2)
  assert.equal(third.allocations.slice(0, 4), [0, 0, 0, 1])
})

test('attributes that nobody uses go, and the others keep their holders', () => {
  const { block } = releaseOrdinals(aFullBlock(), [{ ordinal: 0 }, { ordinal: 4 }], now, 0)
  assert.equal(
    block.attributes.map(({ handleId }) => handleId),
    ['b', 'c', 'd', 'f', 'g', 'h'],
  )
  assert.equal(ordinalsOf(block, 'f'), [5])
  assert.equal(checkBlock(block, now), [])
})

const sequenceOf = (block: Block, ordinal: number) => block.sequenceNumberForAllocation.get(ordinal) ?? -1n
const releases = [
  {
    name: 'the right handle and sequence',
    request: { ordinal: 1, handleId: 'b', sequenceNumber: sequenceOf(aFullBlock(), 1) },
    want: [[1], [], []],
  },
  { name: 'nothing said but the address', request: { ordinal: 1 }, want: [[1], [], []] },
  { name: 'another handle', request: { ordinal: 1, handleId: 'a' }, want: [[], [], [{ ordinal: 1, reason: 'handle' }]] },
  { name: 'an old sequence number', request: { ordinal: 1, sequenceNumber: 1n }, want: [[], [], [{ ordinal: 1, reason: 'sequence' }]] },
]
for (const { name, request, want } of releases) {
  test(`a release with ${name} gives ${JSON.stringify(want)}`, () => {
    const { released, unallocated, refused } = releaseOrdinals(aFullBlock(), [request], now, 0)
    assert.equal([released, unallocated, refused], want)
  })
}

test('an address that is released twice is counted once, and a free one is told', () => {
  const full = aFullBlock()
  const { block } = releaseOrdinals(full, [{ ordinal: 7 }], now, 0)
  const again = releaseOrdinals(block, [{ ordinal: 0 }, { ordinal: 0 }, { ordinal: 7 }], now, 0)
  assert.equal([again.released, again.unallocated, [...again.countByHandle]], [[0], [7], [['a', 1]]])
  assert.is(again.block.sequenceNumber, full.sequenceNumber + 2n)
})

test('a release that does nothing leaves the block as it was', () => {
  const block = aFullBlock()
  assert.is(releaseOrdinals(block, [{ ordinal: 0, handleId: 'z' }], now, 0).block, block)
})

test('a released address cools down before it is free', () => {
  const { block } = releaseOrdinals(aFullBlock(), [{ ordinal: 1 }, { ordinal: 3 }], now, 30)
  assert.equal(countBlock(block), { used: 6, cooling: 2, free: 0 })
  assert.equal(checkBlock(block, now), [])
  assert.equal(releaseOrdinals(block, [{ ordinal: 1 }], now, 30).unallocated, [1])
  assert.is(collectGarbage(block, later(29), 30), block)
  const cooled = collectGarbage(block, later(31), 30)
  assert.equal(countBlock(cooled), { used: 6, cooling: 0, free: 2 })
  assert.equal([cooled.unallocated, cooled.sequenceNumberForAllocation.has(1)], [[1, 3], false])
  assert.equal(checkBlock(cooled, later(31)), [])
})

test('a release time that nobody can have meant does not hold an address for ever', () => {
  for (const releasedAt of ['yesterday', '2036-01-01T00:00:00Z']) {
    const block = {
      ...aBlock(),
      allocations: [0, ...Array<undefined>(7).fill(undefined)],
      unallocated: [1, 2, 3, 4, 5, 6, 7],
      attributes: [{ releasedAt }],
    }
    assert.ok(isEmpty(collectGarbage(block, now, 30)), releasedAt)
  }
})

test('the sequence number stays within 64 bits', () => {
  const block = { ...aBlock(), sequenceNumber: 2n ** 64n - 1n }
  const { block: after } = assignAutomatic(block, 1, aHolder())
  assert.is(after.sequenceNumber, 0n)
  assert.is(sequenceOf(after, 0), 2n ** 64n - 1n)
})

const broken: readonly { name: string; change: Partial<Block>; want: string }[] = [
  {
    name: 'a missing attribute',
    change: { allocations: [0, ...Array<undefined>(7).fill(undefined)], unallocated: [1, 2, 3, 4, 5, 6, 7] },
    want: 'refers to attribute 0 of 0',
  },
  { name: 'an unused attribute', change: { attributes: [{ handleId: 'a' }] }, want: 'attribute 0 is not used' },
  { name: 'a free ordinal twice', change: { unallocated: [0, 0, 1, 2, 3, 4, 5, 6, 7] }, want: 'twice' },
  { name: 'a lost ordinal', change: { unallocated: [0, 1, 2, 3, 4, 5, 6] }, want: '7 free and 0 allocated in a block of 8' },
  { name: 'an ordinal out of range', change: { unallocated: [0, 1, 2, 3, 4, 5, 6, 8] }, want: 'unallocated ordinal 8 in a block of 8' },
]
for (const { name, change, want } of broken) {
  test(`a block with ${name} is found`, () => assert.match(checkBlock({ ...aBlock(), ...change }, now).join('; '), want))
}

test('whatever is done to a block, it stays sound, and what is counted adds up', async () => {
  const action = fc.record({
    kind: fc.constantFrom('auto', 'one', 'release', 'collect'),
    a: fc.nat(15),
    handle: fc.constantFrom('x', 'y', 'z'),
    cool: fc.constantFrom(0, 5),
  })
  const property = fc.property(
    fc.constantFrom('10.65.0.0/28', '10.65.0.9/32', 'fd00:65::/124'),
    fc.array(action, { maxLength: 60 }),
    (cidr, actions) => {
      let block = aBlock(cidr)
      const size = block.allocations.length
      actions.forEach(({ kind, a, handle, cool }, i) => {
        const before = block
        const holder = aHolder(handle, { node: `h${a % 3}` })
        if (kind === 'auto') block = assignAutomatic(block, a % 4, holder).block
        if (kind === 'one') block = assignOrdinal(block, a % size, holder) ?? block
        if (kind === 'release') block = releaseOrdinals(block, [{ ordinal: a % size, handleId: handle }], later(i), cool).block
        if (kind === 'collect') block = collectGarbage(block, later(i), 5)
        assert.equal(checkBlock(block, later(i)), [])
        assert.is(block.sequenceNumber, before === block ? before.sequenceNumber : before.sequenceNumber + 1n)
        assert.equal(decodeBlock(encodeBlock(block)), block)
      })
      const { used, cooling, free } = countBlock(block)
      assert.is(used + cooling + free, size)
    },
  )
  await fc.assert(property, { numRuns: 150 })
})

test.run()
