import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { missingFrom, SharedSet } from './shared-set.ts'

const test = suite('net/shared-set')

const members = fc.array(fc.nat(1500), { maxLength: 700 })

test('after any changes it has what a plain set has, and what it was made of stays as it was', () => {
  fc.assert(
    fc.property(members, fc.array(members, { maxLength: 6 }), (first, steps) => {
      let shared = new SharedSet(new Set(first))
      let plain = new Set(first)
      for (const step of steps) {
        const next = new Set(plain)
        for (const member of step) if (!next.delete(member)) next.add(member)
        const changed = shared.change(step, (member) => next.has(member))
        for (const [a, b] of [
          [shared, changed],
          [changed, shared],
        ] as const) {
          assert.equal(missingFrom(a, b).sort(), missingFrom(new Set(a), new Set(b)).sort())
          assert.equal(missingFrom(a, new Set(b)).sort(), missingFrom(a, b).sort())
        }
        assert.equal(new Set(shared), plain)
        assert.equal(new Set(changed), next)
        assert.is(changed.size, next.size)
        assert.equal([...changed.entries()].length, next.size)
        shared = changed
        plain = next
      }
    }),
    { numRuns: 60 },
  )
})

test('no more are looked for than are asked for', () => {
  assert.equal(missingFrom(new Set([1]), new Set([1, 2, 3]), 1), [2])
  assert.equal(missingFrom(new Set<number>(), new Set([1]), 0), [])
})

test.run()
