import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aContext, run, type World } from '../../test/support/cli.ts'
import { type Config, DEFAULT_CONFIG_FILE } from '../config.ts'
import { resourceKey } from '../model/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { CALICOCTL_CONFIG, parseCalicoConfig } from './calico-access.ts'
import { programOf } from './calicoctl.ts'
import { runCli } from './program.ts'

const test = suite('cli/calicoctl')

const never = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

test('a link of the name of calicoctl makes us that, and only that', () => {
  const names = ['/usr/bin/calicoctl', 'calicoctl', '/opt/calicoctl.js', '/usr/bin/margay', '/opt/my-calicoctl/margay.js', undefined]
  assert.equal(names.map(programOf), ['calicoctl', 'calicoctl', 'calicoctl', 'margay', 'margay', 'margay'])
})

/** The etcd that `calicoctl get nodes` would open, with what the files of its secrets hold. */
async function etcdOf(env: Readonly<Record<string, string>>, args: readonly string[] = [], program: World['program'] = 'calicoctl') {
  const written = { out: '', err: '' }
  let seen: (Config['etcd'] & { readonly texts: Readonly<Record<string, string>> }) | undefined
  const openStore = async ({ etcd }: Config) => {
    const files = { ca: etcd.caFile, cert: etcd.certFile, key: etcd.keyFile, password: etcd.passwordFile }
    const own = Object.entries(files).filter(([, file]) => file.includes('margay-'))
    seen = { ...etcd, texts: Object.fromEntries(own.map(([name, file]) => [name, readFileSync(file, 'utf8')])) }
    return new MemoryStore()
  }
  const code = await runCli(['get', 'nodes', ...args], { ...aContext({ env, program }, written), openStore })
  return { code, etcd: seen, ...written }
}

const TLS = { ETCD_CA_CERT_FILE: '/pki/ca.pem', ETCD_CERT_FILE: '/pki/c.pem', ETCD_KEY_FILE: '/pki/k.pem' }
const access: readonly (readonly [name: string, env: Readonly<Record<string, string>>, want: Partial<Config['etcd']>])[] = [
  [
    'endpoints',
    { ETCD_ENDPOINTS: 'http://192.0.2.1:2379,http://[2001:db8::1]:2379' },
    { endpoints: ['http://192.0.2.1:2379', 'http://[2001:db8::1]:2379'] },
  ],
  [
    "the long form of a variable's name wins",
    { ETCD_ENDPOINTS: 'http://192.0.2.1:2379', CALICO_ETCD_ENDPOINTS: 'http://192.0.2.2:2379', DATASTORE_TYPE: 'etcdv3' },
    { endpoints: ['http://192.0.2.2:2379'] },
  ],
  ['files', { ETCD_ENDPOINTS: 'https://192.0.2.1:2379', ...TLS }, { caFile: '/pki/ca.pem', certFile: '/pki/c.pem', keyFile: '/pki/k.pem' }],
  ['files that a plain connection has no use for', { ETCD_ENDPOINTS: 'http://192.0.2.1:2379', ...TLS }, { caFile: '', certFile: '' }],
  ['no scheme, with files', { ETCD_ENDPOINTS: '192.0.2.1:2379', ...TLS }, { endpoints: ['https://192.0.2.1:2379'] }],
  ['no scheme, without', { ETCD_ENDPOINTS: '192.0.2.1:2379/' }, { endpoints: ['http://192.0.2.1:2379'] }],
  [
    'our own variables where there are none of Calico',
    { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.9:2379' },
    { endpoints: ['http://192.0.2.9:2379'] },
  ],
]
for (const [name, env, want] of access) {
  test(`the environment gives ${name}`, async () => {
    const done = await etcdOf(env)
    assert.equal([done.code, done.err], [0, ''])
    for (const [key, value] of Object.entries(want)) assert.equal(done.etcd?.[key as keyof Config['etcd']], value, key)
  })
}

test('user and password come from the environment, and the password is in a private file for the time of the command', async () => {
  const done = await etcdOf({ ETCD_ENDPOINTS: 'https://192.0.2.1:2379', ETCD_USERNAME: 'calico', ETCD_PASSWORD: 'secret' })
  assert.equal([done.code, done.etcd?.username, done.etcd?.texts], [0, 'calico', { password: 'secret' }])
  assert.throws(() => readFileSync(done.etcd?.passwordFile ?? ''), /ENOENT/)
})

const CONFIG = `apiVersion: projectcalico.org/v3
kind: CalicoAPIConfig
metadata:
spec:
  datastoreType: etcdv3
  etcdEndpoints: https://192.0.2.1:2379
  etcdKey: |
    KEY
  etcdCert: "CERT"
  etcdCACertFile: ca.pem
`

test('a CalicoAPIConfig is read under either name, with what stands in it itself', async () => {
  const file = join(folder, 'calicoctl.cfg')
  writeFileSync(file, CONFIG)
  for (const program of ['calicoctl', 'margay'] as const) {
    const done = await etcdOf({ ETCD_ENDPOINTS: 'http://192.0.2.7:2379' }, ['-c', file], program)
    assert.equal([done.code, done.err], [0, ''])
    assert.equal(done.etcd?.endpoints, ['https://192.0.2.1:2379'])
    assert.equal(done.etcd?.texts, { cert: 'CERT', key: 'KEY\n' })
    assert.is(done.etcd?.caFile, join(process.cwd(), 'ca.pem'))
  }
  writeFileSync(
    file,
    JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind: 'CalicoAPIConfig', spec: { etcdEndpoints: 'http://192.0.2.3:2379' } }),
  )
  assert.equal((await etcdOf({}, ['--config', file])).etcd?.endpoints, ['http://192.0.2.3:2379'])
})

const wrongConfigs: readonly (readonly [text: string, err: RegExp])[] = [
  ['spec: {', /^c is not YAML: /],
  [
    'apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec: {etcdEndpoint: x, datastoreType: 7}',
    /c is not a CalicoAPIConfig: spec.datastoreType: must be a string, not 7.*unknown field "spec.etcdEndpoint"/,
  ],
  ['apiVersion: v1\nkind: CalicoAPIConfig\nspec: {}', /apiVersion: "v1" is not one of projectcalico.org\/v3/],
  [
    'apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec: {datastoreType: kubernetes}',
    /c has the datastore type "kubernetes", only etcdv3 can be used here/,
  ],
  [
    'apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec: {etcdDiscoverySrv: x.example}',
    /c has etcdDiscoverySrv "x.example", give etcdEndpoints instead/,
  ],
]
for (const [text, err] of wrongConfigs) {
  test(`${JSON.stringify(text.slice(0, 90))} is refused`, () => {
    assert.throws(
      () => parseCalicoConfig('c', text),
      (error: Error) => err.test(error.message),
    )
  })
}

const refused: readonly (readonly [argv: readonly string[], err: RegExp])[] = [
  [['get', 'nodes', '-c', '/nowhere/c.cfg'], /\/nowhere\/c.cfg: the file cannot be read/],
  [['get', 'nodse'], /"nodse" is not a kind: did you mean "node"\?/],
  [['gte', 'nodes'], /unknown command 'gte'\n\(Did you mean get\?\)/],
  [['apply', '--filname=x'], /unknown option '--filname=x'/],
  [['workload', 'list'], /unknown command 'workload'/],
  [['-l', 'loud', 'get', 'nodes'], /"loud" is not a log level, give one of panic, fatal, error, warn/],
  [['convert', '-f', 'x'], /resources of the v1 API are not converted here/],
  [['node', 'run'], /margayd is the node here/],
  [['cluster', 'diags'], /collects from Kubernetes/],
  [['node', 'diags'], /there is no bundle of everything/],
]
for (const [argv, err] of refused) {
  test(`"calicoctl ${argv.join(' ')}" ends with 1`, async () => {
    const done = await run(argv, { program: 'calicoctl', store: new MemoryStore() })
    assert.match(done.err, err)
    assert.equal([done.code, done.out], [1, ''])
  })
}

const hasConfig = existsSync(CALICOCTL_CONFIG) || existsSync(DEFAULT_CONFIG_FILE)
test(`without any configuration calicoctl says what to give${hasConfig ? ' (not here: there is one)' : ''}`, async () => {
  if (hasConfig) return
  const done = await run(['get', 'nodes'], { program: 'calicoctl', store: new MemoryStore() })
  const said = `no etcd is given: set ETCD_ENDPOINTS, or write ${CALICOCTL_CONFIG} or ${DEFAULT_CONFIG_FILE}\n`
  assert.equal(done, { code: 1, out: '', err: said })
})

test("calicoctl's flags for every command stand anywhere, and -l is the log level", async () => {
  const env = { ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
  for (const argv of [
    ['--allow-version-mismatch', 'get', 'nodes'],
    ['-l', 'debug', 'get', 'nodes', '--context', 'x'],
    ['get', '--log-level=info', 'nodes', '--allow-version-mismatch'],
  ]) {
    const done = await run(argv, { program: 'calicoctl', store: new MemoryStore(), env })
    assert.equal(done, { code: 0, out: 'NAME   \n\n', err: '' })
  }
})

test('help speaks of calicoctl, and -a is -A', async () => {
  const env = { ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
  const help = await run(['get', '--help'], { program: 'calicoctl' })
  assert.match(help.out, /Examples:\n {2}calicoctl get nodes\n/)
  assert.not.match(help.out, /margay get|-l, --selector/)
  const all = await run(['get', 'wep', '-a'], { program: 'calicoctl', store: new MemoryStore(), env })
  assert.match(all.out, /^NAMESPACE {3}WORKLOAD/)
})

test('version says what etcd says of the cluster', async () => {
  const env = { ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
  const store = new MemoryStore()
  const show = async (args: readonly string[] = []) => run(['version', ...args], { program: 'calicoctl', store: store.another(), env })
  assert.is((await show()).out, 'Client Version:    1.2.3 (margay)\nCluster Version:   unknown\nCluster Type:      unknown\n')
  const spec = { calicoVersion: 'v3.32.0', clusterType: 'margay,bgp' }
  const value = { apiVersion: 'projectcalico.org/v3', kind: 'ClusterInformation', metadata: { name: 'default' }, spec }
  await store.commit([], [{ put: resourceKey('ClusterInformation', 'default'), value: JSON.stringify(value) }], never)
  assert.match((await show()).out, /Cluster Version: {3}v3.32.0\nCluster Type: {6}margay,bgp\n$/)
  assert.is((await show(['--client'])).out, 'Client Version:    1.2.3 (margay)\n')
  assert.match((await show(['--poll', 'soon'])).err, /--poll: not a duration/)
})

test('the datastore is locked and unlocked, and what is not there is said', async () => {
  const store = new MemoryStore()
  const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
  const margay = (...argv: readonly string[]) => run(argv, { store: store.another(), env })
  assert.match(
    (await margay('datastore', 'migrate', 'lock')).err,
    /there is no ClusterInformation "default": no host has used this etcd yet/,
  )
  const value = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'ClusterInformation',
    metadata: { name: 'default' },
    spec: { datastoreReady: true },
  }
  await store.commit([], [{ put: resourceKey('ClusterInformation', 'default'), value: JSON.stringify(value) }], never)
  assert.equal(await margay('datastore', 'migrate', 'lock'), { code: 0, out: 'Datastore locked.\n', err: '' })
  assert.match((await margay('get', 'clusterinfo')).out, /false\n$/)
  assert.equal(await margay('datastore', 'migrate', 'unlock'), { code: 0, out: 'Datastore unlocked.\n', err: '' })
  assert.match((await margay('get', 'clusterinfo')).out, /true\n$/)
  assert.match((await margay('datastore', 'migrate', 'export')).err, /there is no export to Kubernetes here; "margay get KIND -A -o yaml"/)
})

/** `calicoctl` on one etcd, its arguments and standard input. */
function aCalicoctl() {
  const store = new MemoryStore()
  const env = { ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
  return (args: string, stdin = '') => run(args.split(' '), { program: 'calicoctl', store: store.another(), env, stdin })
}

const pool = (name: string, cidr: string, metadata = '') =>
  `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: ${name}${metadata}}\nspec: {cidr: ${cidr}}\n`

test('calicoctl makes the cluster known before it writes', async () => {
  const calicoctl = aCalicoctl()
  assert.is((await calicoctl('get clusterinfo -o name')).out, '')
  assert.is((await calicoctl('create -f -', pool('p1', '10.65.0.0/24'))).out, "Successfully created 1 'IPPool' resource(s)\n")
  assert.match((await calicoctl('get clusterinfo default -o yaml')).out, /clusterGUID: [0-9a-f]{32}\n {2}datastoreReady: true\n/)
  assert.match((await calicoctl('get tiers -o name')).out, /tier\/default\n/)
  const deleted = await calicoctl('delete clusterinfo default')
  assert.equal([deleted.code, deleted.out], [1, ''])
  assert.match(deleted.err, /delete is not supported on ClusterInformation/)
})

test('a dry run makes nothing known', async () => {
  const calicoctl = aCalicoctl()
  assert.is((await calicoctl('create -f - --dry-run', pool('p1', '10.65.0.0/24'))).code, 0)
  assert.is((await calicoctl('get clusterinfo,tiers,pools -o name')).out, '')
})

test('calicoctl shows what is named one by one, and then what is not there', async () => {
  const calicoctl = aCalicoctl()
  await calicoctl('create -f -', `${pool('p1', '10.65.0.0/24')}---\n${pool('p2', '10.66.0.0/24')}`)
  const some = await calicoctl('get pools p1 blah p2')
  const table = (name: string, cidr: string) => `NAME   CIDR           SELECTOR   \n${name}     ${cidr}   all()      \n\n`
  assert.equal(some, {
    code: 1,
    out: `${table('p1', '10.65.0.0/24')}${table('p2', '10.66.0.0/24')}`,
    err: 'resource does not exist: IPPool(blah) with error: <nil>\n',
  })
  const all = await calicoctl('get pools')
  assert.is(all.out, 'NAME   CIDR           SELECTOR   \np1     10.65.0.0/24   all()      \np2     10.66.0.0/24   all()      \n\n')
  assert.match((await calicoctl('get pool p1 -o yaml --export')).out, /\nmetadata:\n {2}creationTimestamp: null\n {2}name: p1\nspec:/)
  assert.is((await calicoctl('get pools -n x')).err, 'IPPool is not namespaced\n')
  assert.match((await calicoctl('get polls')).err, /^Failed to get resources: resource type 'polls' is not supported/)
})

test('calicoctl writes what is equal again, and takes a resourceVersion for a condition', async () => {
  const calicoctl = aCalicoctl()
  const version = async () => /resourceVersion: "(\d+)"/.exec((await calicoctl('get pool p1 -o yaml')).out)?.[1] ?? ''
  await calicoctl('create -f -', pool('p1', '10.65.0.0/24'))
  const first = await version()
  await calicoctl('apply -f -', pool('p1', '10.65.0.0/24'))
  const second = await version()
  assert.ok(Number(second) > Number(first), `${first}, then ${second}`)
  for (const verb of ['apply', 'replace', 'delete']) {
    const done = await calicoctl(`${verb} -f -`, pool('p1', '10.65.0.0/24', `, resourceVersion: "${first}"`))
    assert.is(done.code, 1)
    assert.match(done.err, /update conflict: ippool\/p1|update conflict: .*IPPool "p1"/)
  }
  assert.is(await version(), second)
  const deleted = await calicoctl('delete -f -', pool('p1', '10.65.0.0/24', `, resourceVersion: "${second}"`))
  assert.equal(deleted, { code: 0, out: "Successfully deleted 1 'IPPool' resource(s)\n", err: '' })
})

test('policies of the old form of their name are stored under their names', async () => {
  const store = new MemoryStore()
  const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
  const margay = (...argv: readonly string[]) => run(argv, { store: store.another(), env })
  const put = async (name: string) => {
    const value = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name, uid: `u-${name}` },
      spec: { selector: 'all()', types: ['Ingress'] },
    }
    await store.commit([], [{ put: resourceKey('GlobalNetworkPolicy', name), value: JSON.stringify(value) }], never)
  }
  await put('default.old')
  await put('new')
  assert.is((await margay('datastore', 'migrate-policy-names', '--dry-run')).out, 'globalnetworkpolicy/old renamed\n')
  assert.equal(await margay('datastore', 'migrate-policy-names'), { code: 0, out: 'globalnetworkpolicy/old renamed\n', err: '' })
  const moved = await store.get(resourceKey('GlobalNetworkPolicy', 'old'), never)
  assert.equal(
    [JSON.parse(moved?.value ?? '').metadata.uid, await store.get(resourceKey('GlobalNetworkPolicy', 'default.old'), never)],
    ['u-default.old', undefined],
  )
  assert.is((await margay('datastore', 'migrate-policy-names')).out, 'all policies are stored under their names already\n')
  await put('default.new')
  const both = await margay('datastore', 'migrate-policy-names')
  assert.is(both.code, 3)
  assert.match(both.err, /default.new: there is also .*\/globalnetworkpolicies\/new: delete one of them/)
})

test.run()
