import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeEntry, decodeResource, encodeResource } from './codec.ts'
import type { AnyResource, ResourceKind } from './kinds.ts'
import { olderStorageName, storedPolicyName } from './policy-storage.ts'
import { prepareCreate, prepareUpdate } from './prepare.ts'

const test = suite('model/policy-storage')

const UID = '"uid":"u","creationTimestamp":"2026-08-02T09:15:04Z"'
const GNPS = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/'

/** A policy's text: its stored name, the rest of its metadata, and its spec. */
function aText(stored: string, more: string, spec = '{"tier":"default","types":["Ingress"]}'): string {
  return `{"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"${stored}",${UID}${more}},"spec":${spec}}`
}

function note(name: string): string {
  return `,"annotations":{"projectcalico.org/metadata":"{\\"name\\":\\"${name}\\"}"}`
}

const SECURITY = '{"tier":"security","types":["Ingress"]}'

const forms: readonly (readonly [name: string, text: string, want: string])[] = [
  ['as Calico 3.32 stores it', aText('ssh', note('ssh')), 'ssh'],
  ['as Calico 3.30 stores it, with a note', aText('default.ssh', note('ssh')), 'ssh'],
  ['as older Calico stores it, without a note', aText('default.ssh', ''), 'ssh'],
  ['and without a tier', aText('default.ssh', '', '{}'), 'ssh'],
  ['named with its tier by its writer', aText('default.ssh', note('default.ssh')), 'default.ssh'],
  ['without a note and prefix', aText('ssh', ''), 'ssh'],
  ['of another tier', aText('security.ssh', note('security.ssh'), SECURITY), 'security.ssh'],
  ['of another tier, without a note', aText('default.ssh', '', SECURITY), 'default.ssh'],
  ['of Kubernetes', aText('knp.default.web', ''), 'knp.default.web'],
  ['with a note that was copied from elsewhere', aText('ssh', note('web')), 'ssh'],
  ['with a copied note under the older form', aText('default.ssh', note('web')), 'ssh'],
  ['with a note that is no JSON', aText('default.ssh', ',"annotations":{"projectcalico.org/metadata":"{"}'), 'ssh'],
  ['with nothing behind the prefix', aText('default.', ''), 'default.'],
]
for (const [name, text, want] of forms) {
  test(`a policy ${name} is called ${want}`, () => {
    const { metadata } = decodeResource('GlobalNetworkPolicy', text, 1)
    assert.is(metadata.name, want)
    assert.is(metadata.annotations, undefined)
    assert.is(storedPolicyName(text), want)
  })
}

test('the id is made of the name, also under the older key', () => {
  const idOf = (key: string, text: string) => decodeEntry(`${GNPS}${key}`, text, 1)?.id
  assert.is(idOf('ssh', aText('ssh', note('ssh'))), 'ssh')
  assert.is(idOf('default.ssh', aText('default.ssh', note('ssh'))), 'ssh')
  assert.is(idOf('default.ssh', aText('default.ssh', note('default.ssh'))), 'default.ssh')
  const inNamespace = aText('default.ssh', '').replace('"name":', '"namespace":"prod","name":').replace('GlobalN', 'N')
  const key = '/calico/resources/v3/projectcalico.org/networkpolicies/prod/default.ssh'
  assert.is(decodeEntry(key, inNamespace, 1)?.id, 'prod/ssh')
})

for (const kind of ['GlobalNetworkPolicy', 'NetworkPolicy', 'StagedGlobalNetworkPolicy', 'StagedNetworkPolicy'] as const) {
  test(`a ${kind} is written with its tier as a label and a note of its name, and read without the note`, () => {
    const namespace = /Global/.test(kind) ? {} : { namespace: 'prod' }
    const given = aPolicy(kind, { name: 'ssh', ...namespace, labels: { a: '1' }, annotations: { b: '2' } })
    const stored = prepareCreate(given, new Date('2026-11-21T10:11:12Z'), 'u')
    assert.equal(stored.metadata.annotations, { b: '2' })
    assert.equal(stored.metadata.labels, { a: '1', 'projectcalico.org/tier': 'default' })
    const text = encodeResource(stored)
    assert.equal(JSON.parse(text).metadata, {
      name: 'ssh',
      ...namespace,
      uid: 'u',
      creationTimestamp: '2026-11-21T10:11:12Z',
      labels: { a: '1', 'projectcalico.org/tier': 'default' },
      annotations: { b: '2', 'projectcalico.org/metadata': '{"name":"ssh"}' },
    })
    const read = decodeResource(kind, text, 7)
    assert.equal(read.metadata, { ...stored.metadata, resourceVersion: '7' })
    assert.is(encodeResource(read as AnyResource), text)
  })
}

test('a note and a label that were copied from another policy are not taken over', () => {
  const copied = { 'projectcalico.org/metadata': '{"name":"other"}' }
  const given = aPolicy('GlobalNetworkPolicy', { name: 'ssh', labels: { 'projectcalico.org/tier': 'other' }, annotations: copied })
  const made = prepareCreate(given, new Date(), 'u')
  assert.is(made.metadata.annotations, undefined)
  assert.equal(made.metadata.labels, { 'projectcalico.org/tier': 'default' })
})

test('a policy that moves to another tier gets its label', () => {
  const stored = decodeResource('GlobalNetworkPolicy', aText('ssh', note('ssh')), 3)
  const given = aPolicy('GlobalNetworkPolicy', { name: 'ssh' })
  const updated = prepareUpdate(stored, { ...given, spec: { ...given.spec, tier: 'security' } } as typeof stored)
  assert.is(updated.metadata.labels?.['projectcalico.org/tier'], 'security')
})

const older: readonly (readonly [kind: string, name: string, want: string | undefined])[] = [
  ['GlobalNetworkPolicy', 'ssh', 'default.ssh'],
  ['StagedNetworkPolicy', 'ssh', 'default.ssh'],
  ['GlobalNetworkPolicy', 'default.ssh', undefined],
  ['NetworkPolicy', 'knp.default.web', undefined],
  ['NetworkPolicy', 'ossg.default.web', undefined],
  ['StagedKubernetesNetworkPolicy', 'web', undefined],
  ['Tier', 'ssh', undefined],
]
for (const [kind, name, want] of older) {
  test(`the older form of ${kind} ${name} is ${want}`, () => assert.is(olderStorageName(kind, name), want))
}

test('what can not be read has no name', () => {
  for (const text of ['', '{', '[]', '{"metadata":{"name":5}}', '{"spec":{}}']) assert.is(storedPolicyName(text), undefined)
})

function aPolicy(kind: ResourceKind, metadata: AnyResource['metadata']): AnyResource {
  return { apiVersion: 'projectcalico.org/v3', kind, metadata, spec: { selector: 'all()' } } as AnyResource
}

test.run()
