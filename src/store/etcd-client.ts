import { readFileSync } from 'node:fs'
import type { DescMessage, DescMethodBiDiStreaming, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { Metadata, setLogger } from '@grpc/grpc-js'
import { describeError, StoreError } from '../errors.ts'
import { type Logger, silentLogger } from '../log.ts'
import { Backoff, sleep } from './backoff.ts'
import { Endpoint, type EndpointStream } from './etcd-endpoint.ts'
import { type Fault, faultOf, isServiceError, reasonOf, storeError } from './etcd-error.ts'
import { TlsContext, type TlsFiles } from './etcd-tls.ts'
import { Auth } from './generated/rpc_pb.js'

/** Where etcd is and how to prove who we are. */
export interface EtcdOptions extends TlsFiles {
  /** `http://` or `https://` URLs, one or more. */
  readonly endpoints: readonly string[]
  readonly username: string
  readonly passwordFile: string
  readonly log?: Logger
  /** The time that any call has, with all its tries; 5,000 unless given. */
  readonly timeoutMs?: number
}

/** How a call may be tried. */
export interface CallOptions {
  readonly signal: AbortSignal
  /** Milliseconds since the epoch; `timeoutMs` from now unless given. */
  readonly deadline?: number
  /** Doing it twice is the same as once. If not, a call that may have been done ends with an InterruptedError. */
  readonly isRepeatable: boolean
}

/** A call that may have been done or not: its reply was lost. */
export class InterruptedError extends StoreError {
  constructor(message: string, cause: unknown) {
    super(message, { code: 'store-interrupted', isTransient: true, cause })
  }
}

const TIMEOUT_MS = 4500
/** For so long a call waits for an etcd that refuses connections, because it may just be restarting. */
const REFUSED_MS = 3000

/**
 * A connection to etcd: calls and streams that go to the next endpoint when one does not answer, log in with user and password
 * and again when the token is old, and fail with words that name each endpoint and its cause.
 */
export class EtcdClient {
  readonly log: Logger
  readonly timeoutMs: number
  /** Aborted by `close`. */
  readonly closed: AbortSignal
  readonly #closing = new AbortController()
  readonly #options: EtcdOptions
  readonly #endpoints: readonly Endpoint[]
  #current: number
  #token: Promise<string> | undefined

  /** @throws {StoreError} if the TLS files cannot be used */
  constructor(options: EtcdOptions) {
    this.#options = options
    this.closed = this.#closing.signal
    this.log = options.log ?? silentLogger
    this.timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    const isTls = options.endpoints.some((url) => url.startsWith('https:'))
    const tls = isTls ? new TlsContext(options, this.log) : undefined
    this.#endpoints = options.endpoints.map((url) => new Endpoint(url, tls))
    // Hosts start at different members, so that all of them carry their share.
    this.#current = Math.floor(Math.random() * this.#endpoints.length)
    quietGrpc(this.log)
  }

  /** Calls one method; within the deadline it is tried at each endpoint, and again as long as that can help. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const started = Date.now()
    const deadline = options.deadline ?? started + this.timeoutMs
    const failures = new Map<Endpoint, { readonly fault: Fault; readonly reason: string }>()
    const backoff = new Backoff(50, 500)
    let logins = 0
    let usedToken: Promise<string> | undefined
    for (;;) {
      this.closed.throwIfAborted()
      const endpoint = this.#pick()
      const share = (deadline - Date.now()) / Math.max(1, this.#endpoints.length - failures.size)
      const tryDeadline = Date.now() + Math.max(share, 200)
      try {
        const metadata = await this.#metadata(endpoint, tryDeadline)
        usedToken = this.#token
        return await endpoint.call({ method, request, metadata, deadline: tryDeadline, signal: options.signal })
      } catch (error) {
        options.signal.throwIfAborted()
        this.closed.throwIfAborted()
        if (error instanceof StoreError) throw error
        const { fault, reason } = this.judge(error)
        if (fault === 'token' && this.#options.username !== '' && logins++ < 2) {
          // Others that failed with the same token have logged in already, perhaps.
          if (this.#token === usedToken) this.#token = undefined
          continue
        }
        if (!isElsewhereWorthIt(fault))
          throw storeError(fault === 'token' ? 'login' : fault, `etcd at ${endpoint.url} refused: ${reason}`, error)
        this.avoid(endpoint)
        failures.set(endpoint, { fault, reason })
        if (fault === 'interrupted' && !options.isRepeatable)
          throw new InterruptedError(`${describe(failures)}; what was asked may have been done`, error)
        if (!this.#isWorthWaiting(failures, started, deadline)) throw storeError(worst(failures), describe(failures), error)
        if (failures.size === this.#endpoints.length) await sleep(backoff.next(), options.signal)
      }
    }
  }

  /** Opens a stream at the current endpoint. The caller cancels it, and calls `avoid` when it broke. */
  async openStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    signal: AbortSignal,
  ): Promise<{ readonly endpoint: Endpoint; readonly stream: EndpointStream<I, O> }> {
    const endpoint = this.#pick()
    const metadata = await this.#metadata(endpoint, Date.now() + this.timeoutMs).catch((error: unknown) => {
      this.avoid(endpoint)
      throw error
    })
    signal.throwIfAborted()
    this.closed.throwIfAborted()
    // etcd then ends the stream when its member has lost the leader, instead of keeping silent (clientv3.WithRequireLeader).
    metadata.set('hasleader', 'true')
    const stream = endpoint.stream(method, metadata)
    // Without a listener an error that comes after the reader has gone would end the process.
    stream.on('error', () => {})
    return { endpoint, stream }
  }

  /** Do not take this endpoint for the next seconds, if there is another. */
  avoid(endpoint: Endpoint): void {
    endpoint.avoidUntil = Date.now() + 3000
    if (this.#endpoints[this.#current] === endpoint) this.#current = (this.#current + 1) % this.#endpoints.length
  }

  /** The next call logs in again if this is the error of an old token. */
  forgetTokenAfter(error: unknown): void {
    if (this.judge(error).fault === 'token') this.forgetToken()
  }

  /** The next call logs in again. */
  forgetToken(): void {
    this.#token = undefined
  }

  /** Closes all connections; calls and streams under way fail. */
  close(): void {
    this.#closing.abort(new StoreError('the connection to etcd was closed', { code: 'store-closed', isTransient: false }))
    for (const endpoint of this.#endpoints) endpoint.close()
  }

  /** Why something failed, and what kind of failure it is. */
  judge(error: unknown): { readonly fault: Fault; readonly reason: string } {
    const reason = reasonOf(error, this.#options.caFile)
    if (!isServiceError(error)) return { fault: error instanceof StoreError && error.code === 'store-auth' ? 'login' : 'refused', reason }
    return { fault: faultOf(error), reason }
  }

  #pick(): Endpoint {
    const now = Date.now()
    for (let i = 0; i < this.#endpoints.length; i++) {
      const endpoint = this.#endpoints[(this.#current + i) % this.#endpoints.length]
      if (endpoint && endpoint.avoidUntil <= now) return endpoint
    }
    const endpoint = this.#endpoints[this.#current]
    if (!endpoint) throw new StoreError('no etcd endpoint is configured', { isTransient: false })
    return endpoint
  }

  #isWorthWaiting(failures: ReadonlyMap<Endpoint, { readonly fault: Fault }>, started: number, deadline: number): boolean {
    const now = Date.now()
    if (failures.size < this.#endpoints.length) return now < deadline - 100
    const faults = [...failures.values()].map((failure) => failure.fault)
    if (faults.every((fault) => fault === 'tls')) return false
    if (faults.includes('interrupted')) return now < deadline - 600
    return now < Math.min(started + REFUSED_MS, deadline - 600)
  }

  async #metadata(endpoint: Endpoint, deadline: number): Promise<Metadata> {
    const metadata = new Metadata()
    if (this.#options.username === '') return metadata
    this.#token ??= this.#login(endpoint, deadline)
    const login = this.#token
    try {
      const token = await login
      if (token !== '') metadata.set('token', token)
    } catch (error) {
      if (this.#token === login) this.#token = undefined
      throw error
    }
    return metadata
  }

  async #login(endpoint: Endpoint, deadline: number): Promise<string> {
    const { username, passwordFile } = this.#options
    const request = { name: username, password: readPassword(passwordFile) }
    const signal = new AbortController().signal
    try {
      return (await endpoint.call({ method: Auth.method.authenticate, request, metadata: new Metadata(), deadline, signal })).token
    } catch (error) {
      if (!isServiceError(error)) throw error
      if (/authentication is not enabled/.test(error.details)) return ''
      if (faultOf(error) !== 'login') throw error
      throw storeError(
        'login',
        `etcd at ${endpoint.url} refused: the user ${JSON.stringify(username)} or the password in ${passwordFile} is wrong`,
        error,
      )
    }
  }
}

type Failures = ReadonlyMap<Endpoint, { readonly fault: Fault; readonly reason: string }>

function isElsewhereWorthIt(fault: Fault): boolean {
  return fault === 'unreachable' || fault === 'tls' || fault === 'interrupted'
}

/** What all failures together are: only if no endpoint could be reached at all is it sure that nothing was done. */
function worst(failures: Failures): Fault {
  const faults = [...failures.values()].map((failure) => failure.fault)
  return faults.find((fault) => fault === 'interrupted') ?? faults.find((fault) => fault === 'unreachable') ?? 'tls'
}

function describe(failures: Failures): string {
  const reasons = [...failures].map(([endpoint, { reason }]) => `${endpoint.url}: ${reason}`)
  return `etcd did not answer (${reasons.join('; ')})`
}

function readPassword(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw new StoreError(`cannot read the password file ${path}`, { code: 'store-auth', isTransient: false, cause })
  }
}

/** gRPC writes to standard error by itself; its words belong into our log. */
function quietGrpc(log: Logger): void {
  const write = (message: unknown): void => log.debug({ reason: describeError(message) }, 'grpc said something')
  setLogger({ error: write, info: write, debug: write })
}
