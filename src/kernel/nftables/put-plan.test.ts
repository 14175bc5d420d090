import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aChain, aSet } from '../../../test/support/nft-objects.ts'
import { withTable } from '../../../test/support/nft-table.ts'
import { keyOf, type NftMatch, type NftObject, type NftRule, type NftSet, type NftVerdict } from '../objects.ts'
import type { Delta } from '../table.ts'
import { type NftablesTable, StillReferredTo } from './table.ts'

const test = suite('kernel/nftables/put-plan')

const { signal } = new AbortController()
function aRule(matches: readonly NftMatch[], verdict: NftVerdict = { do: 'accept' }): NftRule {
  return { matches, verdict }
}

const byKey = (objects: readonly NftObject[]) => new Map(objects.map((object) => [keyOf.policy(object), object]))

async function commit(table: NftablesTable, put: readonly NftObject[], remove: readonly NftObject[] = []) {
  const delta: Delta<NftObject> = { put: byKey(put), remove: byKey(remove) }
  return [...(await table.commit(delta, signal))].sort(([a], [b]) => (a < b ? -1 : 1))
}

const map = (...elements: readonly string[]): NftSet => aSet('to-workloads', elements, { key: 'interface', isMap: true })
const INPUT = { type: 'filter', hook: 'input', priority: 0 } as const
const DROP = aRule([], { do: 'drop' })
/** Which the kernel refuses: it refers to what nobody puts. */
const broken = (name: string) => aChain(name, [aRule([{ on: 'saddr', set: 'nowhere', family: 4 }])])

async function elementsOf(table: NftablesTable): Promise<readonly string[]> {
  const set = (await table.list(signal)).get('set to-workloads')
  return set?.kind === 'set' ? [...set.elements].sort() : []
}

test('of a map of interfaces only those elements are left out whose rules are refused; what was there stays', () =>
  withTable(async (table) => {
    const good = [aChain('e_1', [DROP]), aChain('e_2', [DROP])]
    await commit(table, [...good, map('mgyw1 goto e_1', 'mgyw2 goto e_2')])
    const failures = await commit(
      table,
      [broken('e_3'), aChain('e_4', [DROP]), map('mgyw1 goto e_3', 'mgyw2 goto e_4', 'mgyw3 goto e_3', 'mgyw4 goto e_4')],
      good,
    )
    assert.equal(
      failures.map(([key, { message }]) => `${key}: ${message}`),
      [
        'chain e_1: could not remove "chain e_1" in the table inet margay: EBUSY, resource busy or locked (something still refers to it)',
        'chain e_3: could not put "chain e_3": it refers to "set nowhere", which is missing',
        'set to-workloads: mgyw1, mgyw3: the rules that they lead to were refused; what was there stays as it was, what is new is closed',
      ],
    )
    assert.instance(failures[0]?.[1], StillReferredTo)
    assert.equal(await elementsOf(table), ['mgyw1 goto e_1', 'mgyw2 goto e_4', 'mgyw4 goto e_4'])
    assert.equal(
      await commit(
        table,
        [aSet('nowhere', []), broken('e_3'), map('mgyw1 goto e_3', 'mgyw2 goto e_4', 'mgyw3 goto e_3')],
        [aChain('e_1', [])],
      ),
      [],
    )
    assert.equal(await elementsOf(table), ['mgyw1 goto e_3', 'mgyw2 goto e_4', 'mgyw3 goto e_3'])
  }))

test('a chain with something closed in its place gets that where it is new, and else keeps its rules', () =>
  withTable(async (table, namespace) => {
    const shown = () => namespace.run('nft', 'list chain inet margay to-host.eth0')
    const hep = (rules: readonly NftObject[]) => [...rules, aChain('to-host', [aRule([], { do: 'goto', chain: 'to-host.eth0' })], INPUT)]
    const refused = { ...broken('to-host.eth0'), otherwise: [DROP] }
    assert.equal(
      (await commit(table, hep([refused]))).map(([key]) => key),
      ['chain to-host.eth0'],
    )
    assert.match(shown(), /\bdrop\b/)
    const open = { ...aChain('to-host.eth0', [aRule([], { do: 'accept' })]), otherwise: [DROP] }
    assert.equal(await commit(table, [open]), [])
    assert.equal(
      (await commit(table, hep([refused]))).map(([key]) => key),
      ['chain to-host.eth0'],
    )
    assert.match(shown(), /\baccept\b/)
  }))

test('nothing new comes to refer to a set that could not be brought up to date', () =>
  withTable(async (table, namespace) => {
    namespace.run('nft', 'add table inet margay; add set inet margay s4_a { type ipv4_addr; size 1; }')
    const set = aSet('s4_a', ['192.0.2.1', '192.0.2.2'])
    const user = aChain('e_1', [aRule([{ on: 'saddr', set: 's4_a', family: 4 }])])
    const first = await commit(table, [set, user, aChain('e_2', [DROP]), map('mgyw1 goto e_1', 'mgyw2 goto e_2')])
    assert.equal(
      first.map(([key]) => key),
      ['chain e_1', 'set s4_a', 'set to-workloads'],
    )
    assert.match(first[1]?.[1].message ?? '', /ENFILE/)
    // It is not tried again, and is there: that is not enough.
    assert.equal(
      (await commit(table, [{ ...user, name: 'e_5' }])).map(([key]) => key),
      ['chain e_5'],
    )
    assert.equal(await elementsOf(table), ['mgyw2 goto e_2'])
    namespace.run('nft', 'delete set inet margay s4_a')
    await table.list(signal)
    assert.equal(await commit(table, [set, user, map('mgyw1 goto e_1', 'mgyw2 goto e_2')]), [])
    assert.equal(await elementsOf(table), ['mgyw1 goto e_1', 'mgyw2 goto e_2'])
  }))

test.run()
