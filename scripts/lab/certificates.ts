import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MACHINE, run } from './command.ts'

/** Paths of the PEM files of a small certificate authority of the lab's own. */
export interface Certificates {
  readonly ca: string
  readonly server: { readonly cert: string; readonly key: string }
  /** Its common name is `margay`, which is the etcd user where authentication is on. */
  readonly client: { readonly cert: string; readonly key: string }
}

/** Makes an authority, one certificate for a server at these addresses and one for clients; valid for 30 days. */
export async function makeCertificates(folder: string, addresses: readonly string[]): Promise<Certificates> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const ca = await sign(folder, { name: 'ca', commonName: 'lab authority', extensions: ['basicConstraints=critical,CA:TRUE'] })
  const names = addresses.map((address) => `IP:${address}`).join(',')
  const server = await sign(folder, {
    name: 'server',
    commonName: 'etcd',
    extensions: [`subjectAltName=${names}`, 'extendedKeyUsage=serverAuth,clientAuth'],
    authority: ca,
  })
  const client = await sign(folder, { name: 'client', commonName: 'margay', extensions: ['extendedKeyUsage=clientAuth'], authority: ca })
  return { ca: ca.cert, server, client }
}

interface Signature {
  readonly name: string
  readonly commonName: string
  readonly extensions: readonly string[]
  /** Signed by itself without. */
  readonly authority?: { readonly cert: string; readonly key: string }
}

async function sign(folder: string, { name, commonName, extensions, authority }: Signature): Promise<{ cert: string; key: string }> {
  const [cert, key, request, settings] = ['crt', 'key', 'csr', 'ext'].map((ending) => join(folder, `${name}.${ending}`))
  if (cert === undefined || key === undefined || request === undefined || settings === undefined) throw new Error('four paths')
  writeFileSync(settings, `${extensions.join('\n')}\n`)
  const subject = `/CN=${commonName}`
  await openssl([
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    key,
    '-out',
    request,
    '-subj',
    subject,
  ])
  const signer = authority === undefined ? ['-signkey', key] : ['-CA', authority.cert, '-CAkey', authority.key, '-CAcreateserial']
  await openssl(['x509', '-req', '-in', request, '-out', cert, '-days', '30', '-extfile', settings, ...signer])
  return { cert, key }
}

async function openssl(args: readonly string[]): Promise<void> {
  await run(MACHINE, ['openssl', ...args])
}
