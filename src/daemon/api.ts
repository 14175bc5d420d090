import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ConflictError, describeError, IpamError, MargayError, StoreError, ValidationError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { AttachRequest, DiffReport, PassReport, StatusReport, TableDump, WorkloadReport } from '../model/own/api.ts'
import type { ExposedReport, ExposedRequest } from '../model/own/exposed.ts'
import type { StatsReport } from '../model/own/flows.ts'
import type { ObservedReport, ObserveRequest } from '../model/own/observed.ts'
import { readSentChanges } from '../model/own/questions.ts'

/** What the API can be asked; each is one line of `model/own/api.ts`. */
export interface ApiHandlers {
  status(): StatusReport | Promise<StatusReport>
  desired(): TableDump | Promise<TableDump>
  diff(signal: AbortSignal): Promise<DiffReport>
  workloads(): readonly WorkloadReport[]
  workload(namespace: string, name: string): WorkloadReport | undefined
  attach(request: AttachRequest, signal: AbortSignal): Promise<WorkloadReport>
  /** False when there was no such workload. */
  detach(namespace: string, name: string, signal: AbortSignal): Promise<boolean>
  passes(): readonly PassReport[]
  /** Throws ValidationError with everything that is wrong with the configuration. */
  reload(): void
  /** Lines of JSON until the time is over or the caller hangs up. */
  record(seconds: number, signal: AbortSignal): AsyncIterable<string>
  /** The latest events as lines of JSON, or each new one until the caller hangs up. */
  flows(isFollowing: boolean, signal: AbortSignal): AsyncIterable<string> | Iterable<string>
  stats(signal: AbortSignal): Promise<StatsReport>
  observe(request: ObserveRequest, signal: AbortSignal): Promise<ObservedReport>
  exposed(request: ExposedRequest, signal: AbortSignal): Promise<ExposedReport>
}

/** A body larger than this is refused: the largest request is a workload's labels. Bytes. */
const BODY_LIMIT = 1 << 20

/** Who may use the socket. */
export interface SocketOwner {
  /** The group whose members may; without it the socket is root's alone. */
  readonly groupId: number | undefined
  /** The daemon's own folder for what runs. A socket elsewhere leaves the folder that it is in as it is. */
  readonly folder: string
}

/**
 * Serves the API on a unix socket: own folder 0750, socket 0660, of root and the group. A socket file that is left over is replaced:
 * the caller holds the lock by which there is one daemon.
 */
export async function serveApi(path: string, handlers: ApiHandlers, owner: SocketOwner, log: Logger): Promise<Server> {
  const isFolderOurs = mkdirSync(dirname(path), { recursive: true, mode: 0o750 }) !== undefined || dirname(path) === owner.folder
  rmSync(path, { force: true })
  const server = createServer((request, response) => {
    void answer(request, response, handlers).catch((error: unknown) => {
      logFault(log, request, error)
      sendError(response, error)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
  chmodSync(path, 0o660)
  if (owner.groupId !== undefined) chownSync(path, 0, owner.groupId)
  if (!isFolderOurs) return server
  chmodSync(dirname(path), 0o750)
  if (owner.groupId !== undefined) chownSync(dirname(path), 0, owner.groupId)
  return server
}

/** The caller is told the reason; here it is for who looks later. What is no error of ours comes with its stack. */
function logFault(log: Logger, request: IncomingMessage, error: unknown): void {
  const path = `${request.method} ${request.url}`
  if (!(error instanceof MargayError)) log.warn({ err: error, path }, 'api request failed')
  else log[request.method === 'GET' ? 'debug' : 'info']({ reason: describeError(error), path }, 'api request refused')
}

async function answer(request: IncomingMessage, response: ServerResponse, handlers: ApiHandlers): Promise<void> {
  const { url, parts: all } = parseUrl(request.url ?? '/')
  const hangUp = new AbortController()
  response.on('close', () => hangUp.abort())
  const [version, ...parts] = all
  if (version !== 'v1') throw new NotFound(`there is no ${url.pathname}: the API's paths begin with /v1`)
  const route = `${request.method} ${parts.join('/')}`
  if (parts[0] === 'workloads') return answerWorkloads(request, response, handlers, parts.slice(1), hangUp.signal)
  if (route === 'GET status') return sendJson(response, 200, await handlers.status())
  if (route === 'GET desired') return sendJson(response, 200, await handlers.desired())
  if (route === 'GET diff') return sendJson(response, 200, await handlers.diff(hangUp.signal))
  if (route === 'GET flows') return sendLines(response, handlers.flows(url.searchParams.get('follow') === 'true', hangUp.signal))
  if (route === 'GET policy/stats') return sendJson(response, 200, await handlers.stats(hangUp.signal))
  if (route === 'POST reload') {
    handlers.reload()
    return sendJson(response, 204, undefined)
  }
  if (route === 'POST audit/exposed')
    return sendJson(response, 200, await handlers.exposed(parseExposed(await readBody(request)), hangUp.signal))
  if (route === 'POST observe') return sendJson(response, 200, await handlers.observe(parseObserve(await readBody(request)), hangUp.signal))
  if (route === 'GET debug/passes') return sendJson(response, 200, handlers.passes())
  if (route === 'GET debug/record') return sendLines(response, handlers.record(secondsOf(url), hangUp.signal))
  throw new NotFound(`the API does not know ${request.method} ${url.pathname}`)
}

async function answerWorkloads(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ApiHandlers,
  [namespace, name]: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<void> {
  if (namespace === undefined && request.method === 'GET') return sendJson(response, 200, handlers.workloads())
  if (namespace === undefined && request.method === 'POST') {
    return sendJson(response, 200, await handlers.attach(parseAttach(await readBody(request)), signal))
  }
  if (namespace === undefined || name === undefined) throw new NotFound(`a workload is /v1/workloads/NAMESPACE/NAME`)
  if (request.method === 'DELETE') {
    if (await handlers.detach(namespace, name, signal)) return sendJson(response, 204, undefined)
    throw new NotFound(`this host has no workload ${namespace}/${name}`)
  }
  if (request.method !== 'GET') throw new NotFound(`the API does not know ${request.method} of a workload`)
  const report = handlers.workload(namespace, name)
  if (report === undefined) throw new NotFound(`this host has no workload ${namespace}/${name}`)
  sendJson(response, 200, report)
}

class NotFound extends MargayError {
  constructor(message: string) {
    super('not-found', message)
  }
}

function secondsOf(url: URL): number {
  const text = url.searchParams.get('seconds') ?? '30'
  const seconds = Number(text)
  if (!Number.isFinite(seconds) || seconds <= 0) throw new ValidationError(`seconds must be a positive number, not ${JSON.stringify(text)}`)
  return seconds
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  let length = 0
  // Read to its end also when it is too long: who still writes would not see the answer.
  for await (const chunk of request.setEncoding('utf8')) {
    length += chunk.length
    if (length <= BODY_LIMIT) text += chunk
  }
  if (length > BODY_LIMIT) throw new ValidationError(`the request is over ${BODY_LIMIT} bytes`)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ValidationError('the request is not JSON', [], { cause })
  }
}

function parseUrl(text: string): { readonly url: URL; readonly parts: readonly string[] } {
  try {
    const url = new URL(`http://margay${text}`)
    return { url, parts: url.pathname.split('/').slice(1).map(decodeURIComponent) }
  } catch (cause) {
    throw new ValidationError(`not a path: ${JSON.stringify(text)}`, [], { cause })
  }
}

function parseObserve(body: unknown): ObserveRequest {
  const { changes, seconds } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  if (typeof seconds !== 'number' || !(seconds >= 1 && seconds <= 86_400))
    throw new ValidationError('seconds must be a number from 1 to 86400')
  return { changes: readSentChanges(changes), seconds }
}

function parseExposed(body: unknown): ExposedRequest {
  const from = typeof body === 'object' && body !== null && 'from' in body ? body.from : undefined
  if (from !== undefined && typeof from !== 'string') throw new ValidationError('from must be a string')
  return from === undefined ? {} : { from }
}

/** Checks the shape of an attach request; values are checked where they are used. */
function parseAttach(body: unknown): AttachRequest {
  const given = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const issues: string[] = []
  const text = (key: string) => {
    const value = given[key]
    if (value !== undefined && typeof value !== 'string') issues.push(`${key} must be a string`)
    return typeof value === 'string' ? value : undefined
  }
  const texts = (key: string) => {
    const value = given[key]
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value as readonly string[]
    issues.push(`${key} must be a list of strings`)
    return undefined
  }
  const pid = given['pid']
  if (pid !== undefined && !(Number.isInteger(pid) && Number(pid) > 0)) issues.push('pid must be a positive integer')
  const [name, namespace, netns, ips, pools] = [text('name'), text('namespace') ?? 'default', text('netns'), texts('ips'), texts('pools')]
  if (!name) issues.push('name is missing')
  if ((netns === undefined) === (pid === undefined)) issues.push('exactly one of netns and pid must be given')
  const labels = given['labels'] ?? {}
  if (typeof labels !== 'object' || labels === null || Object.values(labels).some((value) => typeof value !== 'string')) {
    issues.push('labels must be an object of strings')
  }
  if (issues.length > 0) throw new ValidationError(`bad workload request: ${issues.join('; ')}`)
  return {
    name: name ?? '',
    namespace,
    labels: labels as Readonly<Record<string, string>>,
    ...(netns === undefined ? {} : { netns }),
    ...(pid === undefined ? {} : { pid: Number(pid) }),
    ...(ips === undefined ? {} : { ips }),
    ...(pools === undefined ? {} : { pools }),
  }
}

async function sendLines(response: ServerResponse, lines: AsyncIterable<string> | Iterable<string>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  // Who follows is to know that it listens before the first line comes.
  response.flushHeaders()
  try {
    await pipeline(Readable.from(lines), withNewlines, response)
  } catch (error) {
    // Who hangs up has seen enough.
    if (!response.destroyed) throw error
  }
}

async function* withNewlines(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(body === undefined ? undefined : `${JSON.stringify(body)}\n`)
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const code = error instanceof MargayError ? error.code : 'internal'
  sendJson(response, statusOf(error), { error: { code, message: describeError(error) } })
}

function statusOf(error: unknown): number {
  if (error instanceof ValidationError) return 400
  if (error instanceof NotFound || (error instanceof ConflictError && error.code === 'not-found')) return 404
  if (error instanceof ConflictError || error instanceof IpamError) return 409
  if (error instanceof StoreError) return 503
  return error instanceof MargayError ? 503 : 500
}
