import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aContext, run } from '../../test/support/cli.ts'
import { StoreError } from '../errors.ts'
import { resourceKey } from '../model/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { runCli } from './program.ts'

const test = suite('cli/together')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

function document(kind: string, name: string, spec = '{}', metadata = ''): string {
  return `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}${metadata}}\nspec: ${spec}\n---\n`
}

function policies(count: number, spec = '{selector: all()}'): string {
  return Array.from({ length: count }, (_, i) => document('GlobalNetworkPolicy', `p${i}`, spec)).join('')
}

/** A store of one command, with some of its calls done otherwise. */
function otherwise(store: MemoryStore, more: Partial<Store>): MemoryStore {
  return Object.assign(store.another(), more)
}

async function margay(store: MemoryStore, argv: readonly string[], stdin: string) {
  return run(argv, { store, stdin, env })
}

test('many policies take few transactions, and are told in the order of the file', async () => {
  const store = new MemoryStore()
  const before = store.revision
  const done = await margay(store.another(), ['apply', '-f', '-'], policies(200))
  assert.equal([done.code, done.err], [0, ''])
  assert.is(done.out, Array.from({ length: 200 }, (_, i) => `globalnetworkpolicy/p${i} created\n`).join(''))
  assert.is(store.revision - before, Math.ceil(200 / 64))
  const again = await margay(store.another(), ['delete', '-f', '-'], policies(200))
  assert.is(again.out, Array.from({ length: 200 }, (_, i) => `globalnetworkpolicy/p${i} deleted\n`).join(''))
  assert.is(store.revision - before, 2 * Math.ceil(200 / 64))
})

test('what a document needs may stand before it in the file, and not after it', async () => {
  const tier = document('Tier', 'team', '{order: 10}')
  const policy = (name: string) => document('GlobalNetworkPolicy', name, '{tier: team, selector: all()}')
  const good = await margay(new MemoryStore(), ['apply', '-f', '-'], tier + policy('team.a') + policy('team.b'))
  assert.is(good.out, 'tier/team created\nglobalnetworkpolicy/team.a created\nglobalnetworkpolicy/team.b created\n')
  const bad = await margay(new MemoryStore(), ['apply', '-f', '-'], policy('team.a') + tier + policy('team.b'))
  assert.equal([bad.code, bad.out], [3, 'tier/team created\nglobalnetworkpolicy/team.b created\n'])
  assert.match(bad.err, /globalnetworkpolicy\/team.a: there is no tier "team", create it first/)
})

test('of one resource that stands in a file twice the later one stays', async () => {
  const store = new MemoryStore()
  const text = document('GlobalNetworkSet', 's', '{nets: [192.0.2.0/25]}') + document('GlobalNetworkSet', 's', '{nets: [192.0.2.0/24]}')
  assert.is((await margay(store.another(), ['apply', '-f', '-'], text)).out, 'globalnetworkset/s created\nglobalnetworkset/s updated\n')
  assert.match((await store.get(resourceKey('GlobalNetworkSet', 's'), never))?.value ?? '', /192\.0\.2\.0\/24/)
})

test('endpoints of one new namespace bring its profile once', async () => {
  const store = new MemoryStore()
  const text = [1, 2, 3].map((i) => {
    const spec = `{node: h1, orchestrator: margay, workload: w${i}, endpoint: eth0, interfaceName: mgy${i}, ipNetworks: [192.0.2.${i}/32]}`
    return document('WorkloadEndpoint', `h1-margay-w${i}-eth0`, spec, ', namespace: shop')
  })
  const done = await margay(store.another(), ['apply', '-f', '-'], text.join(''))
  assert.equal([done.code, done.err], [0, ''])
  assert.is(done.out.split('\n').filter((line) => line.endsWith(' created')).length, 3)
  assert.ok(await store.get(resourceKey('Profile', 'kns.shop'), never))
})

test('one that exists already hinders no other', async () => {
  const store = new MemoryStore()
  const set = (i: number) => document('GlobalNetworkSet', `s${i}`, '{nets: []}')
  await margay(store.another(), ['create', '-f', '-'], set(1))
  const done = await margay(store.another(), ['create', '-f', '-'], [0, 1, 2].map(set).join(''))
  assert.equal([done.code, done.out], [3, 'globalnetworkset/s0 created\nglobalnetworkset/s2 created\n'])
  assert.match(done.err, /^margay: standard input \(line 6, column 1\): GlobalNetworkSet "s1" exists already\n$/)
})

test('whoever is faster with one resource makes that one be read again, and the others are written', async () => {
  const store = new MemoryStore()
  await margay(store.another(), ['apply', '-f', '-'], policies(5))
  const key = resourceKey('GlobalNetworkPolicy', 'p3')
  let isFirst = true
  const slow = otherwise(store, {
    commit: async (compares, writes, signal) => {
      if (isFirst) {
        isFirst = false
        const entry = await store.get(key, signal)
        await store.commit([], [{ put: key, value: (entry?.value ?? '').replace('all()', 'has(role)') }], signal)
      }
      return MemoryStore.prototype.commit.call(slow, compares, writes, signal)
    },
  })
  const done = await margay(slow, ['apply', '-f', '-'], policies(5, '{selector: all(), order: 7}'))
  assert.equal([done.code, done.err], [0, ''])
  assert.is(done.out, Array.from({ length: 5 }, (_, i) => `globalnetworkpolicy/p${i} updated\n`).join(''))
  assert.match((await store.get(key, never))?.value ?? '', /"order":7/)
})

test('a version that somebody names is held to, and hinders no other', async () => {
  const store = new MemoryStore()
  await margay(store.another(), ['apply', '-f', '-'], policies(3))
  const conditional = document('GlobalNetworkPolicy', 'p1', '{selector: all(), order: 1}', ', resourceVersion: "1"')
  const done = await margay(store.another(), ['apply', '-f', '-'], conditional + policies(1, '{selector: all(), order: 2}'))
  assert.equal([done.code, done.out], [3, 'globalnetworkpolicy/p0 updated\n'])
  assert.match(done.err, /GlobalNetworkPolicy "p1" was changed by somebody else: revision 1 was relied on/)
})

test('large documents share transactions as far as etcd takes them', async () => {
  const store = new MemoryStore()
  const sizes: number[] = []
  const counting = otherwise(store, {
    commit: (compares, writes, signal) => {
      sizes.push(writes.reduce((sum, write) => sum + ('put' in write ? write.value.length : 0), 0))
      return MemoryStore.prototype.commit.call(counting, compares, writes, signal)
    },
  })
  const nets = `{nets: [${Array.from({ length: 20_000 }, (_, i) => `10.${(i >> 8) & 255}.${i & 255}.0/24`).join(', ')}]}`
  const text = [1, 2, 3, 4, 5].map((i) => document('GlobalNetworkSet', `s${i}`, nets)).join('')
  assert.is((await margay(counting, ['apply', '-f', '-'], text)).code, 0)
  assert.ok(sizes.length > 1 && sizes.length < 5, String(sizes))
  assert.ok(Math.max(...sizes) < 1.5 * 2 ** 20, String(sizes))
})

test('an etcd that goes away in between: what was written before is told, and the reason once', async () => {
  const store = new MemoryStore()
  let commits = 0
  const failing = otherwise(store, {
    commit: (compares, writes, signal) => {
      if (++commits > 2) throw new StoreError('etcd did not answer', { isTransient: true })
      return MemoryStore.prototype.commit.call(failing, compares, writes, signal)
    },
  })
  const done = await margay(failing, ['apply', '-f', '-'], policies(300))
  assert.equal([done.code, done.out.trim().split('\n').length], [3, 128])
  assert.is(done.err, 'margay: standard input (line 641, column 1): etcd did not answer\n')
})

test('Ctrl-C lets the transaction end that is under way, and says how many were done', async () => {
  const store = new MemoryStore()
  const stop = new AbortController()
  let commits = 0
  const stopping = otherwise(store, {
    commit: (compares, writes, signal) => {
      if (++commits === 2) stop.abort(new Error('interrupted'))
      signal.throwIfAborted()
      return MemoryStore.prototype.commit.call(stopping, compares, writes, signal)
    },
  })
  const written = { out: '', err: '' }
  const code = await runCli(['apply', '-f', '-', '--wait'], {
    ...aContext({ store: stopping, stdin: policies(300), env }, written),
    signal: stop.signal,
  })
  assert.equal([code, written.err], [3, 'margay: interrupted: 128 of 300 were done\n'])
  assert.is(written.out, Array.from({ length: 128 }, (_, i) => `globalnetworkpolicy/p${i} created\n`).join(''))
})

test.run()
