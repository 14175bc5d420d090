import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aTier, put } from '../../test/support/store.ts'
import { ConflictError } from '../errors.ts'
import { API_VERSION } from '../model/resource.ts'
import type { Tier } from '../model/tier.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { MemoryStore } from './memory.ts'
import { applyResource, createResource, getResource, listResources, removeResource, updateResource } from './resource-store.ts'

const test = suite('store/resource-store')
const KEY = '/calico/resources/v3/projectcalico.org/tiers/edge'
const never = new AbortController().signal

test('a created resource is stored with uid and time and without resourceVersion, and comes back with it', async () => {
  const store = new MemoryStore()
  const created = await createResource(store, tier(100), never)
  assert.is(created.metadata.resourceVersion, String(store.revision))
  assert.match(created.metadata.uid ?? '', /^[0-9a-f-]{36}$/)
  const text = (await store.get(KEY, never))?.value ?? ''
  assert.is(text.includes('resourceVersion'), false)
  assert.equal(await getResource(store, { kind: 'Tier', name: 'edge' }, never), created)
})

test('creating what exists is refused, with the one that exists', async () => {
  const store = new MemoryStore()
  const first = await createResource(store, tier(100), never)
  const error = await failure(createResource(store, tier(200), never))
  assert.is(error.message, 'Tier "edge" exists already')
  assert.instance(error, ConflictError)
  assert.equal(error instanceof ConflictError && [error.code, error.existing], ['exists', first])
})

test('an update keeps uid, time and the members that this version does not know', async () => {
  const store = new MemoryStore()
  const stored = JSON.parse(aTier('edge', 1))
  const revision = await put(store, KEY, JSON.stringify({ ...stored, spec: { ...stored.spec, fromTheFuture: { deep: [1] } } }))
  const updated = await updateResource(store, tier(2, String(revision)), never)
  assert.is(updated.metadata.uid, stored.metadata.uid)
  const { spec, metadata } = JSON.parse((await store.get(KEY, never))?.value ?? '')
  assert.equal([spec.order, spec.fromTheFuture, metadata.creationTimestamp], [2, { deep: [1] }, stored.metadata.creationTimestamp])
})

test('an update needs the revision that was read, and it must be the stored one', async () => {
  const store = new MemoryStore()
  assert.match(
    (await failure(updateResource(store, tier(1), never))).message,
    'an update of Tier "edge" needs the resourceVersion that was read',
  )
  assert.is((await failure(updateResource(store, tier(1, '7'), never))).message, 'Tier "edge" does not exist')
  const created = await createResource(store, tier(1), never)
  await put(store, KEY, aTier('edge', 2))
  const error = await failure(updateResource(store, { ...created, spec: { ...created.spec, order: 3 } }, never))
  assert.is(error.message, 'Tier "edge" was changed by somebody else: revision 2 was relied on, it is at revision 3 now')
})

test('applying creates, then updates, then changes nothing', async () => {
  const store = new MemoryStore()
  const outcomes = []
  for (const order of [1, 2, 2]) outcomes.push((await applyResource(store, tier(order), never)).outcome)
  assert.equal(outcomes, ['created', 'updated', 'unchanged'])
  assert.is(store.revision, 3)
})

test('applying tries again when somebody else was faster, five times', async () => {
  for (const { rivals, succeeds } of [
    { rivals: 4, succeeds: true },
    { rivals: 5, succeeds: false },
  ]) {
    const store = new Contended()
    await put(store, KEY, aTier('edge', 0))
    store.rivals = rivals
    const error = await applyResource(store, tier(99), never).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    assert.is(error === undefined, succeeds)
  }
})

test('applying repairs a resource that does not parse, and keeps its uid', async () => {
  const store = new MemoryStore()
  const stored = JSON.parse(aTier('edge', 1))
  await put(store, KEY, JSON.stringify({ ...stored, spec: { order: 'many' } }))
  const { resource, outcome } = await applyResource(store, tier(5), never)
  assert.equal([outcome, resource.spec.order, resource.metadata.uid], ['updated', 5, stored.metadata.uid])
})

test('removing gives what was removed, and refuses another revision', async () => {
  const store = new MemoryStore()
  const created = await createResource(store, tier(1), never)
  const ref = { kind: 'Tier', name: 'edge' } as const
  assert.is(
    (await failure(removeResource(store, { ...ref, revision: 1 }, never))).message,
    'Tier "edge" was changed by somebody else: revision 1 was relied on, it is at revision 2 now',
  )
  assert.equal(await removeResource(store, ref, never), created)
  assert.is((await failure(removeResource(store, ref, never))).message, 'Tier "edge" does not exist')
})

test('a listing names what does not parse and gives the rest; a namespace is not the beginning of another', async () => {
  const store = new MemoryStore()
  for (const namespace of ['prod', 'prod2']) await createResource(store, endpoint(namespace), never)
  await put(store, '/calico/resources/v3/projectcalico.org/workloadendpoints/prod/broken', '[]')
  const list = await listResources(store, { kind: 'WorkloadEndpoint', namespace: 'prod' }, never)
  assert.equal(
    list.resources.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    ['prod/h1-margay-web-eth0'],
  )
  assert.equal(
    list.broken.map(({ id }) => id),
    ['prod/broken'],
  )
  assert.is(list.revision, store.revision)
  assert.is((await listResources(store, { kind: 'WorkloadEndpoint' }, never)).resources.length, 2)
})

const names = [
  { ref: { kind: 'WorkloadEndpoint', name: 'a' }, message: 'WorkloadEndpoint "a" needs a namespace' },
  { ref: { kind: 'Tier', name: 'a', namespace: 'prod' }, message: 'Tier "a" has no namespace, "prod" was given' },
  { ref: { kind: 'Tier', name: 'a/b' }, message: 'not the name of a Tier: "a/b"' },
  { ref: { kind: 'WorkloadEndpoint', name: 'a', namespace: 'x/y' }, message: 'not the name of a WorkloadEndpoint: "x/y"' },
] as const
for (const { ref, message } of names) {
  test(`it is refused: ${message}`, async () => {
    assert.is((await failure(getResource(new MemoryStore(), ref, never))).message, message)
  })
}

function tier(order: number, resourceVersion?: string): Tier {
  const metadata = { name: 'edge', ...(resourceVersion === undefined ? {} : { resourceVersion }) }
  return { apiVersion: API_VERSION, kind: 'Tier', metadata, spec: { order, defaultAction: 'Deny' } }
}

function endpoint(namespace: string): WorkloadEndpoint {
  const spec = {
    orchestrator: 'margay',
    node: 'h1',
    workload: 'web',
    endpoint: 'eth0',
    interfaceName: 'mgy0123',
  }
  return { apiVersion: API_VERSION, kind: 'WorkloadEndpoint', metadata: { name: '', namespace }, spec }
}

/** Somebody else writes between each reading and writing, so many times. */
class Contended extends MemoryStore {
  rivals = 0
  override async get(key: string, signal: AbortSignal) {
    const entry = await super.get(key, signal)
    if (this.rivals-- > 0) await put(this, key, aTier('edge', this.rivals))
    return entry
  }
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  )
  return error instanceof Error ? error : new Error(String(error))
}

test.run()
