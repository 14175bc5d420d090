import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findEtcd } from '../../test/support/etcd.ts'
import { makeCertificates } from '../../test/support/pki.ts'
import { clientEndpoints, type EmbeddedConfig, embeddedEnvironment, embeddedIssues, environmentFile } from './embedded.ts'

const test = suite('store/embedded')
const FILES = {
  embeddedCertFile: '/etc/margay/etcd.crt',
  embeddedKeyFile: '/etc/margay/etcd.key',
  embeddedClientCaFile: '/etc/margay/ca.crt',
}

test('alone it listens on loopback only, without TLS', () => {
  const environment = embeddedEnvironment(aConfig({}), 'x64')
  assert.equal(pick(environment, /URLS|CLUSTER$|DATA_DIR|CERT|KEY|CA_|ARCH/), {
    ETCD_DATA_DIR: '/var/lib/margay/etcd',
    ETCD_LISTEN_CLIENT_URLS: 'http://127.0.0.1:23790',
    ETCD_ADVERTISE_CLIENT_URLS: 'http://127.0.0.1:23790',
    ETCD_LISTEN_PEER_URLS: 'http://127.0.0.1:23791',
    ETCD_INITIAL_ADVERTISE_PEER_URLS: 'http://127.0.0.1:23791',
    ETCD_INITIAL_CLUSTER: 'margay=http://127.0.0.1:23791',
  })
  assert.equal(clientEndpoints(aConfig({})), ['http://127.0.0.1:23790'])
})

test('for other hosts it listens with TLS and client certificates, peers stay on loopback', () => {
  const environment = embeddedEnvironment(aConfig({ embeddedListen: ['192.0.2.1', '2001:db8::1', '::1'], ...FILES }), 'arm64')
  assert.equal(pick(environment, /CLIENT_URLS|PEER_URLS|CERT|KEY|CA_|ARCH/), {
    ETCD_LISTEN_CLIENT_URLS: 'http://127.0.0.1:23790,https://192.0.2.1:23790,https://[2001:db8::1]:23790,http://[::1]:23790',
    ETCD_ADVERTISE_CLIENT_URLS: 'https://192.0.2.1:23790',
    ETCD_LISTEN_PEER_URLS: 'http://127.0.0.1:23791',
    ETCD_INITIAL_ADVERTISE_PEER_URLS: 'http://127.0.0.1:23791',
    ETCD_CERT_FILE: '/etc/margay/etcd.crt',
    ETCD_KEY_FILE: '/etc/margay/etcd.key',
    ETCD_TRUSTED_CA_FILE: '/etc/margay/ca.crt',
    ETCD_CLIENT_CERT_AUTH: 'true',
    ETCD_UNSUPPORTED_ARCH: 'arm64',
  })
})

const configs = [
  { name: 'loopback needs no TLS', etcd: { embeddedListen: ['127.0.0.1', '::1'] }, issues: [] },
  { name: 'with all files any address is right', etcd: { embeddedListen: ['192.0.2.1'], ...FILES }, issues: [] },
  { name: 'without embedded nothing of it counts', etcd: { embedded: false, embeddedListen: ['192.0.2.1'] }, issues: [] },
  {
    name: 'an address that others reach needs every file',
    etcd: { embeddedListen: ['192.0.2.1'], ...FILES, embeddedClientCaFile: '' },
    issues: ['etcd.embeddedClientCaFile is missing: 192.0.2.1 can be reached by others, which needs TLS and client certificates'],
  },
  {
    name: 'a host name is no address',
    etcd: { embeddedListen: ['etcd.example'], ...FILES },
    issues: ['etcd.embeddedListen not an IP address: "etcd.example"'],
  },
]
for (const { name, etcd, issues } of configs) {
  test(name, () =>
    assert.equal(
      embeddedIssues(aConfig(etcd)).map(({ path, message }) => `${path} ${message}`),
      issues,
    ),
  )
}

test('the environment file is what a shell and systemd read the same values from', () => {
  const environment = { ETCD_A: 'http://127.0.0.1:1,https://[::1]:2', ETCD_B: 'a "b" $c `d` \\e' }
  const read = execFileSync('sh', ['-c', `${environmentFile(environment)}printf '%s|%s' "$ETCD_A" "$ETCD_B"`], { encoding: 'utf8' })
  assert.is(read, Object.values(environment).join('|'))
})

test('a real etcd runs with this environment and serves loopback plainly and others with certificates only', async () => {
  const dir = mkdtempSync(join(tmpdir(), `mgt-${process.pid}-embedded-`))
  const pki = makeCertificates(join(dir, 'pki'))
  const files = { embeddedCertFile: pki.serverCert, embeddedKeyFile: pki.serverKey, embeddedClientCaFile: pki.ca }
  // An address that is not loopback by our rule is not there in a test's namespace: one is added to its `lo`.
  const config = { ...aConfig({ embeddedListen: ['192.0.2.1'], ...files }), paths: { state: dir } }
  writeFileSync(join(dir, 'env'), environmentFile(embeddedEnvironment(config)))
  const script = `ip link set lo up && ip address add 192.0.2.1/32 dev lo && set -a && . '${dir}/env' && exec '${findEtcd()}'`
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '-n', 'sh', '-c', script], { stdio: 'ignore' })
  try {
    const inside = (args: readonly string[]) => etcdctlInside(child.pid ?? 0, args)
    await eventually(() => inside(['--endpoints', 'http://127.0.0.1:23790', 'put', 'k', 'v']).includes('OK'))
    const tls = ['--cacert', pki.ca, '--cert', pki.clientCert, '--key', pki.clientKey]
    // The server's certificate is for 127.0.0.1: that it is refused for this address shows that TLS is spoken.
    assert.match(inside(['--endpoints', 'https://192.0.2.1:23790', ...tls, 'get', 'k']), /192\.0\.2\.1/)
    assert.not.match(inside(['--endpoints', 'http://192.0.2.1:23790', 'get', 'k']), /^v$/m)
  } finally {
    child.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
})

function etcdctlInside(pid: number, args: readonly string[]): string {
  try {
    const all = ['-t', String(pid), '-n', findEtcd('etcdctl'), '--dial-timeout', '1s', '--command-timeout', '1s', ...args]
    return execFileSync('nsenter', all, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ETCDCTL_API: '3' } })
  } catch (error) {
    return error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
  }
}

async function eventually(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('etcd did not answer')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function aConfig(etcd: Partial<EmbeddedConfig['etcd']>): EmbeddedConfig {
  const none = { embeddedCertFile: '', embeddedKeyFile: '', embeddedClientCaFile: '' }
  return { etcd: { endpoints: [], embedded: true, embeddedListen: [], ...none, ...etcd }, paths: { state: '/var/lib/margay' } }
}

function pick(environment: Readonly<Record<string, string>>, names: RegExp): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => names.test(name)))
}

test.run()
