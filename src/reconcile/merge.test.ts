import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { randomOf } from '../../test/support/random-policies.ts'
import { keyOf, type NftChain, type NftObject, type TableName } from '../kernel/objects.ts'
import { Merger } from './merge.ts'

const test = suite('reconcile/merge')

const chain = (name: string, version = 0): NftChain => ({
  kind: 'chain',
  name,
  rules: Array.from({ length: version }, () => ({ matches: [], verdict: { do: 'accept' } })),
})
const dirtyOf = () => new Map<TableName, Set<string>>()

test('a patch makes dirty what it changes, and nothing else', () => {
  const merger = new Merger()
  merger.patch('a', 'policy', { put: [chain('x'), chain('y')], remove: [] }, dirtyOf())
  const dirty = dirtyOf()
  merger.patch('a', 'policy', { put: [chain('z')], remove: ['chain x', 'chain unknown'] }, dirty)
  assert.equal([...dirty], [['policy', new Set(['chain x', 'chain z'])]])
  assert.equal([...merger.tables.policy.keys()], ['chain y', 'chain z'])
  assert.equal(merger.partOf('a'), { policy: [chain('y'), chain('z')] })
})

test('what is told whole after patches takes the place of all of them', () => {
  const merger = new Merger()
  merger.patch('a', 'policy', { put: [chain('x'), chain('y')], remove: [] }, dirtyOf())
  const dirty = dirtyOf()
  merger.set('a', { policy: [chain('y', 1)] }, dirty)
  assert.equal([...(dirty.get('policy') ?? [])].sort(), ['chain x', 'chain y'])
  assert.equal([...merger.tables.policy.values()], [chain('y', 1)])
  merger.set('a', undefined, dirtyOf())
  assert.equal([merger.tables.policy.size, [...merger.groups()]], [0, []])
})

test('told whole, patched or both, in any order: what is wanted depends on the parts alone, and every difference is dirty', () => {
  const names = ['p', 'q', 'r', 's', 't']
  for (let seed = 1; seed <= 60; seed++) {
    const random = randomOf(seed)
    const merger = new Merger()
    const parts = new Map<string, Map<string, NftObject>>()
    for (let step = 0; step < 40; step++) {
      const group = ['a', 'b', 'c'][random(3)] ?? ''
      const before = new Map(merger.tables.policy)
      const dirty = dirtyOf()
      const chosen = names.filter(() => random(2) === 0).map((name) => chain(name, step))
      const part = parts.get(group) ?? new Map<string, NftObject>()
      if (random(3) === 0) {
        const isGone = random(3) === 0
        merger.set(group, isGone ? undefined : { policy: chosen }, dirty)
        parts.set(group, new Map(isGone ? [] : chosen.map((one) => [keyOf.policy(one), one])))
      } else {
        const remove = names.filter((name) => random(3) === 0 && chosen.every((one) => one.name !== name)).map((name) => `chain ${name}`)
        merger.patch(group, 'policy', { put: chosen, remove }, dirty)
        for (const key of remove) part.delete(key)
        for (const one of chosen) part.set(keyOf.policy(one), one)
        parts.set(group, part)
      }
      const wanted = new Map<string, NftObject>()
      for (const name of [...parts.keys()].sort().reverse()) for (const [key, value] of parts.get(name) ?? []) wanted.set(key, value)
      assert.equal(new Map([...merger.tables.policy].sort()), new Map([...wanted].sort()), `seed ${seed}, step ${step}`)
      for (const key of new Set([...before.keys(), ...wanted.keys()])) {
        if (before.get(key) !== wanted.get(key)) assert.ok(dirty.get('policy')?.has(key), `seed ${seed}, step ${step}: ${key}`)
      }
      const losers = names.flatMap((name) => [...parts].filter(([, one]) => one.has(`chain ${name}`)).slice(1))
      assert.is(merger.clashes().length, losers.length, `seed ${seed}, step ${step}`)
    }
  }
})

test.run()
