import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { resourceKey } from '../model/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Program } from './context.ts'

const test = suite('cli/write')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

/** Runs commands one after the other against one store, under either name. */
function shell() {
  const store = new MemoryStore()
  const as =
    (program: Program) =>
    (argv: readonly string[], stdin = '') =>
      run(argv, { store: store.another(), stdin, env, program })
  return { store, margay: as('margay'), calicoctl: as('calicoctl') }
}

function pool(name: string, cidr: string, more = ''): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: ${name}}\nspec: {cidr: ${cidr}${more}}\n---\n`
}

const POLICY = 'apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: np1}\nspec: {selector: all()}\n---\n'
const KUBE =
  'apiVersion: projectcalico.org/v3\nkind: KubeControllersConfiguration\nmetadata: {name: default}\nspec: {controllers: {node: {hostEndpoint: {autoCreate: Disabled}}}}\n---\n'

test('of fifty documents of which one fails, those that were written are said', async () => {
  const { margay, store } = shell()
  const text = Array.from({ length: 50 }, (_, i) => pool(`p${i}`, i === 30 ? '10.0.0.0/24' : `10.${i}.0.0/24`)).join('')
  const done = await margay(['apply', '-f', '-'], text)
  assert.is(done.code, 3)
  assert.equal(
    done.out.trim().split('\n'),
    Array.from({ length: 50 }, (_, i) => `ippool/p${i} created`).filter((_, i) => i !== 30),
  )
  assert.match(
    done.err,
    /^margay: standard input \(line 151, column 1\): spec.cidr: 10.0.0.0\/24 overlaps 10.0.0.0\/24 of the pool "p0"\n$/,
  )
  assert.is(await store.get(resourceKey('IPPool', 'p30'), never), undefined)
})

test('calicoctl says the same as one sentence, and names what was written where a part failed', async () => {
  const { calicoctl } = shell()
  const two = pool('p1', '10.1.0.0/16') + pool('p2', '10.2.0.0/16')
  assert.equal(await calicoctl(['create', '-f', '-'], pool('p1', '10.1.0.0/16')), {
    code: 0,
    out: "Successfully created 1 'IPPool' resource(s)\n",
    err: '',
  })
  const part = await calicoctl(['create', '-f', '-'], two)
  assert.equal([part.code, part.out], [1, "Partial success: created 1 out of 2 'IPPool' resources:\n  ippool/p2 created\n"])
  assert.match(part.err, /^Hit error\(s\): \[standard input \(line 1, column 1\): resource already exists: IPPool "p1" exists already\]\n$/)
  const none = await calicoctl(['create', '-f', '-'], two)
  assert.equal([none.code, none.out], [1, ''])
  assert.match(none.err, /^Failed to create any 'IPPool' resources: \[.*"p1" exists already, .*"p2" exists already\]\n$/)
  assert.match((await calicoctl(['create', '-f', '-'], pool('p1', '10.1.0.0/16'))).err, /^Failed to create 'IPPool' resource: \[/)
  assert.is((await calicoctl(['apply', '-f', '-'], two)).out, "Successfully applied 2 'IPPool' resource(s)\n")
  assert.is((await calicoctl(['apply', '-f', '-'], two + POLICY)).out, 'Successfully applied 3 resource(s)\n')
  assert.is((await calicoctl(['replace', '-f', '-'], two)).out, "Successfully replaced 2 'IPPool' resource(s)\n")
  assert.is((await calicoctl(['validate', '-f', '-'], two)).out, "Successfully validated 2 'IPPool' resource(s)\n")
  assert.is((await calicoctl(['delete', 'ippool', 'p1', 'p2'])).out, "Successfully deleted 2 'IPPool' resource(s)\n")
})

test('--skip-exists, --skip-not-exists and --skip-empty count what there is nothing to do for as done', async () => {
  const { margay, calicoctl } = shell()
  await margay(['create', '-f', '-'], pool('p1', '10.1.0.0/16'))
  const both = pool('p1', '10.1.0.0/16') + pool('p2', '10.2.0.0/16')
  assert.equal(await margay(['create', '-f', '-', '--skip-exists'], both), {
    code: 0,
    out: 'ippool/p1 exists already\nippool/p2 created\n',
    err: '',
  })
  assert.is((await calicoctl(['create', '-f', '-', '--skip-exists'], both)).out, "Successfully created 2 'IPPool' resource(s)\n")
  assert.equal(await margay(['delete', 'pool', 'p9', '-s']), { code: 0, out: 'ippool/p9 does not exist\n', err: '' })
  assert.is((await margay(['delete', 'pool', 'p9'])).code, 1)
  assert.equal(await margay(['apply', '-f', '-', '--skip-empty'], '---\n'), { code: 0, out: 'No resources specified\n', err: '' })
})

test('a dry run says what would be done, sees what it would have written, and writes nothing', async () => {
  const { margay, store } = shell()
  await margay(['apply', '-f', '-'], pool('p1', '10.1.0.0/16'))
  const revision = store.revision
  const text = pool('p1', '10.1.0.0/16', ', disabled: true') + pool('p2', '10.2.0.0/16') + pool('p3', '10.2.4.0/24')
  const done = await margay(['apply', '-f', '-', '--dry-run'], text)
  assert.equal([done.code, done.out], [3, 'ippool/p1 updated (dry run)\nippool/p2 created (dry run)\n'])
  assert.match(done.err, /spec.cidr: 10.2.4.0\/24 overlaps 10.2.0.0\/16 of the pool "p2"/)
  assert.is((await margay(['delete', 'pool', 'p1', '--dry-run'])).out, 'ippool/p1 deleted (dry run)\n')
  assert.is((await margay(['patch', 'pool', 'p1', '-p', '{spec: {disabled: true}}', '--dry-run'])).out, 'ippool/p1 patched (dry run)\n')
  assert.is((await margay(['label', 'pool', 'p1', 'a=b', '--dry-run'])).out, 'Successfully set label a on pool p1 (dry run)\n')
  assert.is(store.revision, revision)
})

test('validate needs no etcd, and names every fault', async () => {
  const good = await run(['validate', '-f', '-'], { stdin: pool('p1', '10.1.0.0/16') + POLICY })
  assert.equal(good, { code: 0, out: 'ippool/p1 is valid\nnetworkpolicy/default/np1 is valid\n', err: '' })
  const bad = await run(['validate', '-f', '-'], {
    stdin: pool('P_1', '10.1.0.1/16', ', blockSize: big') + POLICY.replace('all()', 'role = 1'),
  })
  assert.equal([bad.code, bad.out], [1, ''])
  for (const part of ['not valid, because of errors in documents', 'metadata.name', 'spec.cidr', 'spec.blockSize', 'spec.selector'])
    assert.ok(bad.err.includes(part), `${part} in ${bad.err}`)
})

test('a namespace on the command line fills in, and may not contradict', async () => {
  const { margay } = shell()
  assert.is((await margay(['apply', '-f', '-', '-n', 'shop'], POLICY)).out, 'networkpolicy/shop/np1 created\n')
  const other = await margay(['apply', '-f', '-', '-n', 'shop'], POLICY.replace('np1', 'np1, namespace: web'))
  assert.equal([other.code, other.out], [1, ''])
  assert.match(other.err, /NetworkPolicy np1: metadata.namespace is "web", -n says "shop": give one of them \(line 1, column 1\)/)
  assert.is((await margay(['delete', 'np', 'np1', '-n', 'shop'])).out, 'networkpolicy/shop/np1 deleted\n')
})

test('a URL is refused with what would do', async () => {
  const done = await shell().margay(['apply', '-f', 'https://example.org/a?b=1&c=2'])
  assert.equal(done, {
    code: 1,
    out: '',
    err: `margay: "https://example.org/a?b=1&c=2" is a URL, which is not fetched: look at it, then curl -fsSL 'https://example.org/a?b=1&c=2' | margay apply -f -\n`,
  })
  assert.match(
    (await shell().calicoctl(['create', '-f', 'http://example.org/a.yaml'])).err,
    /curl -fsSL http:\/\/example.org\/a.yaml \| calicoctl create -f -\n$/,
  )
})

test("Calico's tutorial for automatic host endpoints works as typed", async () => {
  const { calicoctl } = shell()
  await calicoctl(['create', '-f', '-'], KUBE)
  const patch = '--patch={"spec": {"controllers": {"node": {"hostEndpoint": {"autoCreate": "Enabled"}}}}}'
  const done = await calicoctl(['patch', 'kubecontrollersconfiguration', 'default', patch])
  assert.equal([done.code, done.out], [0, "Successfully patched 1 'KubeControllersConfiguration' resource\n"])
  assert.match((await calicoctl(['get', 'kubecontrollersconfig', 'default', '-o', 'yaml'])).out, /autoCreate: Enabled/)
})

test('patch keeps what it does not name, also what this version does not know', async () => {
  const { margay, store } = shell()
  const key = resourceKey('IPPool', 'p1')
  await margay(['apply', '-f', '-'], pool('p1', '10.1.0.0/16', ', natOutgoing: true'))
  const stored = JSON.parse((await store.get(key, never))?.value ?? '')
  await store.commit([], [{ put: key, value: JSON.stringify({ ...stored, spec: { ...stored.spec, fromLater: { a: [1] } } }) }], never)
  assert.is(
    (await margay(['patch', 'pool', 'p1', '-p', 'spec: {natOutgoing: false}\nmetadata: {labels: {a: b}}'])).out,
    'ippool/p1 patched\n',
  )
  const { metadata, spec } = JSON.parse((await store.get(key, never))?.value ?? '')
  assert.equal([metadata.labels, metadata.uid, spec.fromLater, spec.natOutgoing], [{ a: 'b' }, stored.metadata.uid, { a: [1] }, undefined])
  assert.is(
    (await margay(['patch', 'pool', 'p1', '-t', 'json', '-p', '[{"op": "add", "path": "/spec/disabled", "value": true}]'])).out,
    'ippool/p1 patched\n',
  )
  const object = await margay(['patch', 'pool', 'p1', '-t', 'json', '-p', '{"spec": {"disabled": true}}'])
  assert.equal([object.code, object.out], [0, 'ippool/p1 unchanged\n'])
  assert.match(object.err, /warning: the patch is an object and no list of operations, it is taken as a merge patch/)
})

const badPatches: readonly (readonly [args: readonly string[], code: number, err: RegExp])[] = [
  [['pool', 'p1'], 2, /give exactly one of --patch and --patch-file/],
  [['pool', 'p1', '-p', '{'], 1, /the patch is not JSON or YAML/],
  [['pool', 'p1', '--patch-file', '/nowhere/p.json'], 1, /the patch "\/nowhere\/p.json" does not exist/],
  [['pool', 'p1', '-p', '[]'], 1, /a strategic patch is an object/],
  [['pool', 'p9', '-p', '{}'], 1, /there is no ippool\/p9/],
  [
    ['pool', 'p1', '-p', '{"spec": {"cdir": "x"}}'],
    1,
    /ippool\/p1 can't be changed so: spec.cdir: unknown field: did you mean "spec.cidr"\?/,
  ],
  [['pool', 'p1', '-p', '{"spec": {"cidr": "10.1.0.1/16"}}'], 1, /spec.cidr: .*has host bits set/],
  [['pool', 'p1', '-p', '{"spec": {"cidr": "10.2.0.0/16"}}'], 1, /can't change from 10.1.0.0\/16 to 10.2.0.0\/16/],
  [['pool', 'p1', '-p', '{"metadata": {"name": "p2"}}'], 1, /metadata.name can't be changed from "p1" to "p2"/],
  [['pool', 'p1', '-p', '{"kind": "Node"}'], 1, /kind can't be changed/],
  [['pool', 'p1', '-p', '{"metadata": {"resourceVersion": "1"}}'], 1, /was changed by somebody else: revision 1 was relied on/],
  [['pool', 'p1', '-p', '{}', '-t', 'jsno'], 2, /argument 'jsno' is invalid. Allowed choices are strategic, merge, json/],
]
for (const [args, code, err] of badPatches) {
  test(`"margay patch ${args.join(' ')}" is refused`, async () => {
    const { margay, store } = shell()
    await margay(['apply', '-f', '-'], pool('p1', '10.1.0.0/16'))
    const revision = store.revision
    const done = await margay(['patch', ...args])
    assert.match(done.err, err)
    assert.equal([done.code, done.out, store.revision], [code, '', revision])
  })
}

test('label sets, overwrites when told so, and removes', async () => {
  const { margay, store } = shell()
  await margay(['apply', '-f', '-'], pool('p1', '10.1.0.0/16'))
  const labels = async () => JSON.parse((await store.get(resourceKey('IPPool', 'p1'), never))?.value ?? '').metadata.labels
  assert.is(
    (await margay(['label', 'ippools', 'p1', 'a=1', 'b=2'])).out,
    'Successfully set label a on ippools p1\nSuccessfully set label b on ippools p1\n',
  )
  assert.equal(await labels(), { a: '1', b: '2' })
})

const labelCases: readonly (readonly [
  args: readonly string[],
  code: number,
  said: RegExp,
  labels: Readonly<Record<string, string>> | undefined,
])[] = [
  [['a=2'], 1, /label of ippool\/p1, key a is already present with the value "1", --overwrite changes it/, { a: '1' }],
  [['a=2', '--overwrite'], 0, /^Successfully updated label a on pool p1\n$/, { a: '2' }],
  [['a=1'], 0, /^Successfully updated label a on pool p1\n$/, { a: '1' }],
  [['a', '--remove'], 0, /^Successfully removed label a from pool p1\n$/, undefined],
  [['a-', 'c=3'], 0, /^Successfully removed label a from pool p1\nSuccessfully set label c on pool p1\n$/, { c: '3' }],
  [['b', '--remove'], 1, /cannot remove label of ippool\/p1, key b does not exist/, { a: '1' }],
  [['b'], 2, /"b" is not a label, give KEY=VALUE, or KEY with --remove/, { a: '1' }],
  [['b=1', '--remove'], 2, /--remove takes keys, "b=1" has a value/, { a: '1' }],
  [['b=1', '--remove', '--overwrite'], 2, /give one of --overwrite and --remove/, { a: '1' }],
  [['-x=1'], 2, /unknown option '-x=1'/, { a: '1' }],
  [['b=not valid'], 1, /metadata.labels.b: "not valid" is not a label value/, { a: '1' }],
]
for (const [args, code, said, labels] of labelCases) {
  test(`"margay label pool p1 ${args.join(' ')}" ends with ${code}`, async () => {
    const { margay, store } = shell()
    await margay(['apply', '-f', '-'], pool('p1', '10.1.0.0/16').replace('name: p1', 'name: p1, labels: {a: "1"}'))
    const done = await margay(['label', 'pool', 'p1', ...args])
    assert.match(done.out + done.err, said)
    const stored = JSON.parse((await store.get(resourceKey('IPPool', 'p1'), never))?.value ?? '')
    assert.equal([done.code, stored.metadata.labels], [code, labels])
  })
}

test.run()
