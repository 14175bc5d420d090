import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FlowLine, SuppressedEvent } from '../model/own/flows.ts'
import { FlowLog } from './flow-log.ts'

const test = suite('observe/flow-log')

function line(packets: number): SuppressedEvent {
  return {
    type: 'suppressed',
    time: '2026-01-02T03:04:05Z',
    verdict: 'deny',
    direction: 'ingress',
    decider: { by: 'end', action: 'Deny' },
    packets,
  }
}

const numbers = (lines: readonly FlowLine[]) =>
  lines.map((one) => (one.type === 'suppressed' ? one.packets : `lost ${one.type === 'lost' ? one.events : ''}`))

test('the latest events are kept, oldest first, and not more than 2,000', () => {
  const log = new FlowLog()
  for (let i = 0; i < 5000; i++) log.add(line(i))
  const kept = numbers(log.recent())
  assert.equal([kept.length, kept[0], kept.at(-1)], [2000, 3000, 4999])
})

test('who follows gets each new event, and none from before', async () => {
  const [log, ends] = [new FlowLog(), new AbortController()]
  log.add(line(1))
  const seen: FlowLine[] = []
  const following = (async () => {
    for await (const one of log.follow(ends.signal)) {
      seen.push(one)
      if (seen.length === 2) ends.abort()
    }
  })()
  await Promise.resolve()
  log.add(line(2))
  log.add(line(3))
  await following
  assert.equal(numbers(seen), [2, 3])
})

test('who reads too slowly loses events, is told how many, and holds up nobody', async () => {
  const [log, ends] = [new FlowLog(), new AbortController()]
  const reader = log.follow(ends.signal)
  const first = reader.next()
  for (let i = 0; i < 2005; i++) log.add(line(i))
  assert.equal(numbers([(await first).value]), [0])
  const rest: FlowLine[] = []
  while (rest.length < 2000) rest.push((await reader.next()).value)
  assert.equal(numbers(rest.slice(-2)), [1999, 'lost 5'])
  assert.is(log.lost, 5)
  ends.abort()
  assert.is((await reader.next()).done, true)
})

test('what the kernel lost is counted', () => {
  const log = new FlowLog()
  log.add({ type: 'lost', time: '2026-01-02T03:04:05Z', where: 'kernel' })
  assert.is(log.lost, 1)
})

test.run()
