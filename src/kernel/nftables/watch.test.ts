import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, type Namespace, until } from '../../../test/support/nft-lab.ts'
import type { LogFields } from '../../log.ts'
import { silentLogger } from '../../log.ts'
import { keyOf, type NftObject } from '../objects.ts'
import { NftablesTable } from './table.ts'

const test = suite('kernel/nftables/watch')

const never = new Map<string, NftObject>()
let labels = 0

interface Watching {
  readonly table: NftablesTable
  readonly namespace: Namespace
  /** Every event so far. */
  readonly events: unknown[]
  readonly warnings: LogFields[]
  readonly signal: AbortSignal
}

function aSet(elements: readonly string[]): ReadonlyMap<string, NftObject> {
  const set: NftObject = { kind: 'set', name: 's', family: 4, isInterval: false, elements: new Set(elements) }
  return new Map([[keyOf.policy(set), set]])
}

async function watching(work: (watching: Watching) => Promise<void>): Promise<void> {
  const namespace = createNamespace(`watch${labels++}`)
  const stop = new AbortController()
  const warnings: LogFields[] = []
  const log = { ...silentLogger, warn: (fields: LogFields) => void warnings.push(fields) }
  const table = new NftablesTable({ netns: namespace.path, log, pollMs: 200 })
  const events: unknown[] = []
  const follow = async () => {
    for await (const event of table.events(stop.signal)) {
      events.push(event)
      // As a reconciler does: list, then it is current again. The end of the test may come in the middle of it.
      await table.list(stop.signal).catch((error) => {
        if (!stop.signal.aborted) throw error
      })
    }
  }
  const followed = follow()
  try {
    await table.list(stop.signal)
    await work({ table, namespace, events, warnings, signal: stop.signal })
  } finally {
    stop.abort()
    await followed
    table.close()
    namespace.remove()
  }
}

test('our own commits are no news, nor are changes of other tables', () =>
  watching(async ({ table, namespace, events, signal }) => {
    for (let i = 1; i <= 20; i++) {
      await table.commit({ put: aSet(Array.from({ length: i }, (_, j) => `192.0.2.${j}`)), remove: never }, signal)
    }
    for (let i = 1; i <= 5; i++) {
      namespace.run('nft', `add table ip other${i}; add chain ip other${i} c; add rule ip other${i} c accept`)
      await until('the generation to be known', async () => ((await table.isCurrent()) ? true : undefined))
      await table.commit({ put: aSet([`192.0.2.${i}`]), remove: never }, signal)
    }
    assert.equal(events, [])
  }))

const changes: readonly { name: string; command: string }[] = [
  { name: 'an element that was added', command: 'add element inet margay s { 192.0.2.9 }' },
  { name: 'a chain that was added', command: 'add chain inet margay c' },
  { name: 'a flushed rule set', command: 'flush ruleset' },
  { name: 'a deleted table', command: 'delete table inet margay' },
  {
    name: 'our change among others in one transaction',
    command: 'add table ip a; add element inet margay s { 192.0.2.9 }; add table ip b',
  },
]

for (const { name, command } of changes) {
  test(`${name} is news within a second, with the name of who did it`, () =>
    watching(async ({ table, namespace, events, warnings, signal }) => {
      await table.commit({ put: aSet(['192.0.2.1']), remove: never }, signal)
      namespace.run('nft', command)
      // Not before: to start a program takes a second on a slow machine.
      const started = performance.now()
      await until('the event', () => (events.length > 0 ? true : undefined))
      assert.ok(performance.now() - started < 1000)
      assert.equal(events[0], { type: 'stale', table: 'policy' })
      assert.match(warnings[0]?.reason ?? '', /^by process \d+ \(nft\)$/)
    }))
}

test('a table of our name in another family is not ours', () =>
  watching(async ({ table, namespace, events }) => {
    namespace.run('nft', 'add table ip margay; add chain ip margay c')
    await until('the generation to be known', async () => ((await table.isCurrent()) ? true : undefined))
    assert.equal(events, [])
  }))

test('a storm of changes that overruns the notices loses nothing', () =>
  watching(async ({ table, namespace, events, signal }) => {
    await table.commit({ put: aSet(['192.0.2.1']), remove: never }, signal)
    const addresses = Array.from({ length: 30_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
    // Synchronous, so that nothing of ours runs meanwhile and the notices pile up.
    namespace.run('nft', `add table ip o; add set ip o s { type ipv4_addr; elements = { ${addresses.slice(0, 5000).join(', ')} } }`)
    for (let i = 1; i < 5; i++) namespace.run('nft', `add element ip o s { ${addresses.slice(i * 5000, (i + 1) * 5000).join(', ')} }`)
    namespace.run('nft', 'delete table inet margay')
    await until('the event', () => (events.length > 0 ? true : undefined))
    assert.is((await table.list(signal)).size, 0)
  }))

test.run()
