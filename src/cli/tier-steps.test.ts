import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { MemoryStore } from '../store/memory.ts'

const test = suite('cli/tier-steps')

const etcd = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

function shell() {
  const store = new MemoryStore()
  return (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env: etcd })
}

function aDocument(kind: string, name: string, spec = '{}'): string {
  return `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`
}

for (const kind of ['NetworkPolicy', 'GlobalNetworkPolicy', 'StagedNetworkPolicy', 'StagedGlobalNetworkPolicy']) {
  test(`a ${kind} needs its tier, which stays while it has one`, async () => {
    const margay = shell()
    const policy = aDocument(kind, 'p', '{tier: sec}')
    const early = await margay(['apply', '-f', '-'], policy)
    assert.is(early.code, 1)
    assert.match(early.err, /p: there is no tier "sec", create it first \(there are default, kube-admin, kube-baseline\)/)
    assert.is((await margay(['apply', '-f', '-'], aDocument('Tier', 'sec', '{order: 5}') + policy)).code, 0)
    const used = await margay(['delete', 'tier', 'sec'])
    assert.is(used.code, 1)
    assert.match(used.err, new RegExp(`the tier "sec" has policies, delete them first: ${kind.toLowerCase()}/(default/)?p\n`))
    assert.is((await margay(['delete', kind, 'p'])).code, 0)
    assert.equal(await margay(['delete', 'tier', 'sec']), { code: 0, out: 'tier/sec deleted\n', err: '' })
  })
}

test('a policy that goes to another tier needs that one', async () => {
  const margay = shell()
  assert.is((await margay(['apply', '-f', '-'], aDocument('GlobalNetworkPolicy', 'p', '{tier: kube-admin}'))).code, 0)
  const { code, err } = await margay(['replace', '-f', '-'], aDocument('GlobalNetworkPolicy', 'p', '{tier: gone}'))
  assert.is(code, 1)
  assert.match(err, 'there is no tier "gone"')
})

test('some of many policies are named', async () => {
  const margay = shell()
  const policies = Array.from({ length: 7 }, (_, index) => aDocument('NetworkPolicy', `p${index}`, '{tier: sec}')).join('')
  await margay(['apply', '-f', '-'], aDocument('Tier', 'sec') + policies)
  const { err } = await margay(['delete', 'tier', 'sec'])
  assert.match(
    err,
    'networkpolicy/default/p0, networkpolicy/default/p1, networkpolicy/default/p2, networkpolicy/default/p3, networkpolicy/default/p4 and 2 more',
  )
})

test.run()
