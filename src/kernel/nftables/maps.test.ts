import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Namespace } from '../../../test/support/nft-lab.ts'
import { aChain, aSet } from '../../../test/support/nft-objects.ts'
import { withTable } from '../../../test/support/nft-table.ts'
import { silentLogger } from '../../log.ts'
import { keyOf, type NftHook, type NftObject, type NftRule } from '../objects.ts'
import { NftablesTable } from './table.ts'

const test = suite('kernel/nftables/maps')

const { signal } = new AbortController()

const byKey = (objects: readonly NftObject[]) => new Map(objects.map((object) => [keyOf.policy(object), object]))
const drop: NftRule = { matches: [], verdict: { do: 'drop' } }
const tcp = { on: 'protocol', value: 6 } as const
const accept = { do: 'accept' } as const

const ports = aSet('ports', ['22', '80-90', '1024-65535'], { key: 'port', isInterval: true })
const onPort = aSet('onPort', ['0-79 goto low', '80 goto high', '81-65535 goto low'], { key: 'port', isInterval: true, isMap: true })
const onLink = aSet('onLink', ['mgyw1 goto low', 'mgyw12345678901 goto high'], { key: 'interface', isMap: true })
const named4 = aSet('named4', ['10.65.0.2,6,8080', '10.65.0.2,17,53'], { key: 'address-port' })
const named6 = aSet('named6', ['2001:db8::2,6,8080'], { key: 'address-port', family: 6 })
const chains = [aChain('low', [drop]), aChain('high', [{ matches: [], verdict: accept }])]
const hook: NftHook = { type: 'filter', hook: 'postrouting', priority: 0 }
const base = aChain(
  'base',
  [
    {
      matches: [
        { on: 'translated', value: 'destination' },
        { on: 'origin', value: 'host' },
      ],
      verdict: { do: 'continue' },
    },
    { matches: [], setMark: { value: 0, mask: 0x1000_0000 }, verdict: { do: 'continue' } },
    { matches: [tcp, { on: 'dport', set: 'ports' }], setMark: { value: 0x1000_0000, mask: 0x1000_0000 }, verdict: accept },
    { matches: [tcp, { on: 'sport', set: 'ports', negate: true }], log: { group: 5, prefix: 'r1' }, verdict: { do: 'continue' } },
    { matches: [{ on: 'destination', set: 'named4', family: 4 }], verdict: accept },
    { matches: [{ on: 'source', set: 'named6', family: 6, negate: true }], verdict: accept },
    {
      matches: [
        { on: 'family', value: 6 },
        { on: 'protocol', value: 58 },
        { on: 'icmp-type', value: 135 },
        { on: 'icmp-code', value: 0, negate: true },
        { on: 'hop-limit', value: 255 },
      ],
      verdict: accept,
    },
    { matches: [], verdict: { do: 'map', on: 'oifname', map: 'onLink' } },
    { matches: [tcp], verdict: { do: 'map', on: 'dport', map: 'onPort' } },
  ],
  hook,
)
const rejecting = aChain('rejecting', [{ matches: [tcp], verdict: { do: 'reject' } }], { ...hook, hook: 'input' })
const everything: readonly NftObject[] = [ports, onPort, onLink, named4, named6, ...chains, base, rejecting]

async function commit(table: NftablesTable, put: readonly NftObject[], remove: readonly NftObject[] = []): Promise<readonly string[]> {
  const failures = await table.commit({ put: byKey(put), remove: byKey(remove) }, signal)
  return [...failures].map(([key, error]) => `${key}: ${error.message}`)
}

/** The elements of a set as the kernel lists them to somebody without memory. */
async function listed(namespace: Namespace, name: string): Promise<readonly string[]> {
  const reader = new NftablesTable({ netns: namespace.path, log: silentLogger })
  try {
    const found = (await reader.list(signal)).get(`set ${name}`)
    return found?.kind === 'set' ? [...found.elements].sort() : []
  } finally {
    reader.close()
  }
}

test('sets of ports and of addresses with ports, maps, marks, logs and rejections are read back as they were written', () =>
  withTable(async (table, namespace) => {
    assert.equal(await commit(table, everything), [])
    const reader = new NftablesTable({ netns: namespace.path, log: silentLogger })
    const actual = await reader.list(signal)
    for (const object of everything) {
      const found = actual.get(keyOf.policy(object))
      assert.ok(found && reader.matches(object, found), `${keyOf.policy(object)} is not as it was written`)
    }
    assert.is(actual.size, everything.length)
    for (const name of ['ports', 'onPort', 'onLink', 'named4', 'named6']) {
      const wanted = everything.find((object) => object.name === name)
      assert.equal(await listed(namespace, name), wanted?.kind === 'set' ? [...wanted.elements].sort() : [])
    }
    reader.close()
  }))

test('nft shows them in its own words', () =>
  withTable(async (table, namespace) => {
    await commit(table, everything)
    const shown = namespace
      .run('nft', 'list', 'table', 'inet', 'margay')
      .split('\n')
      .map((line) => line.trim())
    for (const line of [
      'type inet_service',
      'elements = { 22, 80-90,',
      'type ipv4_addr . inet_proto . inet_service',
      'type ifname : verdict',
      'ct status dnat iif 0',
      'meta mark set meta mark & 0xefffffff',
      'tcp dport @ports meta mark set meta mark | 0x10000000 accept',
      'elements = { "mgyw1" : goto low,',
      'tcp sport != @ports log prefix "r1" group 5',
      'ip daddr . meta l4proto . th dport @named4 accept',
      'ip6 saddr . meta l4proto . th sport != @named6 accept',
      'oifname vmap @onLink',
      'tcp dport vmap @onPort',
      'meta l4proto tcp reject',
    ]) {
      assert.ok(
        shown.some((one) => one.includes(line)),
        `${line} is not among\n${shown.join('\n')}`,
      )
    }
  }))

test('one element of a map changes without the others, and leads elsewhere at once', () =>
  withTable(async (table, namespace) => {
    await commit(table, everything)
    const elements = ['mgyw1 goto high', 'mgyw2 goto low']
    assert.equal(await commit(table, [aSet('onLink', elements, { key: 'interface', isMap: true })]), [])
    assert.equal(await listed(namespace, 'onLink'), elements)
  }))

test('a map and the chains that it leads to go together', () =>
  withTable(async (table) => {
    await commit(table, everything)
    assert.equal(await commit(table, [], everything), [])
    assert.is((await table.list(signal)).size, 0)
  }))

test('a set that becomes a map is made anew where nobody refers to it', () =>
  withTable(async (table, namespace) => {
    await commit(table, [aSet('one', ['mgyw1'], { key: 'interface' }), ...chains])
    assert.equal(await commit(table, [aSet('one', ['mgyw1 goto low'], { key: 'interface', isMap: true })]), [])
    assert.equal(await listed(namespace, 'one'), ['mgyw1 goto low'])
  }))

test('a map that leads to a chain that is not there is refused by name', () =>
  withTable(async (table) => {
    const [failure = ''] = await commit(table, [aSet('lost', ['80 goto nowhere'], { key: 'port', isInterval: true, isMap: true })])
    assert.is(failure, 'set lost: could not put "set lost": it refers to "chain nowhere", which is missing')
  }))

test.run()
