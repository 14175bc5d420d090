// runs alone
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { longestStretch } from '../../test/support/stretch.ts'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { blockKey } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { FAMILIES, formatIp, ipToNumber, parseIp } from '../net/ip.ts'
import type { Entry, Store } from '../store/store.ts'
import { assignAutomatic, newBlock } from './block.ts'
import { aContext, aPool, never } from './fixtures.ts'
import { gridOf } from './pools.ts'
import { blocksInOrder, decodeBlocks, surveyBlocks, takenIndexes } from './survey.ts'

const test = suite('ipam/survey')

const BLOCKS = 5000
const DECODED = 500
/** What is promised of the daemon: nothing else waits longer. Milliseconds. */
const LIMIT_MS = 50
const AT = new Date('2026-11-21T09:00:00Z')

const pools = {
  4: { cidr: '10.64.0.0/10', first: '10.64.0.0', length: 26 },
  6: { cidr: 'fd65::/64', first: 'fd65::', length: 122 },
} as const

/** Full blocks of other hosts, in the pages in which a store gives them. */
function manyBlocks(family: 4 | 6): Store {
  const { first, length } = pools[family]
  const one = parseCidr(`${first}/${length}`)
  const holder = { handleId: 'margay.default.w', attributes: { node: 'p' } }
  const text = encodeBlock(assignAutomatic(newBlock(one, 'host:p', AT), 64, holder).block)
  const entries = Array.from({ length: BLOCKS }, (_, n): Entry => {
    const cidr = parseCidr(`${formatIp(family, ipToNumber(parseIp(first)) + BigInt(n * 64))}/${length}`)
    return { key: blockKey(cidr), value: text.replace(one, cidr), modRevision: n + 1, lease: 0n }
  })
  async function* list() {
    for (let i = 0; i < BLOCKS; i += 500) {
      await new Promise((resolve) => setImmediate(resolve))
      yield { revision: BLOCKS, entries: entries.slice(i, i + 500) }
    }
  }
  // Nothing else is asked of it.
  return { list } as unknown as Store
}

for (const family of FAMILIES) {
  test(`thousands of IPv${family} blocks are looked through without keeping others waiting`, async () => {
    const context = aContext(manyBlocks(family), 'h1', () => AT)
    const grid = gridOf(aPool('a', pools[family].cidr), 'h1')
    let [taken, decoded] = [0, 0]
    const stretch = await longestStretch(async () => {
      const survey = await surveyBlocks(context, family, never)
      taken = (await takenIndexes(survey, grid)).size
      const inOrder = await blocksInOrder(survey, grid)
      for await (const _ of decodeBlocks(context, survey, inOrder.slice(0, DECODED))) decoded++
    })
    assert.equal([taken, decoded], [BLOCKS, DECODED])
    process.stdout.write(`\n  ${JSON.stringify({ family, stretchMs: Math.round(stretch) })}\n`)
    assert.ok(stretch < LIMIT_MS, `${Math.round(stretch)} ms`)
  })
}

test.run()
