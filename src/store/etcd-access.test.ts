import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EtcdCluster, freePorts, startEtcd, waitUntil } from '../../test/support/etcd.ts'
import type { Pki } from '../../test/support/pki.ts'
import { collect, plainEtcd, put, within } from '../../test/support/store.ts'
import { openProxy } from '../../test/support/tcp-proxy.ts'
import { StoreError } from '../errors.ts'
import type { EtcdOptions } from './etcd-client.ts'

const test = suite('store/etcd access')
const never = new AbortController().signal
const dir = mkdtempSync(join(tmpdir(), `mgt-${process.pid}-access-`))
let secured: EtcdCluster | undefined
let plain: EtcdCluster | undefined
let guarded: EtcdCluster | undefined

test.before(async () => {
  writeFileSync(join(dir, 'password'), 'agentpw\n')
  writeFileSync(join(dir, 'wrong'), 'guess\n')
  // A token that lives for a second and is not renewed by use shows what comes after a day in the field.
  execFileSync('openssl', ['genrsa', '-out', join(dir, 'jwt.key'), '2048'], { stdio: 'ignore' })
  execFileSync('openssl', ['rsa', '-in', join(dir, 'jwt.key'), '-pubout', '-out', join(dir, 'jwt.pub')], { stdio: 'ignore' })
  const jwt = `jwt,pub-key=${join(dir, 'jwt.pub')},priv-key=${join(dir, 'jwt.key')},sign-method=RS256,ttl=1s`
  secured = await startEtcd({ tls: true, auth: true })
  plain = await startEtcd()
  guarded = await startEtcd({ auth: true, flags: ['--auth-token', jwt] })
})

test.after(async () => {
  await Promise.all([secured?.close(), plain?.close(), guarded?.close()])
  rmSync(dir, { recursive: true, force: true })
})

interface Refusal {
  readonly name: string
  readonly options: () => Partial<EtcdOptions> & { readonly endpoints: readonly string[] }
  readonly code: string
  readonly message: RegExp
}

const refusals: readonly Refusal[] = [
  {
    name: 'a server whose certificate is of another CA',
    options: () => ({ ...tls(), caFile: pki().otherCa }),
    code: 'store-tls',
    message: /https:\/\/127\.0\.0\.1:\d+: its certificate is not signed by the CA in .*other-ca\.crt/,
  },
  {
    name: 'a server whose certificate is of no CA of the system',
    options: () => ({ ...tls(), caFile: '' }),
    code: 'store-tls',
    message: /its certificate is not signed by one of this system's CAs \(no caFile is given\)/,
  },
  {
    name: 'a client without a certificate',
    options: () => ({ ...tls(), certFile: '', keyFile: '' }),
    code: 'store-tls',
    message: /it demands a client certificate that its CA has signed/,
  },
  {
    name: 'a key without its certificate',
    options: () => ({ ...tls(), certFile: '' }),
    code: 'store-tls',
    message: /a client certificate needs both files: certFile is missing/,
  },
  {
    name: 'a key of another certificate',
    options: () => ({ ...tls(), keyFile: pki().rootKey }),
    code: 'store-tls',
    message: /the key in .*root\.key is not that of the certificate in .*client\.crt/,
  },
  {
    name: 'a CA file that is not there',
    options: () => ({ ...tls(), caFile: '/nonexistent/ca.crt' }),
    code: 'store-tls',
    message: /cannot read \/nonexistent\/ca\.crt/,
  },
  {
    name: 'a CA file that is no PEM',
    options: () => ({ ...tls(), caFile: join(dir, 'password') }),
    code: 'store-tls',
    message: /password is not what it should be in PEM/,
  },
  {
    name: 'http:// to an etcd with TLS',
    options: () => ({ endpoints: [endpoint(secured).replace('https', 'http')] }),
    code: 'store-unreachable',
    message: /it does not speak gRPC without TLS \(is the endpoint https:\/\/\?\)/,
  },
  {
    name: 'https:// to an etcd without TLS',
    options: () => ({ ...tls(), endpoints: [endpoint(plain).replace('http', 'https')] }),
    code: 'store-unreachable',
    // It resets the connection, too, and on a machine with much else to do that may be all that is seen.
    message: /it does not speak TLS \(is the endpoint http:\/\/\?\)|the connection broke/,
  },
  {
    name: 'a wrong password',
    options: () => ({ ...agent(), passwordFile: join(dir, 'wrong') }),
    code: 'store-auth',
    message: /etcd at http:\/\/127\.0\.0\.1:\d+ refused: the user "agent" or the password in .*wrong is wrong/,
  },
  {
    name: 'an unknown user',
    options: () => ({ ...agent(), username: 'nobody' }),
    code: 'store-auth',
    message: /the user "nobody" or the password in .*password is wrong/,
  },
  {
    name: 'no user where one is demanded',
    options: () => ({ endpoints: guarded?.endpoints ?? [] }),
    code: 'store-auth',
    message: /refused: it demands a user and a password/,
  },
  {
    name: 'a password file that is not there',
    options: () => ({ ...agent(), passwordFile: '/nonexistent/password' }),
    code: 'store-auth',
    message: /cannot read the password file \/nonexistent\/password/,
  },
]
for (const { name, options, code, message } of refusals) {
  test(`it is named: ${name}`, async () => {
    const error = await failure(options())
    assert.match(error.message, message)
    assert.is(error.code, code)
  })
}

test('a certificate for another address is named', async () => {
  const cluster = await startElsewhere()
  try {
    const error = await failure({ ...tls(), endpoints: cluster.endpoints })
    assert.match(error.message, /its certificate is not valid for this address \(IP: 127\.0\.0\.1 is not in the cert's list: /)
  } finally {
    await cluster.close()
  }
})

test('each of several endpoints is named with its own cause', async () => {
  const [refused = 0] = await freePorts(1)
  const silent = await openProxy(refused)
  silent.hole()
  const error = await failure({
    endpoints: [`http://127.0.0.1:${refused}`, `http://127.0.0.1:${silent.port}`, 'http://nowhere.invalid:2379'],
  })
  await silent.close()
  assert.match(error.message, `http://127.0.0.1:${refused}: connection refused`)
  assert.match(error.message, `http://127.0.0.1:${silent.port}: timed out`)
  assert.match(error.message, 'http://nowhere.invalid:2379: the host name cannot be resolved')
})

test('certificates that were renewed are used without a restart', async () => {
  const files = { certFile: join(dir, 'renewed.crt'), keyFile: join(dir, 'renewed.key') }
  const use = (cert: string, key: string) => {
    copyFileSync(cert, files.certFile)
    copyFileSync(key, files.keyFile)
  }
  use(pki().clientCert, pki().clientKey)
  const store = plainEtcd(secured?.endpoints ?? [], { caFile: pki().ca, ...files })
  try {
    // etcd takes the certificate's common name for the user: agent may not write there, root may.
    assert.match(String(await put(store, '/elsewhere', '1').catch(String)), /refused: .*permission denied/)
    use(pki().rootCert, pki().rootKey)
    await waitUntil(
      () =>
        put(store, '/elsewhere', '1').then(
          () => true,
          () => false,
        ),
      8000,
      'the new certificate was not used',
    )
    // A rotation that is half done: the old files stay in use.
    copyFileSync(pki().clientCert, files.certFile)
    await new Promise((resolve) => setTimeout(resolve, 2200))
    assert.ok((await put(store, '/elsewhere', '2')) > 0)
  } finally {
    store.close()
  }
})

test('calls and watches go on when the token is old, when roles change and when etcd was restarted', async () => {
  const proxy = await openProxy(guarded?.members[0]?.clientPort ?? 0)
  const store = plainEtcd([`http://127.0.0.1:${proxy.port}`], { username: 'agent', passwordFile: join(dir, 'password') })
  try {
    const from = (await put(store, '/calico/token/first', '')) + 1
    const events = collect(store, '/calico/token/', from, 4)
    await put(store, '/calico/token/a', '1')
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await put(store, '/calico/token/a', '2')
    proxy.cut()
    await new Promise((resolve) => setTimeout(resolve, 1500))
    guarded?.ctl('role', 'grant-permission', 'agent', 'readwrite', '/more/', '--prefix=true')
    await put(store, '/calico/token/a', '3')
    await guarded?.members[0]?.stop()
    await guarded?.members[0]?.start()
    await put(store, '/calico/token/a', '4')
    assert.equal(
      (await within(15_000, events)).map(({ entry }) => entry?.value),
      ['1', '2', '3', '4'],
    )
  } finally {
    store.close()
    await proxy.close()
  }
})

test('a watch and a write that the user may not make are denied, and nothing else suffers', async () => {
  const store = plainEtcd(guarded?.endpoints ?? [], agent())
  try {
    const error = await within(
      10_000,
      collect(store, '/forbidden/', 0, 1).catch((reason: unknown) => reason),
    )
    assert.is(error instanceof StoreError && error.code, 'store-denied')
    assert.match(String(error), /etcd does not let us watch \/forbidden\/: .*permission denied/)
    assert.match(String(await put(store, '/forbidden/a', '').catch(String)), /permission denied/)
    const from = await put(store, '/calico/allowed', '1')
    assert.is((await within(5000, collect(store, '/calico/allowed', from, 1))).length, 1)
  } finally {
    store.close()
  }
})

function pki(): Pki {
  if (!secured?.pki) throw new Error('etcd was not started')
  return secured.pki
}

function endpoint(cluster: EtcdCluster | undefined): string {
  return cluster?.endpoints[0] ?? ''
}

function tls() {
  return { endpoints: secured?.endpoints ?? [], caFile: pki().ca, certFile: pki().clientCert, keyFile: pki().clientKey }
}

function agent() {
  return { endpoints: guarded?.endpoints ?? [], username: 'agent', passwordFile: join(dir, 'password') }
}

/** An etcd whose certificate is for another address. */
function startElsewhere(): Promise<EtcdCluster> {
  const { elsewhereCert, elsewhereKey, ca } = pki()
  return startEtcd({ certificate: { ca, cert: elsewhereCert, key: elsewhereKey } })
}

async function failure({ endpoints, ...options }: Partial<EtcdOptions> & { readonly endpoints: readonly string[] }): Promise<StoreError> {
  try {
    const store = plainEtcd(endpoints, options)
    await store.get('/calico/x', never).finally(() => store.close())
  } catch (error) {
    if (error instanceof StoreError) return error
    throw error
  }
  throw new Error('it did not fail')
}

test.run()
