import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aTier } from '../../test/support/store.ts'
import { describeError } from '../errors.ts'
import { type LogFields, silentLogger } from '../log.ts'
import { BLOCKS_PREFIX, RESOURCES_PREFIX } from '../model/keys.ts'
import { readSavedView, writeSavedView } from './saved-view.ts'
import { MutableView } from './view.ts'

const test = suite('store/saved-view')
const dir = mkdtempSync(join(tmpdir(), `mgt-${process.pid}-saved-`))
const path = join(dir, 'view.jsonl')
const NOW = '2026-11-21T12:00:00Z'
const BLOCK =
  '{"cidr":"10.65.0.0/29","affinity":"host:h1","allocations":[0,null,null,null,null,null,null,null],"unallocated":[1,2,3,4,5,6,7],"attributes":[{"handle_id":"a","secondary":{}}],"sequenceNumber":1785662104123456791,"sequenceNumberForAllocation":{"0":1785662104123456789},"deleted":false}'

test.after(() => rmSync(dir, { recursive: true, force: true }))

test('what was saved is read again: values, revisions, the cluster and every digit', async () => {
  const view = aView()
  await writeSavedView(path, view, NOW)
  const saved = await readSavedView(path, silentLogger)
  assert.is(saved?.clusterGUID, '9f0c5f0f2d5e4b0f8d0a6a4a1f2b3c4d')
  assert.is(saved?.savedAt, NOW)
  assert.equal(saved?.view.entries(), view.entries())
  assert.equal(saved?.view.get('Tier'), view.get('Tier'))
  assert.is(saved?.view.get('IPAMBlock').get('10.65.0.0/29')?.sequenceNumber, 1785662104123456791n)
  assert.equal([saved?.view.revision, saved?.view.revisionAt(BLOCKS_PREFIX)], [12, 11])
})

test('of an endpoint not the text is saved but what it says, and what the store has is no news then', async () => {
  const view = aView()
  const key = `${RESOURCES_PREFIX}workloadendpoints/default/h1-margay-w1-eth0`
  // With a member that nobody knows, and members in another order than ours.
  const spec = '"spec":{"unknown":{"many":1785662104123456791},"node":"h1","orchestrator":"margay","workload":"w1","endpoint":"eth0"}'
  const metadata = '"metadata":{"name":"h1-margay-w1-eth0","namespace":"default","labels":{"role":"a<b"}}'
  const value = `{${spec},"kind":"WorkloadEndpoint",${metadata},"apiVersion":"projectcalico.org/v3"}`
  const entry = { key, value, modRevision: 13, lease: 0n }
  view.apply(key, entry)
  await writeSavedView(path, view, NOW)
  const saved = (await readSavedView(path, silentLogger))?.view
  assert.is(saved?.get('WorkloadEndpoint').size, 1)
  assert.equal(saved?.get('WorkloadEndpoint'), view.get('WorkloadEndpoint'))
  assert.equal(saved?.entries(), view.entries())
  for (const one of [view, saved]) {
    assert.is(one?.isNews(key, entry), false)
    assert.is(one?.isNews(key, { ...entry, value: value.replace('w1', 'w2') }), true)
    assert.is(one?.isNews(key, { ...entry, modRevision: 14 }), true)
  }
})

test('it is readable for root only, and nothing lies beside it', async () => {
  await writeSavedView(path, aView(), NOW)
  await writeSavedView(path, aView(), NOW)
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.equal(readdirSync(dir), ['view.jsonl'])
})

test('an object that does not parse is saved in its last good version', async () => {
  const view = aView()
  view.apply(`${RESOURCES_PREFIX}tiers/a`, { key: `${RESOURCES_PREFIX}tiers/a`, value: '{', modRevision: 13, lease: 0n })
  await writeSavedView(path, view, NOW)
  assert.is((await readSavedView(path, silentLogger))?.view.get('Tier').get('a')?.spec.order, 1)
})

test('what has no good version is saved too: it is still to be closed after a start without etcd', async () => {
  const view = aView()
  const key = `${RESOURCES_PREFIX}globalnetworkpolicies/p`
  view.apply(key, { key, value: '{"spec":{"order":"x","selector":"has(a)"}}', modRevision: 13, lease: 0n })
  await writeSavedView(path, view, NOW)
  const saved = await readSavedView(path, silentLogger)
  assert.equal(saved?.view.unreadable, view.unreadable)
  assert.is(saved?.view.unreadable.size, 1)
})

test('no file is undefined without a word', async () => {
  const warnings: string[] = []
  assert.is(await readSavedView(join(dir, 'none'), collecting(warnings)), undefined)
  assert.equal(warnings, [])
})

const damages = [
  { name: 'cut off in a line', damage: (text: string) => text.slice(0, text.length >> 1) },
  { name: 'cut off behind a line', damage: (text: string) => `${text.split('\n').slice(0, 3).join('\n')}\n` },
  {
    name: 'without a line of the middle',
    damage: (text: string) =>
      text
        .split('\n')
        .filter((_, i) => i !== 2)
        .join('\n'),
  },
  { name: 'with a digit changed', damage: (text: string) => text.replace('"order\\":1', '"order\\":2') },
  { name: 'empty', damage: () => '' },
  { name: 'of zeros, as after a power cut', damage: (text: string) => '\0'.repeat(text.length) },
]
for (const { name, damage } of damages) {
  test(`a file that is ${name} is not used, with a warning`, async () => {
    await writeSavedView(path, aView(), NOW)
    writeFileSync(path, damage(readFileSync(path, 'utf8')))
    const warnings: string[] = []
    assert.is(await readSavedView(path, collecting(warnings)), undefined)
    assert.equal(warnings, ['saved view was not usable'])
  })
}

test('a disk that takes nothing is an error that names the file', async () => {
  const nowhere = join(dir, 'missing', 'view.jsonl')
  const error = await writeSavedView(nowhere, aView(), NOW).catch((reason: unknown) => reason)
  assert.match(String(error), `cannot save the view to ${nowhere}`)
})

test('a full disk is an error, and the old file is still there', async () => {
  const small = join(dir, 'small')
  mkdirSync(small)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', `mgt-${process.pid}`, small])
  try {
    const file = join(small, 'view.jsonl')
    await writeSavedView(file, aView(), NOW)
    const before = readFileSync(file, 'utf8')
    const large = aView()
    for (let i = 0; i < 2000; i++) {
      const key = `${RESOURCES_PREFIX}tiers/t${i}`
      large.apply(key, { key, value: aTier(`t${i}`, i), modRevision: 20 + i, lease: 0n })
    }
    const error = await writeSavedView(file, large, NOW).catch((reason: unknown) => reason)
    assert.match(describeError(error), /cannot save the view to .*: ENOSPC/)
    assert.is(readFileSync(file, 'utf8'), before)
    assert.equal(readdirSync(small), ['view.jsonl'])
  } finally {
    execFileSync('umount', [small])
  }
})

function aView(): MutableView {
  const view = new MutableView()
  const put = (key: string, value: string, modRevision: number) => view.apply(key, { key, value, modRevision, lease: 0n })
  const info = {
    kind: 'ClusterInformation',
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: 'default' },
    spec: { clusterGUID: '9f0c5f0f2d5e4b0f8d0a6a4a1f2b3c4d' },
  }
  put(`${RESOURCES_PREFIX}clusterinformations/default`, JSON.stringify(info), 2)
  put(`${RESOURCES_PREFIX}tiers/a`, aTier('a', 1), 3)
  put(`${RESOURCES_PREFIX}tiers/b`, aTier('b', 2), 4)
  put(`${BLOCKS_PREFIX}ipv4/block/10.65.0.0-29`, BLOCK, 5)
  view.advance(RESOURCES_PREFIX, 12)
  view.advance(BLOCKS_PREFIX, 11)
  return view
}

function collecting(lines: string[]) {
  return { ...silentLogger, warn: (_fields: LogFields, message: string) => void lines.push(message) }
}

test.run()
