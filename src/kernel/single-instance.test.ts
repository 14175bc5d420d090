import { execFileSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { claimInstance } from './single-instance.ts'

const test = suite('kernel/single-instance')
const name = `mgt-${process.pid}-daemon`

test('the second in a network namespace is refused with the first one named, until that ends', () => {
  const first = claimInstance(name)
  assert.throws(() => claimInstance(name), `${name} runs already in this network namespace: process ${process.pid} (`)
  first.release()
  claimInstance(name).release()
})

test('another network namespace is another host', () => {
  const netns = `mgt-${process.pid}-single`
  execFileSync('ip', ['netns', 'add', netns])
  const first = claimInstance(name)
  try {
    const second = claimInstance(name, `/run/netns/${netns}`)
    assert.throws(() => claimInstance(name, `/run/netns/${netns}`), 'runs already')
    second.release()
  } finally {
    first.release()
    execFileSync('ip', ['netns', 'delete', netns])
  }
})

test.run()
