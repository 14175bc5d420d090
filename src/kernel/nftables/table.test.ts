import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Namespace } from '../../../test/support/nft-lab.ts'
import { aChain, aSet } from '../../../test/support/nft-objects.ts'
import { withTable } from '../../../test/support/nft-table.ts'
import { silentLogger } from '../../log.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import { keyOf, type NftHook, type NftMatch, type NftObject, type NftRule, type NftVerdict } from '../objects.ts'
import { NftablesTable } from './table.ts'

const test = suite('kernel/nftables/table')

const { signal } = new AbortController()
const never = new Map<string, NftObject>()

function aRule(matches: readonly NftMatch[], verdict: NftVerdict = { do: 'accept' }, isCounted = false): NftRule {
  return isCounted ? { matches, verdict, isCounted } : { matches, verdict }
}

const INPUT: NftHook = { type: 'filter', hook: 'input', priority: 0 }
const port = (value: number): NftMatch => ({ on: 'dport', value })
const udp: NftMatch = { on: 'protocol', value: 17 }

function byKey(objects: readonly NftObject[]): Map<string, NftObject> {
  return new Map(objects.map((object) => [keyOf.policy(object), object]))
}

async function put(table: NftablesTable, ...objects: readonly NftObject[]) {
  return [...(await table.commit({ put: byKey(objects), remove: never }, signal))].map(([key, error]) => `${key}: ${error.message}`)
}

async function remove(table: NftablesTable, ...objects: readonly NftObject[]) {
  return [...(await table.commit({ put: never, remove: byKey(objects) }, signal))].map(([key, error]) => `${key}: ${error.message}`)
}

/** Keys of what is wanted and not there as it should be, and of what is there and not wanted. */
async function differences(table: NftablesTable, wanted: readonly NftObject[]): Promise<string[]> {
  const listed = await table.list(signal)
  const desired = byKey(wanted)
  const wrong = [...desired].filter(([key, object]) => {
    const actual = listed.get(key)
    return !actual || !table.matches(object, actual)
  })
  return [...wrong.map(([key]) => key), ...[...listed.keys()].filter((key) => !desired.has(key))].toSorted()
}

/** What nft(8) shows of our table, without handles and blanks. */
function shown(namespace: Namespace): string[] {
  const text = namespace.run('nft', 'list', 'table', 'inet', 'margay')
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]))
}

const everything: readonly NftObject[] = [
  aSet('nets4', ['10.0.0.0/8', '192.0.2.0/24', '192.0.3.0/24', '255.0.0.0/8'], { isInterval: true }),
  aSet('nets6', ['2001:db8::/64', 'fd00::/8', 'ff00::/8'], { isInterval: true, family: 6 }),
  aSet('hosts4', ['192.0.2.1']),
  aSet('hosts6', ['2001:db8::1'], { family: 6 }),
  aChain('matches', [
    aRule([
      { on: 'iifname', value: 'eth0' },
      { on: 'oifname', value: 'mgy*', negate: true },
    ]),
    aRule([{ on: 'family', value: 6 }, udp, port(4789)], { do: 'drop' }, true),
    aRule(
      [
        { on: 'saddr', value: '10.1.0.0/17' as Cidr },
        { on: 'daddr', value: '192.0.2.1' as Ip, negate: true },
      ],
      { do: 'return' },
    ),
    aRule([
      { on: 'saddr', value: '2001:db8::/57' as Cidr },
      { on: 'daddr', set: 'nets6', family: 6, negate: true },
    ]),
    aRule([{ on: 'saddr', set: 'hosts4', family: 4 }, udp, { on: 'sport', value: 53, negate: true }]),
    aRule([{ on: 'ct-state', value: ['established', 'related'] }]),
    aRule([
      { on: 'ct-state', value: ['new'], negate: true },
      { on: 'mark', value: 0x1000_0000, mask: 0x1000_0000, negate: true },
    ]),
    aRule(
      [
        { on: 'daddr-type', value: 'local' },
        { on: 'saddr-type', value: 'local', negate: true },
      ],
      { do: 'drop' },
    ),
  ]),
  aChain(
    'nat',
    [
      aRule([{ on: 'protocol', value: 6 }], { do: 'masquerade', isRandom: true, ports: [2000, 3000] }, true),
      aRule([{ on: 'family', value: 4 }, udp], { do: 'snat', address: '192.0.2.9' as Ip, isRandom: true, ports: [2000, 3000] }),
      aRule([{ on: 'family', value: 4 }], { do: 'snat', address: '192.0.2.9' as Ip, isRandom: false }),
      aRule([], { do: 'masquerade', isRandom: true }),
      aRule([], { do: 'masquerade', isRandom: false }),
    ],
    { type: 'nat', hook: 'postrouting', priority: 110 },
  ),
  aChain('raw', [aRule([], { do: 'notrack' })], { type: 'filter', hook: 'prerouting', priority: -300 }),
  aChain('in', [aRule([], { do: 'jump', chain: 'matches' }), aRule([udp], { do: 'goto', chain: 'matches' })], INPUT),
]

test('nft shows every kind of object, match and verdict as it was meant', () =>
  withTable(async (table, namespace) => {
    assert.equal(await put(table, ...everything), [])
    assert.equal(shown(namespace), [
      'table inet margay {',
      'comment "kept by margayd, changes by others are undone"',
      ...['set nets4 {', 'type ipv4_addr', 'flags interval'],
      ...['elements = { 10.0.0.0/8, 192.0.2.0/24,', '192.0.3.0/24, 255.0.0.0/8 }', '}'],
      ...['set nets6 {', 'type ipv6_addr', 'flags interval', 'elements = { 2001:db8::/64,', 'fd00::/8,', 'ff00::/8 }', '}'],
      ...['set hosts4 {', 'type ipv4_addr', 'elements = { 192.0.2.1 }', '}'],
      ...['set hosts6 {', 'type ipv6_addr', 'elements = { 2001:db8::1 }', '}'],
      'chain matches {',
      'iifname "eth0" oifname != "mgy*" accept',
      'meta nfproto ipv6 udp dport 4789 counter packets 0 bytes 0 drop',
      'ip saddr 10.1.0.0/17 ip daddr != 192.0.2.1 return',
      'ip6 saddr 2001:db8::/57 ip6 daddr != @nets6 accept',
      'ip saddr @hosts4 udp sport != 53 accept',
      'ct state established,related accept',
      'ct state ! new meta mark & 0x10000000 != 0x10000000 accept',
      'fib daddr type local fib saddr type != local drop',
      '}',
      'chain nat {',
      'type nat hook postrouting priority srcnat + 10; policy accept;',
      'meta l4proto tcp counter packets 0 bytes 0 masquerade to :2000-3000 fully-random',
      'meta nfproto ipv4 meta l4proto udp snat ip to 192.0.2.9:2000-3000 fully-random',
      'meta nfproto ipv4 snat ip to 192.0.2.9',
      'masquerade fully-random',
      'masquerade',
      '}',
      ...['chain raw {', 'type filter hook prerouting priority raw; policy accept;', 'notrack accept', '}'],
      ...['chain in {', 'type filter hook input priority filter; policy accept;', 'jump matches', 'meta l4proto udp goto matches', '}'],
      '}',
    ])
  }))

test('what was put is listed the same by another daemon without memory, and putting it again changes nothing', () =>
  withTable(async (table, namespace) => {
    await put(table, ...everything)
    const other = new NftablesTable({ netns: namespace.path, log: silentLogger })
    assert.equal(await differences(other, everything), [])
    const before = namespace.run('nft', '-a', 'list', 'table', 'inet', 'margay')
    assert.equal(await put(other, ...everything.map((object) => structuredClone(object))), [])
    assert.is(namespace.run('nft', '-a', 'list', 'table', 'inet', 'margay'), before)
    assert.ok(await table.isCurrent(), 'nothing was committed')
    other.close()
  }))

test('what is removed is gone in one transaction, whatever refers to what, and removing it again is success', () =>
  withTable(async (table, namespace) => {
    await put(table, ...everything)
    assert.equal(await remove(table, ...everything), [])
    assert.equal(shown(namespace), ['table inet margay {', 'comment "kept by margayd, changes by others are undone"', '}'])
    assert.equal(await remove(table, ...everything), [])
    assert.equal(await differences(table, []), [])
  }))

test('a changed rule leaves the rules around it and other chains with their handles and counters', () =>
  withTable(async (table, namespace) => {
    const handles = () =>
      namespace
        .run('nft', '-a', 'list', 'table', 'inet', 'margay')
        .split('\n')
        .flatMap((line) => (line.includes('dport') ? [line.trim()] : []))
    const chain = (name: string, ...ports: number[]) =>
      aChain(
        name,
        ports.map((value) => aRule([udp, port(value)])),
        INPUT,
      )
    await put(table, chain('a', 1, 2, 3, 4), chain('b', 1))
    const before = handles()
    assert.equal(await put(table, chain('a', 1, 20, 21, 3, 4), chain('b', 1)), [])
    const after = handles()
    assert.equal([after[0], after[3], after[4], after[5]], [before[0], before[2], before[3], before[4]])
    assert.match(after[1] ?? '', /udp dport 20 accept/)
    assert.match(after[2] ?? '', /udp dport 21 accept/)
    assert.equal(await differences(table, [chain('a', 1, 20, 21, 3, 4), chain('b', 1)]), [])
    assert.equal(await put(table, chain('a', 3, 4, 5)), [])
    assert.equal(await differences(table, [chain('a', 3, 4, 5), chain('b', 1)]), [])
    assert.equal(await put(table, chain('a')), [])
    assert.equal(await differences(table, [chain('a'), chain('b', 1)]), [])
  }))

test('a base chain moves to another priority without a moment in which it is missing', () =>
  withTable(async (table) => {
    const moved = aChain('in', [aRule([udp])], { ...INPUT, priority: 5 })
    await put(table, aChain('in', [aRule([udp])], INPUT))
    assert.equal(await put(table, moved), [])
    assert.equal(await differences(table, [moved]), [])
  }))

test('a refused object is named with its reason, and the others are there', () =>
  withTable(async (table) => {
    const good = [aSet('good', ['192.0.2.1']), aChain('in', [aRule([{ on: 'saddr', set: 'good', family: 4 }])], INPUT)]
    const overlapping = aSet('overlapping', ['192.0.2.0/24', '192.0.2.128/25'], { isInterval: true })
    const dangling = aChain('dangling', [aRule([], { do: 'jump', chain: 'nowhere' })])
    assert.equal(await put(table, overlapping, ...good, dangling), [
      'chain dangling: could not put "chain dangling": it refers to "chain nowhere", which is missing',
      'set overlapping: could not put "set overlapping" in the table inet margay: EEXIST, file already exists (it is there already, or two prefixes overlap)',
    ])
    assert.equal(await differences(table, good), [])
    const [refused = ''] = await remove(table, aSet('good', []))
    assert.match(refused, /"set good".*EBUSY.*something still refers to it/)
    assert.equal(await differences(table, good), [])
  }))

test('a circle of jumps is refused without a trace', () =>
  withTable(async (table) => {
    await put(
      table,
      aChain('a', []),
      aChain('b', [aRule([], { do: 'jump', chain: 'a' })]),
      aChain('in', [aRule([], { do: 'jump', chain: 'b' })], INPUT),
    )
    const refused = await put(table, aChain('a', [aRule([], { do: 'jump', chain: 'b' })]))
    assert.is(refused.length, 1)
    assert.match(refused[0] ?? '', /chain a.*(EMLINK|ELOOP)/)
    assert.ok((await table.list(signal)).has('chain a'))
  }))

const foreign: readonly { name: string; commands: readonly string[]; want: readonly string[] }[] = [
  { name: 'a rule that was added', commands: ['add rule inet margay in accept'], want: ['chain in'] },
  { name: 'a rule that was put first', commands: ['insert rule inet margay in udp dport 9 accept'], want: ['chain in'] },
  { name: 'a rule that was replaced', commands: ['replace rule inet margay in handle HANDLE accept'], want: ['chain in'] },
  { name: 'rules that were flushed', commands: ['flush chain inet margay in'], want: ['chain in'] },
  { name: 'a chain that drops by its policy', commands: ['chain inet margay in { policy drop; }'], want: ['chain in'] },
  { name: 'an address too many', commands: ['add element inet margay s { 192.0.2.77 }'], want: ['set s'] },
  { name: 'an address too few', commands: ['delete element inet margay s { 192.0.2.1 }'], want: ['set s'] },
  { name: 'a range within an interval set', commands: ['add element inet margay i { 198.51.100.3-198.51.100.9 }'], want: ['set i'] },
  { name: 'a foreign chain', commands: ['add chain inet margay foreign'], want: ['chain foreign'] },
  { name: 'a foreign map', commands: ['add map inet margay ports { type inet_service : verdict; }'], want: ['set ports'] },
  {
    name: 'a set of the right name and a wrong type',
    commands: ['delete set inet margay t', 'add set inet margay t { type inet_service; }'],
    want: ['set t'],
  },
  { name: 'an anonymous set in a foreign rule', commands: ['add rule inet margay in udp dport { 1, 2 } drop'], want: ['chain in'] },
  { name: 'a table that sleeps', commands: ['add table inet margay { flags dormant; }'], want: ['chain in', 'set i', 'set s', 'set t'] },
  { name: 'a table that is gone', commands: ['delete table inet margay'], want: ['chain in', 'set i', 'set s', 'set t'] },
  { name: 'a flushed rule set', commands: ['flush ruleset'], want: ['chain in', 'set i', 'set s', 'set t'] },
]

for (const { name, commands, want } of foreign) {
  test(`${name} is seen and put right, and other tables are left alone`, () =>
    withTable(async (table, namespace) => {
      const chain = aChain('in', [aRule([udp, port(4789), { on: 'saddr', set: 's', family: 4 }]), aRule([udp], { do: 'drop' })], INPUT)
      const objects = [
        aSet('s', ['192.0.2.1', '192.0.2.2']),
        aSet('i', ['192.0.2.0/24'], { isInterval: true }),
        aSet('t', ['192.0.2.1']),
        chain,
      ]
      await put(table, ...objects)
      const handle = /drop # handle (\d+)/.exec(namespace.run('nft', '-a', 'list', 'table', 'inet', 'margay'))?.[1] ?? ''
      for (const command of commands) namespace.run('nft', command.replace('HANDLE', handle))
      namespace.run('nft', 'add table ip other; add chain ip other c; add rule ip other c accept')
      const other = namespace.run('nft', '-a', 'list', 'table', 'ip', 'other')
      assert.not(await table.isCurrent())
      assert.equal(await differences(table, objects), want)
      // What a reconciler does with it: put what differs, remove what is not wanted.
      const listed = await table.list(signal)
      assert.equal(await put(table, ...objects), [])
      assert.equal(await remove(table, ...[...listed].flatMap(([key, object]) => (byKey(objects).has(key) ? [] : [object]))), [])
      assert.equal(await differences(table, objects), [])
      assert.is(namespace.run('nft', '-a', 'list', 'table', 'ip', 'other'), other)
    }))
}

test('a commit that rests on old knowledge is done on what is there now', () =>
  withTable(async (table, namespace) => {
    await put(table, aSet('s', ['192.0.2.1']))
    namespace.run('nft', 'flush ruleset')
    assert.equal(await put(table, aSet('s', ['192.0.2.1', '192.0.2.2'])), [])
    assert.equal(await differences(table, [aSet('s', ['192.0.2.1', '192.0.2.2'])]), [])
  }))

test('after any sequence of changes the kernel holds what was wanted last', () =>
  withTable(async (table, namespace) => {
    const ports = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 8 })
    const members = fc.uniqueArray(
      fc.integer({ min: 0, max: 7 }).map((i) => `192.0.2.${i * 32}/27`),
      { maxLength: 8 },
    )
    const states = fc.array(fc.record({ a: fc.option(ports), b: fc.option(ports), s: fc.option(members) }), { minLength: 1, maxLength: 6 })
    const other = new NftablesTable({ netns: namespace.path, log: silentLogger })
    await fc.assert(
      fc.asyncProperty(states, async (sequence) => {
        for (const { a, b, s } of sequence) {
          const chain = (name: string, list: readonly number[]) =>
            aChain(
              name,
              list.map((value) => aRule([udp, port(value)])),
              INPUT,
            )
          const wanted = [...(s ? [aSet('s', s, { isInterval: true })] : []), ...(a ? [chain('a', a)] : []), ...(b ? [chain('b', b)] : [])]
          const gone = [aSet('s', []), chain('a', []), chain('b', [])].filter((object) => !byKey(wanted).has(keyOf.policy(object)))
          assert.equal([...(await put(table, ...wanted)), ...(await remove(table, ...gone))], [])
          assert.equal(await differences(other, wanted), [])
          assert.ok(await table.isCurrent(), 'the generation is the one that was expected')
        }
      }),
      { numRuns: 40 },
    )
    other.close()
  }))

test('cleaning up deletes our table and no other, also where there is none', () =>
  withTable(async (table, namespace) => {
    namespace.run('nft', 'add table ip margay; add table inet other')
    await put(table, ...everything)
    await table.cleanup()
    await table.cleanup()
    assert.is(namespace.run('nft', 'list', 'tables').trim(), 'table ip margay\ntable inet other')
    assert.equal(await put(table, ...everything), [])
  }))

test('one address more in a set of 10,000 costs one address', () =>
  withTable(async (table) => {
    const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`
    const many = Array.from({ length: 10_000 }, (_, i) => address(i))
    const nets = Array.from({ length: 5_000 }, (_, i) => `${address(i * 4)}/31`)
    const started = performance.now()
    assert.equal(await put(table, aSet('many', many), aSet('nets', nets, { isInterval: true })), [])
    const loadMs = performance.now() - started
    const times: number[] = []
    for (let i = 1; i <= 50; i++) {
      const wanted = aSet('many', [...many, ...Array.from({ length: i }, (_, j) => address(20_000 + j))])
      const start = performance.now()
      assert.equal(await put(table, wanted), [])
      times.push(performance.now() - start)
    }
    const listed = performance.now()
    assert.is((await table.list(signal)).size, 2)
    const listMs = performance.now() - listed
    const p50 = times.toSorted((a, b) => a - b)[25] ?? 0
    console.log(
      `  10,000 addresses and 5,000 prefixes: load ${loadMs.toFixed(1)} ms, one more ${p50.toFixed(2)} ms (p50 of 50), list ${listMs.toFixed(1)} ms`,
    )
    assert.ok(p50 < 20, `one address more took ${p50} ms`)
  }))

test.run()
