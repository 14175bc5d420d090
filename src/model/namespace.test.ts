import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkNamespace, namespaceOf, namespaceProfile, withNamespaceLabels } from './namespace.ts'
import { prepareCreate } from './prepare.ts'
import type { Profile } from './profile.ts'

const test = suite('model/namespace')

test('a namespace is a profile that allows all and has three labels by which selectors name it', () => {
  assert.equal(namespaceProfile('prod'), {
    apiVersion: 'projectcalico.org/v3',
    kind: 'Profile',
    metadata: { name: 'kns.prod' },
    spec: {
      ingress: [{ action: 'Allow' }],
      egress: [{ action: 'Allow' }],
      labelsToApply: { 'pcns.name': 'prod', 'pcns.projectcalico.org/name': 'prod', 'pcns.kubernetes.io/metadata.name': 'prod' },
    },
  })
})

const labelled: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['none', {}],
  ['one of its own', { env: 'prod', 'example.org/team': 'a' }],
  ['another name than its own', { name: 'production' }],
  ['empty', { env: '' }],
]
for (const [name, labels] of labelled) {
  test(`labels come back as they were given: ${name}`, () => {
    const profile = prepareCreate(namespaceProfile('prod', labels), new Date('2026-11-21T10:11:12Z'), 'u')
    assert.equal(namespaceOf(profile), { name: 'prod', labels, creationTimestamp: '2026-11-21T10:11:12Z', resourceVersion: undefined })
  })
}

test('the labels that every namespace has are not taken from anybody', () => {
  const profile = namespaceProfile('prod', { 'kubernetes.io/metadata.name': 'dev' })
  assert.is(profile.spec.labelsToApply?.['pcns.kubernetes.io/metadata.name'], 'prod')
})

test('other labels leave rules and other inherited labels alone', () => {
  const made = namespaceProfile('prod', { env: 'prod', team: 'a' })
  const stored: Profile = { ...made, spec: { ...made.spec, ingress: [], labelsToApply: { ...made.spec.labelsToApply, region: 'eu' } } }
  const changed = withNamespaceLabels(stored, { team: 'b' })
  assert.equal(changed.spec.ingress, [])
  assert.equal(changed.spec.labelsToApply, {
    region: 'eu',
    'pcns.name': 'prod',
    'pcns.team': 'b',
    'pcns.projectcalico.org/name': 'prod',
    'pcns.kubernetes.io/metadata.name': 'prod',
  })
})

for (const name of ['web', 'ksa.prod.default', 'kns.', 'kns.a.b', 'projectcalico-default-allow']) {
  test(`the profile ${name} is no namespace`, () => {
    assert.is(namespaceOf({ ...namespaceProfile('x'), metadata: { name } }), undefined)
  })
}

const faults: readonly (readonly [name: string, labels: Readonly<Record<string, string>>, want: readonly string[]])[] = [
  ['prod', { env: 'a', name: 'other', 'kubernetes.io/metadata.name': 'prod' }, []],
  ['Prod', {}, ['metadata.name: "Prod" is not a namespace (lower-case letters, digits and inner "-", up to 63)']],
  ['a.b', {}, ['metadata.name: "a.b" is not a namespace (lower-case letters, digits and inner "-", up to 63)']],
  [
    'prod',
    { 'kubernetes.io/metadata.name': 'dev' },
    [`metadata.labels.kubernetes.io/metadata.name: "dev" is not the namespace's name: leave this label out, every namespace has it`],
  ],
  [
    'prod',
    { '-a': 'x', b: ' ' },
    [
      'metadata.labels.-a: "-a" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
      'metadata.labels.b: " " is not a label value (empty, or up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit)',
    ],
  ],
  [
    'prod',
    { ['a'.repeat(59)]: 'x' },
    [`metadata.labels.${'a'.repeat(59)}: is too long: endpoints inherit it as "pcns.${'a'.repeat(59)}", whose name may have 63 characters`],
  ],
]
for (const [name, labels, want] of faults) {
  test(`namespace ${name} with ${JSON.stringify(labels).slice(0, 40)}: ${want.length} faults`, () => {
    assert.equal(
      checkNamespace({ name, labels }).map(({ path, message }) => `${path}: ${message}`),
      want,
    )
  })
}

test.run()
