import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listAll, put } from '../../test/support/store.ts'
import { ConflictError } from '../errors.ts'
import type { GlobalNetworkPolicy } from '../model/network-policy.ts'
import type { Profile } from '../model/profile.ts'
import { API_VERSION } from '../model/resource.ts'
import { MemoryStore } from './memory.ts'
import { applyResource, createResource, getResource, listResources, removeResource, updateResource } from './resource-store.ts'

const test = suite('store/policy-names')

const GNPS = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/'
const REF = { kind: 'GlobalNetworkPolicy', name: 'ssh' } as const
const never = new AbortController().signal

/** A policy as Calico before 3.32 stored it: under its tier's name, perhaps with a note of the name that it was given. */
function anOld(name: string | undefined, order: number): string {
  const annotations = name === undefined ? undefined : { 'projectcalico.org/metadata': JSON.stringify({ name }) }
  const metadata = {
    name: 'default.ssh',
    uid: '6a3e0a53-6b0d-4b1c-9a2c-8d7f6f0f7d11',
    creationTimestamp: '2026-08-02T09:15:04Z',
    annotations,
  }
  return JSON.stringify({
    kind: 'GlobalNetworkPolicy',
    apiVersion: API_VERSION,
    metadata,
    spec: { tier: 'default', order, fromTheFuture: 1 },
  })
}

function aPolicy(order: number, resourceVersion?: string, name = 'ssh'): GlobalNetworkPolicy {
  const metadata = { name, ...(resourceVersion === undefined ? {} : { resourceVersion }) }
  return { apiVersion: API_VERSION, kind: 'GlobalNetworkPolicy', metadata, spec: { order } }
}

async function keysOf(store: MemoryStore): Promise<string[]> {
  return (await listAll(store, GNPS)).map(({ key }) => key.slice(GNPS.length))
}

const stored: readonly (readonly [name: string, note: string | undefined])[] = [
  ['with a note of its name', 'ssh'],
  ['without a note', undefined],
]
for (const [name, note] of stored) {
  test(`a policy of the older form ${name} is found, listed once, and moved when it is applied`, async () => {
    const store = new MemoryStore()
    const revision = await put(store, `${GNPS}default.ssh`, anOld(note, 1))
    const found = await getResource(store, REF, never)
    assert.equal([found?.metadata.name, found?.spec.order, found?.metadata.resourceVersion], ['ssh', 1, String(revision)])
    const { resource, outcome } = await applyResource(store, aPolicy(2), never)
    assert.is(outcome, 'updated')
    assert.equal(await keysOf(store), ['ssh'])
    assert.is(resource.metadata.uid, '6a3e0a53-6b0d-4b1c-9a2c-8d7f6f0f7d11')
    const { spec, metadata } = JSON.parse((await store.get(`${GNPS}ssh`, never))?.value ?? '')
    assert.equal([spec.order, spec.fromTheFuture, metadata.name], [2, 1, 'ssh'])
    assert.equal(metadata.annotations, { 'projectcalico.org/metadata': '{"name":"ssh"}' })
    assert.equal(await getResource(store, REF, never), resource)
  })
}

test('an older form that is applied as it is moves too, once', async () => {
  const store = new MemoryStore()
  await put(store, `${GNPS}default.ssh`, anOld('ssh', 1))
  const outcomes = []
  for (let i = 0; i < 2; i++) outcomes.push((await applyResource(store, aPolicy(1), never)).outcome)
  assert.equal(outcomes, ['updated', 'unchanged'])
  assert.equal(await keysOf(store), ['ssh'])
})

test('an update of the older form needs its revision, and moves it', async () => {
  const store = new MemoryStore()
  const revision = await put(store, `${GNPS}default.ssh`, anOld('ssh', 1))
  const error = await updateResource(store, aPolicy(2, '1'), never).catch((reason: unknown) => reason)
  assert.instance(error, ConflictError)
  await updateResource(store, aPolicy(2, String(revision)), never)
  assert.equal(await keysOf(store), ['ssh'])
})

test('a policy of the older form exists already', async () => {
  const store = new MemoryStore()
  await put(store, `${GNPS}default.ssh`, anOld('ssh', 1))
  const error = await createResource(store, aPolicy(2), never).catch((reason: unknown) => reason)
  assert.match(String(error), 'GlobalNetworkPolicy "ssh" exists already')
})

test('of both forms the newer is shown, and deleting leaves none', async () => {
  const store = new MemoryStore()
  await createResource(store, aPolicy(5), never)
  await put(store, `${GNPS}default.ssh`, anOld('ssh', 1))
  const { resources } = await listResources(store, { kind: 'GlobalNetworkPolicy' }, never)
  assert.equal(
    resources.map(({ metadata, spec }) => [metadata.name, spec.order]),
    [['ssh', 5]],
  )
  assert.is((await removeResource(store, REF, never))?.spec.order, 5)
  assert.equal(await keysOf(store), [])
})

test('applying to both forms leaves one', async () => {
  const store = new MemoryStore()
  await createResource(store, aPolicy(5), never)
  await put(store, `${GNPS}default.ssh`, anOld('ssh', 1))
  await applyResource(store, aPolicy(5), never)
  assert.equal(await keysOf(store), ['ssh'])
})

test('deleting takes the older form', async () => {
  const store = new MemoryStore()
  await put(store, `${GNPS}default.ssh`, anOld(undefined, 1))
  await removeResource(store, REF, never)
  assert.equal(await keysOf(store), [])
})

test('a policy whose writer named it with its tier is another one', async () => {
  const store = new MemoryStore()
  await put(store, `${GNPS}default.ssh`, anOld('default.ssh', 1))
  assert.is(await getResource(store, REF, never), undefined)
  await createResource(store, aPolicy(2), never)
  const { resources } = await listResources(store, { kind: 'GlobalNetworkPolicy' }, never)
  assert.equal(
    resources.map(({ metadata }) => metadata.name),
    ['default.ssh', 'ssh'],
  )
  await removeResource(store, REF, never)
  assert.equal(await keysOf(store), ['default.ssh'])
})

test('an older form that does not parse is repaired and moved', async () => {
  const store = new MemoryStore()
  await put(store, `${GNPS}default.ssh`, '{"metadata":{"name":"default.ssh"},"spec":{"order":"x"}}')
  await applyResource(store, aPolicy(2), never)
  assert.equal(await keysOf(store), ['ssh'])
})

test('who moves it at the same time as somebody changes it loses nothing', async () => {
  const store = new MemoryStore()
  await put(store, `${GNPS}default.ssh`, anOld('ssh', 1))
  const rival = new Rival(store)
  await applyResource(rival, aPolicy(3), never)
  assert.equal(await keysOf(store), ['ssh'])
  assert.is(rival.isDone, true)
  assert.is((await getResource(store, REF, never))?.spec.order, 3)
})

test('the profile that allows all is shown, and nobody can write or delete it', async () => {
  const store = new MemoryStore()
  const ref = { kind: 'Profile', name: 'projectcalico-default-allow' } as const
  await put(store, '/calico/resources/v3/projectcalico.org/profiles/projectcalico-default-allow', '{"metadata":{"name":"x"},"spec":{}}')
  const shown = await getResource(store, ref, never)
  assert.equal([shown?.metadata, shown?.spec.egress], [{ name: ref.name, resourceVersion: '1' }, [{ action: 'Allow' }]])
  const { resources } = await listResources(store, { kind: 'Profile' }, never)
  assert.equal(
    resources.map(({ metadata }) => metadata.name),
    [ref.name],
  )
  for (const attempt of [
    applyResource(store, { ...aProfile(ref.name), metadata: { name: ref.name } }, never),
    applyResource(store, aProfile(ref.name), never),
    createResource(store, { ...aProfile(ref.name), metadata: { name: ref.name } }, never),
    updateResource(store, aProfile(ref.name), never),
    removeResource(store, ref, never),
  ]) {
    assert.match(String(await attempt.catch((reason: unknown) => reason)), /is built in and can't be (written|deleted)/)
  }
})

/** As `get` shows it, with its revision. */
function aProfile(name: string): Profile {
  return { apiVersion: API_VERSION, kind: 'Profile', metadata: { name, resourceVersion: '1' }, spec: {} }
}

/** Somebody else changes the older form between the first reading and writing. */
class Rival extends MemoryStore {
  readonly #store: MemoryStore
  isDone = false
  constructor(store: MemoryStore) {
    super()
    this.#store = store
  }
  override get(key: string, signal: AbortSignal) {
    return this.#store.get(key, signal)
  }
  override async commit(...args: Parameters<MemoryStore['commit']>) {
    if (!this.isDone) await put(this.#store, `${GNPS}default.ssh`, anOld('ssh', 2))
    this.isDone = true
    return await this.#store.commit(...args)
  }
}

test.run()
