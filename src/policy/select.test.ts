import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy, aPolicy, aProfile, aTier } from '../../test/support/policies.ts'
import type { Labelled } from './labelled.ts'
import { selects } from './members.ts'
import { type Policy, type PolicyResource, readPolicy } from './policies.ts'
import { PolicySelection } from './select.ts'
import { orderPolicies, type TierPolicies } from './tiers.ts'

const test = suite('policy/select')

function flush(selection: PolicySelection): ReadonlySet<string> {
  for (const _ of selection.flush()) {
    // Tests have all the time there is.
  }
  return selection.takeChanges()
}

function read(resource: PolicyResource): Policy {
  const policy = readPolicy(resource)
  if (policy === undefined) throw new Error(`${resource.metadata.name} says nothing`)
  return policy
}

function put(selection: PolicySelection, ...resources: readonly PolicyResource[]): void {
  for (const resource of resources) {
    const policy = read(resource)
    selection.setPolicy(policy.key, policy)
  }
}

const endpoint = (labels: Readonly<Record<string, string>>, ...profiles: readonly string[]): Labelled => ({
  labels,
  profiles,
  addresses: [],
  ports: [],
})
const show = (tiers: readonly TierPolicies[]) => tiers.map(({ name, policies }) => `${name}: ${policies.map((one) => one.name).join(' ')}`)

function scene(): PolicySelection {
  const selection = new PolicySelection()
  selection.setTier('default', aTier('default', { order: 10 }))
  selection.setTier('first', aTier('first', { order: 1 }))
  put(
    selection,
    aGlobalPolicy('web', { selector: 'role == "web"', order: 2 }),
    aGlobalPolicy('all', { order: 1 }),
    aGlobalPolicy('guard', { tier: 'first', selector: 'role == "web"' }),
    aPolicy('red/own', { selector: 'all()' }),
  )
  selection.setEndpoint('w', endpoint({ role: 'web', 'projectcalico.org/namespace': 'red' }))
  selection.setEndpoint('d', endpoint({ role: 'db', 'projectcalico.org/namespace': 'blue' }))
  flush(selection)
  return selection
}

test('each endpoint has the policies that select it, tier by tier', () => {
  const selection = scene()
  assert.equal(show(selection.policiesOf('w')), ['first: guard', 'default: all web own'])
  assert.equal(show(selection.policiesOf('d')), ['default: all'])
  assert.is(selection.policiesOf('w'), selection.policiesOf('w'))
})

const changes: readonly { name: string; change: (selection: PolicySelection) => void; touched: readonly string[]; w: readonly string[] }[] =
  [
    { name: 'nothing', change: () => {}, touched: [], w: ['first: guard', 'default: all web own'] },
    {
      name: 'an endpoint that loses a label',
      change: (selection) => selection.setEndpoint('w', endpoint({ 'projectcalico.org/namespace': 'red' })),
      touched: ['w'],
      w: ['default: all own'],
    },
    { name: 'an endpoint that goes', change: (selection) => selection.setEndpoint('w', undefined), touched: ['w'], w: [] },
    {
      name: 'a policy that comes',
      change: (selection) => put(selection, aGlobalPolicy('new', { selector: 'role == "web"', order: 0 })),
      touched: ['w'],
      w: ['first: guard', 'default: new all web own'],
    },
    {
      name: 'a policy that goes',
      change: (selection) => selection.setPolicy('web//GlobalNetworkPolicy', undefined),
      touched: ['w'],
      w: ['first: guard', 'default: all own'],
    },
    {
      name: 'a policy that selects others',
      change: (selection) => put(selection, aGlobalPolicy('web', { selector: 'role == "db"' })),
      touched: ['d', 'w'],
      w: ['first: guard', 'default: all own'],
    },
    {
      name: 'a policy with another order',
      change: (selection) => put(selection, aGlobalPolicy('web', { selector: 'role == "web"', order: 0 })),
      touched: ['w'],
      w: ['first: guard', 'default: web all own'],
    },
    {
      name: 'a tier that goes',
      change: (selection) => selection.setTier('first', undefined),
      touched: ['w'],
      w: ['default: all web own', 'first: guard'],
    },
    {
      name: 'a profile that gives a label',
      change: (selection) => {
        selection.setEndpoint('d', endpoint({}, 'p'))
        selection.setProfile('p', aProfile('p', { labelsToApply: { role: 'web' } }).spec.labelsToApply)
      },
      touched: ['d'],
      w: ['first: guard', 'default: all web own'],
    },
    {
      name: 'a policy that nobody here is selected by',
      change: (selection) => put(selection, aGlobalPolicy('other', { selector: 'role == "x"' })),
      touched: [],
      w: ['first: guard', 'default: all web own'],
    },
  ]

for (const { name, change, touched, w } of changes) {
  test(`${name}: the endpoints that it touches are named, and no others`, () => {
    const selection = scene()
    change(selection)
    assert.equal([...flush(selection)].sort(), touched)
    assert.equal(show(selection.policiesOf('w')), w)
  })
}

test('after any changes each endpoint has what a search gives', () => {
  const roles = ['a', 'b', 'c']
  for (let seed = 1; seed <= 20; seed++) {
    const pick = (i: number, below: number) => (seed * 7919 + i * 104_729 + ((i * i) >> 3)) % below
    const selection = new PolicySelection()
    const [policies, endpoints] = [new Map<string, Policy>(), new Map<string, Labelled>()]
    for (let i = 0; i < 200; i++) {
      if (pick(i, 2) === 0) {
        const spec = {
          selector: `role ${pick(i + 1, 3) === 0 ? '!=' : '=='} "${roles[pick(i + 2, 3)]}"`,
          order: pick(i + 3, 4),
          tier: `t${pick(i + 4, 2)}`,
        }
        const policy = read(aGlobalPolicy(`p${pick(i + 5, 10)}`, spec))
        const isGone = pick(i + 6, 4) === 0
        if (isGone) policies.delete(policy.key)
        else policies.set(policy.key, policy)
        selection.setPolicy(policy.key, isGone ? undefined : policy)
      } else {
        const [id, given] = [`e${pick(i + 1, 8)}`, pick(i + 2, 5) === 0 ? undefined : endpoint({ role: roles[pick(i + 3, 3)] ?? '' })]
        if (given) endpoints.set(id, given)
        else endpoints.delete(id)
        selection.setEndpoint(id, given)
      }
      if (pick(i + 7, 3) > 0) continue
      flush(selection)
      for (const [id, given] of endpoints) {
        const want = orderPolicies(
          [...policies.values()].filter((one) => selects(one.selector, given, new Map())),
          new Map(),
        )
        assert.equal(selection.policiesOf(id), want, `seed ${seed}, step ${i}, ${id}`)
      }
    }
  }
})

test.run()
