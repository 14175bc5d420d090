import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EntityScope, entitySelector, type PolicyScope, policySelector } from './scoped-selector.ts'
import { formatSelector } from './selector.ts'

const test = suite('model/scoped-selector')

const policies: readonly (readonly [name: string, scope: PolicyScope, namespace: string | undefined, want: string])[] = [
  ['nothing said is everything', {}, undefined, 'all()'],
  ['an empty selector is everything', { selector: '' }, undefined, 'all()'],
  ['a global policy selects by its selector', { selector: "a == 'b'" }, undefined, 'a == "b"'],
  [
    'a policy of a namespace is for that namespace',
    { selector: "a == 'b'" },
    'prod',
    '(a == "b" && projectcalico.org/namespace == "prod")',
  ],
  ['and without a selector for all of it', {}, 'prod', 'projectcalico.org/namespace == "prod"'],
  [
    'an alternative stays together',
    { selector: 'has(a) || has(b)' },
    'prod',
    '((has(a) || has(b)) && projectcalico.org/namespace == "prod")',
  ],
  [
    'labels of namespaces are prefixed',
    { namespaceSelector: "env in {'x', 'y'} && !has(z)" },
    undefined,
    '(pcns.env in {"x", "y"} && !has(pcns.z))',
  ],
  ['all namespaces are whatever is in one', { namespaceSelector: 'all()' }, undefined, 'has(projectcalico.org/namespace)'],
  [
    'with a selector of namespaces all() means: in a namespace',
    { selector: 'all()', namespaceSelector: "env != 'x'" },
    undefined,
    '(has(projectcalico.org/namespace) && pcns.env != "x")',
  ],
  ['labels of service accounts are prefixed', { serviceAccountSelector: "role == 'x'" }, undefined, 'pcsa.role == "x"'],
  ['all service accounts are whatever has one', { serviceAccountSelector: 'all()' }, undefined, 'has(projectcalico.org/serviceaccount)'],
  [
    'all three hold together',
    { selector: 'has(a)', namespaceSelector: 'has(n)', serviceAccountSelector: 'has(s)' },
    undefined,
    '((has(a) && has(pcns.n)) && has(pcsa.s))',
  ],
  [
    'service accounts within a namespace',
    { selector: 'has(a)', serviceAccountSelector: 'all()' },
    'prod',
    '((has(a) && projectcalico.org/namespace == "prod") && all())',
  ],
]
for (const [name, scope, namespace, want] of policies) {
  test(`policy: ${name}`, () => assert.is(formatSelector(policySelector(scope, namespace)), want))
}

const entities: readonly (readonly [name: string, entity: EntityScope, namespace: string | undefined, want: string | undefined])[] = [
  ['nothing said selects by no label', {}, undefined, undefined],
  ['also in a namespace', {}, 'prod', undefined],
  ['empty is as absent', { selector: '', notSelector: '', namespaceSelector: '' }, 'prod', undefined],
  ['a global rule selects everywhere', { selector: 'has(a)' }, undefined, 'has(a)'],
  ['a rule of a namespace selects there', { selector: 'has(a)' }, 'prod', '(projectcalico.org/namespace == "prod" && has(a))'],
  ['what is not selected is looked for there, too', { notSelector: 'has(a)' }, 'prod', 'projectcalico.org/namespace == "prod"'],
  ['but not by a global rule', { notSelector: 'has(a)' }, undefined, undefined],
  [
    'a selector of namespaces takes the place of the own one',
    { selector: 'has(a)', namespaceSelector: 'has(n)' },
    'prod',
    '(has(pcns.n) && has(a))',
  ],
  ['all namespaces', { namespaceSelector: 'all()' }, 'prod', 'has(projectcalico.org/namespace)'],
  ['no namespace', { namespaceSelector: 'global()', selector: 'has(a)' }, 'prod', '(!has(projectcalico.org/namespace) && has(a))'],
  [
    'all() of the selector itself stays',
    { namespaceSelector: 'all()', selector: 'all()' },
    undefined,
    '(has(projectcalico.org/namespace) && all())',
  ],
  ['service accounts by name', { serviceAccounts: { names: ['b', 'a'] } }, undefined, 'projectcalico.org/serviceaccount in {"a", "b"}'],
  [
    'service accounts by name and labels, and endpoints',
    { serviceAccounts: { names: ['a'], selector: 'has(s)' }, selector: 'has(e)' },
    'prod',
    '(projectcalico.org/namespace == "prod" && ((has(pcsa.s) && projectcalico.org/serviceaccount in {"a"}) && has(e)))',
  ],
  ['no names are no demand', { serviceAccounts: { names: [] } }, 'prod', undefined],
]
for (const [name, entity, namespace, want] of entities) {
  test(`rule: ${name}`, () => {
    const selector = entitySelector(entity, namespace)
    assert.is(selector && formatSelector(selector), want)
  })
}

test('what does not parse is an error that shows it', () => {
  assert.throws(() => policySelector({ namespaceSelector: 'has (a)' }, undefined), /not a selector: "has \(a\)"/)
  assert.throws(() => entitySelector({ serviceAccounts: { selector: '(' } }, undefined), /not a selector: "\("/)
})

test.run()
