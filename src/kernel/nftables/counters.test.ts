import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Namespace, openUdp } from '../../../test/support/nft-lab.ts'
import { withTable } from '../../../test/support/nft-table.ts'
import { silentLogger } from '../../log.ts'
import { keyOf, type NftChain, type NftObject, type NftRule } from '../objects.ts'
import { NftCounters } from './counters.ts'
import { NftablesTable } from './table.ts'

const test = suite('kernel/nftables/counters')

const { signal } = new AbortController()
const never = new Map<string, NftObject>()

const counter = (name: string): NftObject => ({ kind: 'counter', name })

/** Counts what comes to UDP port 7000 with `a`, and more of it once a rule counts with `b`. */
function chain(...more: readonly NftRule[]): NftChain {
  const rule: NftRule = {
    matches: [
      { on: 'protocol', value: 17 },
      { on: 'dport', value: 7000 },
    ],
    counter: 'a',
    verdict: { do: 'continue' },
  }
  return { kind: 'chain', name: 'in', hook: { type: 'filter', hook: 'input', priority: 0 }, rules: [rule, ...more] }
}

async function commit(table: NftablesTable, put: readonly NftObject[], remove: readonly NftObject[] = []): Promise<void> {
  const byKey = (objects: readonly NftObject[]) => new Map(objects.map((object) => [keyOf.policy(object), object]))
  const failures = await table.commit({ put: byKey(put), remove: byKey(remove) }, signal)
  assert.equal(
    [...failures].map(([key, error]) => `${key}: ${error.message}`),
    [],
  )
}

function send(namespace: Namespace, count: number, text = ''): void {
  const socket = openUdp(namespace, '127.0.0.1')
  for (let i = 0; i < count; i++) socket.send('127.0.0.1', 7000, text)
  socket.close()
}

async function withCounters(work: (table: NftablesTable, namespace: Namespace, counters: NftCounters) => Promise<void>): Promise<void> {
  await withTable(async (table, namespace) => {
    const counters = new NftCounters({ netns: namespace.path })
    try {
      await work(table, namespace, counters)
    } finally {
      counters.close()
    }
  })
}

test('a counter that several rules share goes on counting over changes of them, and is read with what it counted', () =>
  withCounters(async (table, namespace, counters) => {
    await commit(table, [counter('a'), counter('b'), chain()])
    send(namespace, 3, '1234')
    assert.equal(
      await counters.read(signal),
      new Map([
        ['a', { packets: 3, bytes: 3 * 32 }],
        ['b', { packets: 0, bytes: 0 }],
      ]),
    )
    await commit(table, [
      counter('a'),
      counter('b'),
      chain({ matches: [{ on: 'protocol', value: 17 }], counter: 'a', verdict: { do: 'continue' } }),
    ])
    send(namespace, 2)
    assert.equal((await counters.read(signal)).get('a'), { packets: 7, bytes: 3 * 32 + 4 * 28 })
  }))

test('a daemon without memory finds counters as they are, and leaves what they counted', () =>
  withCounters(async (table, namespace, counters) => {
    await commit(table, [counter('a'), chain()])
    send(namespace, 2)
    const other = new NftablesTable({ netns: namespace.path, log: silentLogger })
    const listed = await other.list(signal)
    assert.ok(other.matches(counter('a'), listed.get('counter a') ?? chain()))
    await commit(other, [counter('a'), chain()])
    assert.ok(await other.isCurrent(), 'nothing was committed')
    other.close()
    assert.is((await counters.read(signal)).get('a')?.packets, 2)
  }))

test('counters go with the rules that count with them, in one transaction', () =>
  withCounters(async (table, namespace, counters) => {
    await commit(table, [counter('a'), counter('b'), chain()])
    await commit(table, [], [counter('a'), counter('b'), chain()])
    assert.equal(await counters.read(signal), new Map())
    assert.not.match(namespace.run('nft', 'list', 'table', 'inet', 'margay'), 'counter')
  }))

test('a rule that counts with what is not there is refused, and named', () =>
  withCounters(async (table) => {
    const failures = await table.commit({ put: new Map([['chain in', chain()]]), remove: never }, signal)
    assert.match(failures.get('chain in')?.message ?? '', /it refers to "counter [^"]+", which is missing$/)
  }))

test('counters that somebody deleted with the table are put again from nothing; those of other tables are not ours', () =>
  withCounters(async (table, namespace, counters) => {
    assert.equal(await counters.read(signal), new Map())
    namespace.run('nft', 'add table inet other; add counter inet other a; add table ip margay; add counter ip margay c')
    await commit(table, [counter('a'), chain()])
    namespace.run('nft', 'add quota inet margay q { 10 mbytes }')
    assert.equal(await counters.read(signal), new Map([['a', { packets: 0, bytes: 0 }]]))
    send(namespace, 1)
    namespace.run('nft', 'delete table inet margay')
    assert.equal(await counters.read(signal), new Map())
    await table.list(signal)
    await commit(table, [counter('a'), chain()])
    assert.is((await counters.read(signal)).get('a')?.packets, 0)
  }))

test('what comes faster than a limit says goes by the rule that has it', () =>
  withCounters(async (table, namespace, counters) => {
    const limited: NftRule = {
      matches: [{ on: 'protocol', value: 17 }],
      limit: { rate: 1, seconds: 3600, burst: 5 },
      counter: 'b',
      verdict: { do: 'continue' },
    }
    await commit(table, [counter('a'), counter('b'), chain(limited)])
    send(namespace, 50)
    const read = await counters.read(signal)
    assert.is(read.get('a')?.packets, 50)
    const passed = read.get('b')?.packets ?? 0
    assert.ok(passed >= 5 && passed <= 6, `${passed} of 50 were within the limit`)
  }))

test.run()
