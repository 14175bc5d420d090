import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never, refusal } from '../../test/support/daemon.ts'
import { aNode, someFacts } from '../../test/support/planning.ts'
import { putPool } from '../ipam/fixtures.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import type { Node } from '../model/node.ts'
import { Follower } from '../store/follower.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource, removeResource } from '../store/resource-store.ts'
import type { Facts } from './facts.ts'
import { Recorder } from './record.ts'
import { replay } from './replay.ts'

const test = suite('daemon/replay')

async function* linesOf(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines
}

async function replayed(lines: readonly string[]) {
  const told: string[] = []
  const report = await replay(linesOf(lines), (text) => told.push(text))
  return { report, told }
}

/** A store with a pool and a follower of it, and what a recorder makes of each step. */
async function recording(steps: readonly ((store: MemoryStore) => Promise<unknown>)[], facts: Facts = someFacts()) {
  const [store, recorder, stop] = [new MemoryStore(), new Recorder(), new AbortController()]
  const follower = new Follower(store, { log: silentLogger })
  const run = follower.run(stop.signal)
  await putPool(store, 'v4', '10.65.0.0/16', { vxlanMode: 'Always' })
  const host = { planFacts: () => facts }
  const take = async () => {
    await follower.hasNews(never)
    return follower.take()
  }
  await take()
  const ends = new AbortController()
  const lines: string[] = []
  const recorded = recorder.record(follower.view, host, 60, ends.signal)
  lines.push((await recorded.next()).value ?? '', (await recorded.next()).value ?? '')
  for (const step of steps) {
    await step(store)
    recorder.note(follower.view, await take(), host)
    lines.push((await recorded.next()).value ?? '')
  }
  ends.abort()
  await recorded.next()
  stop.abort()
  await run
  return lines
}

function putting(node: Node) {
  return (store: MemoryStore) => applyResource(store, node, never)
}

const peers = [
  putting(aNode('h1', { v4: '192.0.2.1/24', tunnel4: '10.65.1.0' })),
  putting(aNode('h2', { v4: '192.0.2.2/24', tunnel4: '10.65.2.0' })),
  (store: MemoryStore) => createIpam({ store, node: 'h2', log: silentLogger }).autoAssign({ handleId: 'w', attributes: {} }, never),
]

test('a recording tells what each step changes, and is the same planned by changes and anew', async () => {
  const lines = await recording([...peers, (store) => removeResource(store, { kind: 'Node', name: 'h2' }, never)])
  const { report, told } = await replayed(lines)
  assert.is(report.differences, 0)
  assert.is(report.steps, 5)
  assert.match(told[2] ?? '', /^step 3 {2}\S+ {2}revision \d+ {2}1 changes\n/)
  assert.match(told[2] ?? '', /\n {2}\+ fdb margay\.vxlan 66:[0-9a-f:]+\n/)
  assert.match(told.slice(3).join(''), /\n {2}\+ routes 254 10\.65\.\d+\.\d+\/26 0\n/)
  assert.match(told.slice(4).join(''), /\n {2}- fdb margay\.vxlan/)
  assert.match(told.at(-1) ?? '', /^5 steps, \d+ objects wanted, 0 differences from a fresh plan\nsha256 [0-9a-f]{64}\n$/)
})

test('the same recording gives the same sum, another one another', async () => {
  const lines = await recording(peers.slice(0, 2))
  const [once, twice, less] = [await replayed(lines), await replayed(lines), await replayed(lines.slice(0, -1))]
  assert.is(once.report.sha256, twice.report.sha256)
  assert.is.not(once.report.sha256, less.report.sha256)
})

test('facts stand in a recording where they are other than before', async () => {
  const lines = await recording(peers.slice(0, 2))
  assert.equal(
    lines.map((line) => 'facts' in JSON.parse(line)),
    [false, true, false, false],
  )
})

const damaged = [
  { name: 'an empty file', damage: () => [], want: 'the recording is empty' },
  {
    name: 'another file',
    damage: () => ['{"a":1}'],
    want: /^line 1 of the recording can't be used: it is not \{"format":"margay recording 1"\}/,
  },
  { name: 'a line that is cut off', damage: (lines: string[]) => [...lines.slice(0, 2), '{"at":"20'], want: /^line 3 of .*JSON/ },
  {
    name: 'a step without entries',
    damage: (lines: string[]) => [...lines, '{"at":"x","revisions":[]}'],
    want: /^line 5 .*entries are not/,
  },
  {
    name: 'facts of something else',
    damage: (lines: string[]) => [...lines, '{"at":"x","revisions":[],"entries":[],"facts":{}}'],
    want: /^line 5 of the recording can't be used: facts are not those of a host$/,
  },
]
for (const { name, damage, want } of damaged) {
  test(`${name} is refused with the line`, async () => {
    const lines = damage(await recording(peers.slice(0, 2)))
    assert.match(await refusal(replay(linesOf(lines), () => {})), want)
  })
}

test.run()
