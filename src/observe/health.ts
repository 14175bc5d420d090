import { createServer, type Server, type ServerResponse } from 'node:http'
import { MargayError } from '../errors.ts'
import { METRICS_TYPE, type Metric, renderMetrics } from './metrics.ts'

/** What the questions are answered from; read at each request. */
export interface HealthSource {
  /** Why the daemon is not alive; empty when it is. */
  notAlive(): readonly string[]
  /** Why the host is not ready; empty when it is. */
  notReady(): readonly string[]
  /** What is measured; read at each request. */
  readonly metrics: readonly Metric[]
}

/**
 * Serves `GET /liveness` and `GET /readiness`: 200, or 503 with the reasons, one a line; and `GET /metrics`. Resolves when it
 * listens.
 *
 * @throws {MargayError} that names the address where something else listens already
 */
export async function serveHealth(source: HealthSource, host: string, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'only GET is served here')
    else if (path === '/liveness') answerHealth(response, 'live', source.notAlive())
    else if (path === '/readiness') answerHealth(response, 'ready', source.notReady())
    else if (path === '/metrics') answerMetrics(response, source.metrics)
    else answer(response, 404, 'there is /liveness, /readiness and /metrics')
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(explain(cause, host, port)))
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
  return server
}

function explain(cause: NodeJS.ErrnoException, host: string, port: number): MargayError {
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const options = { cause }
  if (cause.code !== 'EADDRINUSE')
    return new MargayError('port-taken', `could not listen on ${at} for health checks (health.host, health.port)`, options)
  const cure = `ss -ltnp 'sport = :${port}' names it; or give health.port another`
  return new MargayError('port-taken', `${at}, where health checks shall be served, is taken by another program: ${cure}`)
}

function answerHealth(response: ServerResponse, good: string, reasons: readonly string[]): void {
  if (reasons.length === 0) answer(response, 200, good)
  else answer(response, 503, reasons.join('\n'))
}

function answerMetrics(response: ServerResponse, metrics: readonly Metric[]): void {
  response.writeHead(200, { 'content-type': METRICS_TYPE, connection: 'close' })
  response.end(renderMetrics(metrics))
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
  response.end(`${body}\n`)
}
