import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FlowVerdict } from '../model/own/flows.ts'
import { Suppressed } from './suppressed.ts'

const test = suite('observe/suppressed')

const deny = (): FlowVerdict => 'deny'
const counted = (packets: number) => new Map([['a', packets]])

test('packets that were counted and never told of are suppressed, once an event had time to come', () => {
  const suppressed = new Suppressed()
  suppressed.tell('a', 'deny')
  assert.equal(suppressed.settle(counted(10), deny), [])
  assert.equal(suppressed.settle(new Map(), deny), [{ counter: 'a', verdict: 'deny', packets: 9 }])
  assert.equal(suppressed.settle(new Map(), deny), [])
})

test('events that come later than their count are not missed', () => {
  const suppressed = new Suppressed()
  suppressed.settle(counted(2), deny)
  suppressed.tell('a', 'deny')
  suppressed.tell('a', 'deny')
  assert.equal(suppressed.settle(new Map(), deny), [])
  assert.equal(suppressed.settle(new Map(), deny), [])
})

test('events that come sooner than their count are set against it', () => {
  const suppressed = new Suppressed()
  suppressed.tell('a', 'log')
  assert.equal(
    suppressed.settle(new Map(), () => undefined),
    [],
  )
  assert.equal(
    suppressed.settle(counted(3), () => undefined),
    [],
  )
  assert.equal(
    suppressed.settle(new Map(), () => undefined),
    [{ counter: 'a', verdict: 'log', packets: 2 }],
  )
})

test('a rule that tells nothing of itself is not asked for', () => {
  const suppressed = new Suppressed()
  assert.equal(
    suppressed.settle(counted(100), () => undefined),
    [],
  )
  assert.equal(
    suppressed.settle(new Map(), () => undefined),
    [],
  )
})

test.run()
