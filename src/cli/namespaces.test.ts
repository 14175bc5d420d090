import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { put } from '../../test/support/store.ts'
import { resourceKey } from '../model/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { getResource } from '../store/resource-store.ts'

const test = suite('cli/namespaces')

const ENV = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
const never = new AbortController().signal
const PROFILE = { kind: 'Profile', name: 'kns.shop' } as const

/** A store with the namespace shop, and what a line of commands writes on it. */
async function aShop() {
  const store = new MemoryStore()
  const margay = (line: string, stdin?: string) => run(line.split(' '), { store: store.another(), env: ENV, stdin: stdin ?? '' })
  assert.equal(await margay('create namespace shop --label stage=test --label team=a'), {
    code: 0,
    out: 'namespace/shop created\n',
    err: '',
  })
  return { store, margay }
}

test('a namespace that is created is a profile with its labels', async () => {
  const { store } = await aShop()
  const profile = await getResource(store, PROFILE, never)
  assert.equal(profile?.spec.labelsToApply, {
    'pcns.kubernetes.io/metadata.name': 'shop',
    'pcns.name': 'shop',
    'pcns.projectcalico.org/name': 'shop',
    'pcns.stage': 'test',
    'pcns.team': 'a',
  })
  assert.equal(profile?.spec.ingress, [{ action: 'Allow' }])
})

test('namespaces are shown by all their words, and other profiles are none', async () => {
  const { store, margay } = await aShop()
  await put(store, resourceKey('Profile', 'web'), '{"metadata":{"name":"web"},"spec":{}}')
  await margay('create ns dev')
  const table = 'NAME   LABELS\ndev\nshop   stage=test,team=a\n'
  for (const word of ['namespace', 'namespaces', 'ns', 'Namespace']) assert.is((await margay(`get ${word}`)).out, table)
  assert.is((await margay('get ns shop')).out, 'NAME   LABELS\nshop   stage=test,team=a\n')
  assert.is((await margay('get ns -o name')).out, 'namespace/dev\nnamespace/shop\n')
  assert.is((await margay('get ns -o custom-columns=name')).out, 'name\ndev\nshop\n')
  assert.is((await margay(`get ns -l stage=='test' -o name`)).out, 'namespace/shop\n')
  assert.match((await margay('get ns -o wide')).out, /^NAME {3}LABELS {14}CREATED\ndev {24}\d{4}-\d\d-\d\dT[\d:]+Z\nshop/)
})

test('a namespace that is shown can be applied elsewhere', async () => {
  const { margay } = await aShop()
  const { out } = await margay('get ns shop -o yaml --export')
  assert.is(out, 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    stage: test\n    team: a\n')
  const other = new MemoryStore()
  assert.is((await run(['apply', '-f', '-'], { store: other.another(), env: ENV, stdin: out })).code, 0)
  const list = JSON.parse((await run(['get', 'ns', '-o', 'json'], { store: other.another(), env: ENV })).out)
  assert.equal([list.kind, list.items[0].metadata.labels], ['NamespaceList', { stage: 'test', team: 'a' }])
})

test('its labels are set, changed and removed', async () => {
  const { margay } = await aShop()
  assert.is((await margay('label ns shop region=eu')).out, 'Successfully set label region on ns shop\n')
  assert.match(
    (await margay('label ns shop stage=live')).err,
    /label of namespace\/shop, key stage is already present with the value "test"/,
  )
  assert.is((await margay('label namespace shop stage=live --overwrite')).code, 0)
  assert.is((await margay('label namespace shop team-')).out, 'Successfully removed label team from namespace shop\n')
  assert.is((await margay('get ns shop')).out, 'NAME   LABELS\nshop   region=eu,stage=live\n')
})

const refused: readonly (readonly [line: string, code: number, err: RegExp])[] = [
  ['create namespace', 2, /give the name of the namespace, as in "margay create namespace NAME"/],
  ['create namespace Shop', 2, /"Shop" is not a name/],
  ['create namespace a.b', 1, /namespace "a.b": metadata.name: "a.b" is not a namespace/],
  ['create namespace shop', 1, /there is a namespace shop already/],
  ['create namespace dev --label a', 2, /--label "a" is not a label, give key=value/],
  ['create namespace dev --label -a=b', 1, /metadata.labels.-a: "-a" is not a label name/],
  ['create pool p', 2, /only a namespace is created by name, give -f with the IPPool/],
  ['get ns dev', 1, /there is no namespace dev/],
  ['get ns -n shop', 2, /a namespace is in no namespace, leave -n and -A away/],
  ['get ns -o custom-columns=IP', 2, /"IP" is not a column, namespaces have NAME, LABELS, CREATED/],
  ['get ns -l stage=test', 2, /--selector "stage=test" is not a selector/],
  ['label ns dev a=b', 1, /there is no profile\/kns.dev/],
  ['label ns shop kubernetes.io/metadata.name=x', 1, /namespace\/shop can't be changed so: metadata.labels.kubernetes.io\/metadata.name/],
  ['delete ns dev', 1, /there is no namespace dev/],
]
for (const [line, code, err] of refused) {
  test(`"margay ${line}" is refused`, async () => {
    const { margay } = await aShop()
    const done = await margay(line)
    assert.match(done.err, err)
    assert.equal([done.code, done.out], [code, ''])
  })
}

test('the namespace that is always there stays', async () => {
  const { margay } = await aShop()
  await margay('create ns default')
  assert.match((await margay('delete ns default')).err, /the namespace "default" is always there, it can't be deleted/)
  assert.is((await margay('get ns default -o name')).out, 'namespace/default\n')
})

test('a namespace that exists may be passed over', async () => {
  const { margay } = await aShop()
  assert.equal(await margay('create namespace shop --skip-exists'), { code: 0, out: 'namespace/shop exists\n', err: '' })
})

test('a namespace that is in use is not deleted, whatever it is called', async () => {
  const { store, margay } = await aShop()
  await put(store, resourceKey('WorkloadEndpoint', 'h1-margay-web-eth0', 'shop'), '{')
  await put(store, resourceKey('NetworkPolicy', 'deny', 'shop'), '{"metadata":{"name":"deny","namespace":"shop"},"spec":{}}')
  await put(store, resourceKey('NetworkSet', 'ext', 'shopping'), '{"metadata":{"name":"ext","namespace":"shopping"},"spec":{}}')
  for (const line of ['delete ns shop', 'delete profile kns.shop']) {
    const { code, err } = await margay(line)
    assert.is(code, 1)
    assert.match(
      err,
      /the namespace "shop" is not empty, delete first what is in it: workloadendpoint\/shop\/h1-margay-web-eth0, networkpolicy\/shop\/deny\n/,
    )
  }
  await margay('delete wep -n shop h1-margay-web-eth0')
  await margay('delete np -n shop deny')
  assert.equal(await margay('delete ns shop'), { code: 0, out: 'namespace/shop deleted\n', err: '' })
  assert.is(await getResource(store, PROFILE, never), undefined)
})

test.run()
