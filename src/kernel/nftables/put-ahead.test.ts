import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withTable } from '../../../test/support/nft-table.ts'
import { keyOf, type NftChain, type NftObject, type NftSet } from '../objects.ts'
import { cutPuts } from './put-ahead.ts'
import { referencesOf } from './references.ts'
import type { Known, SetStep } from './state.ts'

const test = suite('kernel/nftables/put-ahead')

const nothing = (): Known => ({
  ...{ generation: 1, exists: true, isDormant: false },
  ...{ chains: new Map(), sets: new Map(), counters: new Set() },
})
const byKey = (objects: readonly NftObject[]) => new Map(objects.map((object) => [keyOf.policy(object), object]))
const addresses = (count: number, first = 0) =>
  Array.from({ length: count }, (_, i) => `10.${(first + i) >> 16}.${((first + i) >> 8) & 255}.${(first + i) & 255}`)
const aSet = (name: string, elements: readonly string[]): NftSet => ({
  ...{ kind: 'set', name, family: 4, isInterval: false },
  elements: new Set(elements),
})
const hash = { family: 4, isInterval: false } as const
const aChain = (name: string, to: readonly string[], more: Partial<NftChain> = {}): NftChain => ({
  ...{ kind: 'chain', name },
  rules: to.map((one) =>
    one.startsWith('s')
      ? { matches: [{ on: 'saddr', set: one, family: 4 }], verdict: { do: 'drop' } }
      : { matches: [], verdict: { do: 'jump', chain: one } },
  ),
  ...more,
})
const hook = { type: 'filter', hook: 'input', priority: 0 } as const

/** The parts as the kernel would have them, one after another. */
function cut(wanted: ReadonlyMap<string, NftObject>, known = nothing()) {
  return [...cutPuts(wanted, known)].map((part) => {
    for (const object of part.values()) {
      if (object.kind === 'set') known.sets.set(object.name, { type: hash, elements: object.elements })
      else if (object.kind === 'chain') known.chains.set(object.name, { hook: object.hook, isAccepting: true, rules: [] })
      else known.counters.add(object.name)
    }
    return part
  })
}

test('what is small is one part, as it is', () => {
  const wanted = byKey([aChain('base', ['a'], { hook }), aChain('a', [])])
  assert.equal(cut(wanted), [wanted])
})

test('a new set of intervals comes ahead of what is in force and refers to it', () => {
  const base = aChain('base', ['a'], { hook })
  const [chain, set] = [aChain('a', ['s0']), { ...aSet('s0', ['10.0.0.0/8']), isInterval: true }]
  const parts = cut(byKey([base, chain, set]))
  assert.equal(
    parts.map((part) => [...part.keys()]),
    [['set s0', 'chain a'], ['chain base']],
  )
})

test('what nothing refers to comes in pieces, each after what it refers to, and base chains last', () => {
  const chains = Array.from({ length: 900 }, (_, i) => aChain(`c${i}`, i === 0 ? ['s0'] : [`c${i - 1}`]))
  const wanted = byKey([aChain('base', ['c899'], { hook }), ...chains.toReversed(), aSet('s0', addresses(10_000))])
  const parts = cut(wanted)
  const there = new Set<string>()
  for (const part of parts) {
    for (const object of part.values()) for (const key of referencesOf(object)) assert.ok(there.has(key) || part.has(key), key)
    for (const key of part.keys()) there.add(key)
    const rules = [...part.values()].reduce((sum, object) => sum + (object.kind === 'chain' ? object.rules.length : 0), 0)
    assert.ok(rules <= 400, `${rules} rules in one part`)
  }
  assert.equal([...there].sort(), [...wanted.keys()].sort())
  assert.equal([...(parts.at(-1)?.keys() ?? [])], ['chain base'])
  const steps = parts.flatMap((part) => (part.get('set s0') as SetStep | undefined) ?? [])
  assert.equal(
    steps.flatMap(({ fresh }) => fresh),
    addresses(10_000),
  )
})

test('a set grows and shrinks by so many at once where nothing else is in force', () => {
  const known = nothing()
  known.sets.set('s0', { type: hash, elements: new Set(addresses(10_000)) })
  const parts = cut(byKey([aSet('s0', addresses(10_000, 5000))]), known).map((part) => part.get('set s0') as SetStep)
  assert.ok(parts.every(({ fresh, gone }) => fresh.length + gone.length <= 4096))
  assert.equal(
    parts.flatMap(({ fresh }) => fresh),
    addresses(5000, 10_000),
  )
  assert.equal(
    parts.flatMap(({ gone }) => gone),
    addresses(5000),
  )
})

test('with a rule that is in force everything that is in force changes at once', () => {
  const known = nothing()
  known.sets.set('s0', { type: hash, elements: new Set(addresses(10_000)) })
  known.chains.set('c', { hook: undefined, isAccepting: true, rules: [] })
  const wanted = byKey([aSet('s0', addresses(10_000, 5000)), aSet('s1', addresses(5000)), aChain('c', ['s0'])])
  const parts = cut(wanted, known)
  assert.equal([...(parts.at(-1)?.keys() ?? [])].sort(), ['chain c', 'set s0'])
  assert.ok(parts.slice(0, -1).every((part) => part.size === 1 && part.has('set s1')))
})

test('the kernel has in the end what was wanted, in sets of either kind that come, grow and shrink', async () => {
  await withTable(async (table) => {
    const { signal } = new AbortController()
    const prefixes = (first: number) => addresses(6000, first).map((ip) => `${ip}/32`)
    for (const first of [0, 3000]) {
      const wanted = byKey([
        aChain('base', ['c'], { hook }),
        aChain('c', ['s0']),
        aSet('s0', addresses(10_000, first)),
        { ...aSet('n0', prefixes(first)), isInterval: true },
      ])
      assert.equal([...(await table.commit({ put: wanted, remove: new Map() }, signal))], [])
      const listed = await table.list(signal)
      for (const [key, object] of wanted) assert.ok(table.matches(object, listed.get(key) as NftObject), `${key} from ${first}`)
    }
  })
})

test.run()
