import { type IncomingMessage, request } from 'node:http'
import { MargayError } from '../errors.ts'
import type { ApiError } from '../model/own/api.ts'

/** What a request to the daemon needs. */
export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  /** Already escaped. */
  readonly path: string
  readonly body?: unknown
  /** Milliseconds without a byte after which the daemon counts as stuck. */
  readonly timeoutMs?: number
}

/** Speaks HTTP with the daemon over its unix socket. */
export interface ApiClient {
  /** The answer's body, or undefined for 204. Daemon and command line are of one version, so its shape is not checked again. */
  call<T>(request: ApiRequest): Promise<T>
  /** The answer's body as it arrives. */
  stream(request: ApiRequest): Promise<AsyncIterable<Buffer>>
}

/** A client of the daemon that listens on this socket. */
export function createApiClient(socketPath: string, signal: AbortSignal): ApiClient {
  const ask = (asked: ApiRequest) => send(socketPath, asked, signal)
  return {
    async call<T>(asked: ApiRequest) {
      const text = await readAll(await ask(asked))
      return (text === '' ? undefined : parseJson(text, asked)) as T
    },
    stream: ask,
  }
}

async function send(socketPath: string, asked: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const { method = 'GET', path, body, timeoutMs = 10_000 } = asked
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const sent = request({ socketPath, method, path, headers, signal }, resolve)
    const stuck = () => sent.destroy(new MargayError('timeout', `margayd did not answer within ${timeoutMs / 1000} s: ${method} ${path}`))
    sent.setTimeout(timeoutMs, stuck)
    sent.on('error', (cause: NodeJS.ErrnoException) => reject(explain(socketPath, cause)))
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
  const status = response.statusCode ?? 500
  if (status < 400) return response
  throw refused(await readAll(response), status)
}

/** Why there is no answer, in words that say what to do. */
function explain(socketPath: string, cause: NodeJS.ErrnoException): Error {
  if (cause instanceof MargayError) return cause
  switch (cause.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new MargayError(
        'daemon-away',
        `margayd is not running on this host (nobody listens on ${socketPath}); start it with "systemctl start margayd"`,
      )
    case 'EACCES':
    case 'EPERM':
      return new MargayError('permission', `no permission to use ${socketPath}; run this as root or as a member of the group that owns it`)
    default:
      return new MargayError('daemon-away', `margayd could not be asked on ${socketPath}`, { cause })
  }
}

function refused(text: string, status: number): MargayError {
  try {
    const { error } = JSON.parse(text) as ApiError
    if (typeof error.code === 'string' && typeof error.message === 'string') return new MargayError(error.code, error.message)
  } catch {
    // Not the daemon's own answer: its text is all there is to say.
  }
  return new MargayError('daemon', `margayd answered with status ${status}: ${text.slice(0, 200)}`)
}

async function readAll(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  try {
    for await (const part of response) parts.push(part)
  } catch (cause) {
    throw new MargayError('daemon-away', 'margayd ended the connection before its answer was complete', { cause })
  }
  return Buffer.concat(parts).toString('utf8')
}

function parseJson(text: string, asked: ApiRequest): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MargayError('daemon', `margayd's answer to ${asked.path} is not JSON`, { cause })
  }
}
