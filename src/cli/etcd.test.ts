import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aContext, type Run } from '../../test/support/cli.ts'
import { type EtcdCluster, startEtcd } from '../../test/support/etcd.ts'
import type { Program } from './context.ts'
import { openStore } from './open-store.ts'
import { runCli } from './program.ts'

const test = suite('cli/etcd')

let etcd: EtcdCluster
let pki: NonNullable<EtcdCluster['pki']>
test.before(async () => {
  etcd = await startEtcd({ tls: true })
  if (etcd.pki === undefined) throw new Error('an etcd with TLS has certificates')
  pki = etcd.pki
})
test.after(() => etcd.close())

/** Runs a command with a real connection, as main.ts does. */
async function margay(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin = '',
  program: Program = 'margay',
): Promise<Run> {
  const written = { out: '', err: '' }
  const code = await runCli(argv, { ...aContext({ env, stdin, program }, written), openStore: async (config) => openStore(config) })
  return { code, ...written }
}

function trusted(more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const files = { MARGAY_ETCD_CA_FILE: pki.ca, MARGAY_ETCD_CERT_FILE: pki.clientCert, MARGAY_ETCD_KEY_FILE: pki.clientKey }
  return { MARGAY_ETCD_ENDPOINTS: etcd.endpoints.join(','), ...files, ...more }
}

function pool(i: number): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p${i}}\nspec: {cidr: 10.${i}.0.0/24}\n---\n`
}

test('resources are written and read over TLS with a client certificate', async () => {
  const text = [1, 2, 3].map(pool).join('')
  assert.equal(await margay(['apply', '-f', '-'], trusted(), text), {
    code: 0,
    out: 'ippool/p1 created\nippool/p2 created\nippool/p3 created\n',
    err: '',
  })
  assert.is((await margay(['get', 'pools', '-o', 'name'], trusted())).out, 'ippool/p1\nippool/p2\nippool/p3\n')
  assert.match(etcd.ctl('get', '/calico/resources/v3/projectcalico.org/ippools/p2'), /"cidr":"10.2.0.0\/24"/)
})

test('a flag wins over the environment', async () => {
  const done = await margay(
    ['get', 'pools', '--etcd-endpoints', etcd.endpoints.join(',')],
    trusted({ MARGAY_ETCD_ENDPOINTS: 'https://127.0.0.1:1' }),
  )
  assert.is(done.code, 0)
})

test('ten who apply the same at once all succeed, and one creates', async () => {
  const text = pool(9)
  const runs = await Promise.all(Array.from({ length: 10 }, () => margay(['apply', '-f', '-'], trusted(), text)))
  assert.ok(runs.every((done) => done.code === 0))
  assert.is(runs.filter((done) => done.out === 'ippool/p9 created\n').length, 1)
})

test('of overlapping pools that are made at once, one stays', async () => {
  const nested = (i: number) =>
    `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: n${i}}\nspec: {cidr: 10.64.0.0/${16 + i}}\n`
  const runs = await Promise.all(Array.from({ length: 8 }, (_, i) => margay(['create', '-f', '-'], trusted(), nested(i))))
  assert.equal(runs.map((done) => done.code).sort(), [0, 1, 1, 1, 1, 1, 1, 1])
  const names = (await margay(['get', 'pools', '-o', 'name'], trusted())).out.split('\n').filter((name) => name.startsWith('ippool/n'))
  assert.is(names.length, 1)
})

test('calicoctl reads and writes the same by its own variables, and with keys that stand in its file', async () => {
  const env = {
    ETCD_ENDPOINTS: etcd.endpoints.join(','),
    ETCD_CA_CERT_FILE: pki.ca,
    ETCD_CERT_FILE: pki.clientCert,
    ETCD_KEY_FILE: pki.clientKey,
  }
  const calicoctl = (argv: readonly string[], more: Readonly<Record<string, string>>, stdin = '') => margay(argv, more, stdin, 'calicoctl')
  assert.equal(await calicoctl(['apply', '-f', '-'], env, pool(30)), {
    code: 0,
    out: "Successfully applied 1 'IPPool' resource(s)\n",
    err: '',
  })
  const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
  const file = join(folder, 'calicoctl.cfg')
  const read = (path: string) => readFileSync(path, 'utf8')
  const spec = {
    datastoreType: 'etcdv3',
    etcdEndpoints: etcd.endpoints.join(','),
    etcdCACert: read(pki.ca),
    etcdCert: read(pki.clientCert),
    etcdKey: read(pki.clientKey),
  }
  writeFileSync(file, JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind: 'CalicoAPIConfig', metadata: {}, spec }))
  const shown = await calicoctl(['get', 'pool', 'p30', '--config', file, '-o', 'go-template={{range .}}{{.Spec.CIDR}}{{end}}'], {})
  assert.equal(shown, { code: 0, out: '10.30.0.0/24', err: '' })
  rmSync(folder, { recursive: true })
})

test('ten who label and patch the same at once all succeed, and nothing is lost', async () => {
  await margay(['apply', '-f', '-'], trusted(), pool(31))
  const runs = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      margay(
        i < 5 ? ['label', 'pool', 'p31', `l${i}=x`] : ['patch', 'pool', 'p31', '-p', `{"metadata": {"annotations": {"a${i}": "x"}}}`],
        trusted(),
      ),
    ),
  )
  assert.equal(
    runs.filter(({ code }) => code !== 0).map(({ err }) => err),
    [],
  )
  const { metadata } = JSON.parse((await margay(['get', 'pool', 'p31', '-o', 'json'], trusted())).out)
  assert.equal(
    [Object.keys(metadata.labels).sort(), Object.keys(metadata.annotations).sort()],
    [
      ['l0', 'l1', 'l2', 'l3', 'l4'],
      ['a5', 'a6', 'a7', 'a8', 'a9'],
    ],
  )
})

test('a dry run against a real etcd writes nothing', async () => {
  const before = etcd.ctl('get', '', '--prefix', '--keys-only')
  const done = await margay(['apply', '-f', '-', '--dry-run'], trusted(), pool(40) + pool(41))
  assert.equal([done.code, done.out], [0, 'ippool/p40 created (dry run)\nippool/p41 created (dry run)\n'])
  assert.is(etcd.ctl('get', '', '--prefix', '--keys-only'), before)
})

const refused: readonly (readonly [name: string, env: () => Readonly<Record<string, string>>, err: RegExp])[] = [
  ['a certificate authority that did not sign', () => trusted({ MARGAY_ETCD_CA_FILE: pki.otherCa }), /https:\/\/127\.0\.0\.1:\d+/],
  [
    'no certificate',
    () => ({ MARGAY_ETCD_ENDPOINTS: etcd.endpoints.join(','), MARGAY_ETCD_CA_FILE: pki.ca }),
    /https:\/\/127\.0\.0\.1:\d+/,
  ],
  [
    'nobody at the endpoint',
    () => trusted({ MARGAY_ETCD_ENDPOINTS: 'https://127.0.0.1:1' }),
    /https:\/\/127\.0\.0\.1:1: connection refused/,
  ],
  ['a file that is not there', () => trusted({ MARGAY_ETCD_CA_FILE: '/nowhere/ca.pem' }), /\/nowhere\/ca\.pem/],
]
for (const [name, env, err] of refused) {
  test(`with ${name} a command fails within 6 s, names the endpoint or file, and has no stack`, async () => {
    const begun = performance.now()
    const done = await margay(['get', 'pools'], env())
    assert.is(done.code, 1)
    assert.match(done.err, err)
    assert.not.match(done.err, /\n\s+at /)
    assert.ok(performance.now() - begun < 6000)
  })
}

test.run()
