import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { checkServerIdentity, createSecureContext, type SecureContext } from 'node:tls'
import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js'
import { describeError, StoreError } from '../errors.ts'
import type { Logger } from '../log.ts'

/** Paths of PEM files; empty is none. Without a CA the system's roots count. */
export interface TlsFiles {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

const CHECK_MS = 2000

/**
 * The TLS files of the etcd client, read again when they change, so that a renewed certificate needs no restart.
 * Files that do not fit together (a rotation half done, a typo) are refused at the start, and later warned of and not used.
 */
export class TlsContext {
  readonly #files: TlsFiles
  readonly #log: Logger
  #stamp: string
  #context: SecureContext
  #checkedAt = Date.now()
  #refused = ''

  /** @throws {StoreError} `store-tls`, naming the file and what is wrong with it */
  constructor(files: TlsFiles, log: Logger) {
    this.#files = files
    this.#log = log
    this.#stamp = stampOf(files)
    this.#context = readContext(files)
  }

  /** The context to connect with; another object when the files were changed. */
  get current(): SecureContext {
    if (Date.now() - this.#checkedAt < CHECK_MS) return this.#context
    this.#checkedAt = Date.now()
    const stamp = stampOf(this.#files)
    if (stamp !== this.#stamp && stamp !== this.#refused) this.#reload(stamp)
    return this.#context
  }

  #reload(stamp: string): void {
    try {
      this.#context = readContext(this.#files)
      this.#stamp = stamp
      this.#log.info({ path: this.#files.certFile || this.#files.caFile }, 'etcd certificates were read again')
    } catch (err) {
      this.#refused = stamp
      this.#log.warn({ reason: describeError(err) }, 'new etcd certificates were not used')
    }
  }
}

/** Credentials for one endpoint of this host name or IP address, with the channel options that belong to them. */
export function tlsCredentials(context: SecureContext, host: string): { credentials: ChannelCredentials; options: ChannelOptions } {
  if (isIP(host) === 0) return { credentials: credentials.createFromSecureContext(context), options: {} }
  // RFC 6066 has no addresses in SNI, and Node warns of them on standard error: another name is sent, the address is checked.
  const verify = {
    checkServerIdentity: (_name: string, cert: Parameters<typeof checkServerIdentity>[1]) => checkServerIdentity(host, cert),
  }
  return {
    credentials: credentials.createFromSecureContext(context, verify),
    options: { 'grpc.ssl_target_name_override': 'etcd', 'grpc.default_authority': host },
  }
}

function readContext({ caFile, certFile, keyFile }: TlsFiles): SecureContext {
  if ((certFile === '') !== (keyFile === '')) {
    throw tlsError(`a client certificate needs both files: ${certFile === '' ? 'certFile' : 'keyFile'} is missing`)
  }
  const ca = caFile === '' ? undefined : readPem(caFile, (text) => new X509Certificate(text))
  if (certFile === '') return createSecureContext(ca === undefined ? {} : { ca })
  const cert = readPem(certFile, (text) => new X509Certificate(text))
  const key = readPem(keyFile, createPrivateKey)
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw tlsError(`the key in ${keyFile} is not that of the certificate in ${certFile}`)
  }
  return createSecureContext(ca === undefined ? { cert, key } : { ca, cert, key })
}

function readPem(path: string, check: (text: Buffer) => unknown): Buffer {
  try {
    const text = readFileSync(path)
    check(text)
    return text
  } catch (cause) {
    const isMissing =
      cause instanceof Error &&
      'code' in cause &&
      typeof cause.code === 'string' &&
      cause.code.startsWith('E') &&
      !cause.code.startsWith('ERR')
    throw tlsError(isMissing ? `cannot read ${path}` : `${path} is not what it should be in PEM`, cause)
  }
}

function tlsError(message: string, cause?: unknown): StoreError {
  return new StoreError(message, { code: 'store-tls', isTransient: false, cause })
}

function stampOf(files: TlsFiles): string {
  return [files.caFile, files.certFile, files.keyFile].map((path) => (path === '' ? '' : stampOfFile(path))).join(' ')
}

function stampOfFile(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat ? `${stat.ino}:${stat.size}:${stat.mtimeNs}` : 'gone'
}
