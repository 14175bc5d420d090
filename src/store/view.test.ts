import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aTier } from '../../test/support/store.ts'
import { RESOURCES_PREFIX, SERVICES_PREFIX } from '../model/keys.ts'
import type { ModelKind } from '../model/kinds.ts'
import { MutableView } from './view.ts'

const test = suite('store/view')

const GNPS = `${RESOURCES_PREFIX}globalnetworkpolicies/`
const TIER = `${RESOURCES_PREFIX}tiers/t`
let revision = 1

/** Writes a value to a key, or removes it; gives what changed as `<kind>/<id>`. */
function put(view: MutableView, key: string, value: string | undefined): string[] {
  const entry = value === undefined ? undefined : { key, value, modRevision: ++revision, lease: 0n }
  return view.apply(key, entry).map(({ kind, id }) => `${kind}/${id}`)
}

/** A policy with this order, stored under this name, with a note of the name that it was given. */
function aPolicy(stored: string, given: string | undefined, order: number | string): string {
  const annotations = given === undefined ? {} : { 'projectcalico.org/metadata': JSON.stringify({ name: given }) }
  return JSON.stringify({ metadata: { name: stored, annotations }, spec: { order, selector: 'has(a)' } })
}

function orders(view: MutableView): Record<string, number | undefined> {
  return Object.fromEntries([...view.get('GlobalNetworkPolicy')].map(([id, { spec }]) => [id, spec.order]))
}

test('a service stands under a key of ours, and counts for the revision of its own prefix', () => {
  const view = new MutableView()
  const text = '{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"ns"},"spec":{"selector":{"app":"web"}}}'
  assert.equal(put(view, `${SERVICES_PREFIX}ns/web`, text), ['Service/ns/web'])
  assert.equal(view.get('Service').get('ns/web')?.spec, { selector: { app: 'web' } })
  view.advance(SERVICES_PREFIX, 70)
  assert.equal([view.revisionOf('Service'), view.revisionOf('Tier')], [70, 0])
  assert.equal(put(view, `${SERVICES_PREFIX}ns/web`, undefined), ['Service/ns/web'])
  assert.is(view.get('Service').size, 0)
})

test('a policy under its older key is seen under its name', () => {
  const view = new MutableView()
  assert.equal(put(view, `${GNPS}default.ssh`, aPolicy('default.ssh', 'ssh', 1)), ['GlobalNetworkPolicy/ssh'])
  assert.equal(orders(view), { ssh: 1 })
  assert.equal(put(view, `${GNPS}default.ssh`, undefined), ['GlobalNetworkPolicy/ssh'])
  assert.equal(orders(view), {})
})

test('of two forms of one policy the newer holds, whichever comes first, and the older when that goes', () => {
  const [newer, older] = [`${GNPS}ssh`, `${GNPS}default.ssh`]
  for (const first of [newer, older]) {
    const view = new MutableView()
    const texts = { [newer]: aPolicy('ssh', 'ssh', 1), [older]: aPolicy('default.ssh', undefined, 2) }
    for (const key of [first, first === newer ? older : newer]) put(view, key, texts[key])
    assert.equal(orders(view), { ssh: 1 })
    put(view, newer, undefined)
    assert.equal(orders(view), { ssh: 2 })
    put(view, older, undefined)
    assert.equal(orders(view), {})
  }
})

test('a policy whose writer named it with its tier is another one', () => {
  const view = new MutableView()
  put(view, `${GNPS}ssh`, aPolicy('ssh', 'ssh', 1))
  put(view, `${GNPS}default.ssh`, aPolicy('default.ssh', 'default.ssh', 2))
  assert.equal(orders(view), { ssh: 1, 'default.ssh': 2 })
})

test('a policy that gets another name changes two', () => {
  const view = new MutableView()
  put(view, `${GNPS}default.ssh`, aPolicy('default.ssh', 'ssh', 1))
  assert.equal(put(view, `${GNPS}default.ssh`, aPolicy('default.ssh', 'default.ssh', 1)), [
    'GlobalNetworkPolicy/ssh',
    'GlobalNetworkPolicy/default.ssh',
  ])
  assert.equal(orders(view), { 'default.ssh': 1 })
})

test('the profile that allows all is always there, whatever stands in the store', () => {
  const view = new MutableView()
  const key = `${RESOURCES_PREFIX}profiles/projectcalico-default-allow`
  assert.equal(put(view, key, '{"metadata":{"name":"projectcalico-default-allow"},"spec":{}}'), [])
  assert.equal(put(view, key, undefined), [])
  assert.equal(view.get('Profile').get('projectcalico-default-allow')?.spec.ingress, [{ action: 'Allow' }])
  assert.equal(view.history(), [])
})

test('what does not parse keeps its last good version, and is no longer named when it parses again', () => {
  const view = new MutableView()
  put(view, TIER, aTier('t', 1))
  assert.equal(put(view, TIER, '{"metadata":{"name":"t"},"spec":{"order":"x"}}'), ['Tier/t'])
  assert.is(view.get('Tier').get('t')?.spec.order, 1)
  assert.is(view.broken.get('Tier/t')?.hasGoodVersion, true)
  assert.is(view.unreadable.size, 0)
  put(view, TIER, aTier('t', 2))
  assert.is(view.get('Tier').get('t')?.spec.order, 2)
  assert.is(view.broken.size, 0)
})

const unreadable: readonly (readonly [kind: ModelKind, key: string, value: string, isNamed: boolean])[] = [
  ['Tier', 'tiers/t', '{', true],
  ['GlobalNetworkPolicy', 'globalnetworkpolicies/p', '{', true],
  ['NetworkPolicy', 'networkpolicies/prod/p', '{"metadata":{"name":"p"},"spec":{"order":"x"}}', true],
  ['Profile', 'profiles/p', '{', true],
  ['HostEndpoint', 'hostendpoints/h', '{', true],
  ['StagedGlobalNetworkPolicy', 'stagedglobalnetworkpolicies/p', '{', false],
  ['Node', 'nodes/h1', '{', false],
]
for (const [kind, key, value, isNamed] of unreadable) {
  test(`a ${kind} without a good version ${isNamed ? 'must be closed' : 'closes nothing'}, until it is gone`, () => {
    const view = new MutableView()
    put(view, `${RESOURCES_PREFIX}${key}`, value)
    assert.is(view.broken.size, 1)
    assert.equal(
      [...view.unreadable.values()].map((one) => one.kind),
      isNamed ? [kind] : [],
    )
    put(view, `${RESOURCES_PREFIX}${key}`, undefined)
    assert.equal([view.broken.size, view.unreadable.size], [0, 0])
  })
}

test('its history gives the same view again: what is good, what is broken, and what must be closed', () => {
  const view = new MutableView()
  put(view, TIER, aTier('t', 1))
  put(view, TIER, '{')
  put(view, `${RESOURCES_PREFIX}tiers/u`, '{')
  put(view, `${GNPS}ssh`, aPolicy('ssh', 'ssh', 1))
  put(view, `${GNPS}default.ssh`, aPolicy('default.ssh', 'ssh', 2))
  const again = new MutableView()
  for (const entry of view.history()) again.apply(entry.key, entry)
  for (const kind of ['Tier', 'GlobalNetworkPolicy'] as const) assert.equal(again.get(kind), view.get(kind))
  assert.equal([again.broken, again.unreadable, again.history()], [view.broken, view.unreadable, view.history()])
})

test.run()
