import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Certificates for tests, as paths of PEM files. */
export interface Pki {
  readonly dir: string
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  /** Of the same CA, but its names are not those of loopback. */
  readonly elsewhereCert: string
  readonly elsewhereKey: string
  /** A client whose common name is `agent`. */
  readonly clientCert: string
  readonly clientKey: string
  /** A client whose common name is `root`. */
  readonly rootCert: string
  readonly rootKey: string
  /** A CA that signed nothing of the above. */
  readonly otherCa: string
}

/** Makes a CA, two servers, two clients and a CA of strangers with openssl, in about 0.3 s. */
export function makeCertificates(dir: string): Pki {
  mkdirSync(dir, { recursive: true })
  const at = (name: string) => join(dir, name)
  makeCa(at, 'ca')
  makeCa(at, 'other-ca')
  sign(at, 'server', 'server', 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost')
  sign(at, 'elsewhere', 'elsewhere', 'subjectAltName=IP:192.0.2.1,DNS:elsewhere.example')
  sign(at, 'client', 'agent')
  sign(at, 'root', 'root')
  return {
    dir,
    ca: at('ca.crt'),
    serverCert: at('server.crt'),
    serverKey: at('server.key'),
    elsewhereCert: at('elsewhere.crt'),
    elsewhereKey: at('elsewhere.key'),
    clientCert: at('client.crt'),
    clientKey: at('client.key'),
    rootCert: at('root.crt'),
    rootKey: at('root.key'),
    otherCa: at('other-ca.crt'),
  }
}

/** Signs a new key for this common name over the files of an earlier `makeCertificates`: a rotation. */
export function signAgain(pki: Pki, name: string, commonName: string): void {
  sign((file) => join(pki.dir, file), name, commonName)
}

type At = (name: string) => string

function makeCa(at: At, name: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at(`${name}.key`)]
  openssl(['req', '-x509', ...key, '-out', at(`${name}.crt`), '-days', '30', '-subj', `/CN=${name}`])
}

function sign(at: At, name: string, commonName: string, extension = ''): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at(`${name}.key`)]
  openssl(['req', ...key, '-out', at(`${name}.csr`), '-subj', `/CN=${commonName}`])
  writeFileSync(at(`${name}.ext`), `extendedKeyUsage=serverAuth,clientAuth\n${extension}\n`)
  const ca = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '30', '-extfile', at(`${name}.ext`)]
  openssl(['x509', '-req', '-in', at(`${name}.csr`), '-out', at(`${name}.crt`), ...ca])
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
}
