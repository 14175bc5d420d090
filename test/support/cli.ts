import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context, ExitCode, Program } from '../../src/cli/context.ts'
import { runCli } from '../../src/cli/program.ts'
import { MargayError } from '../../src/errors.ts'
import type { StatusReport } from '../../src/model/own/api.ts'
import type { Store } from '../../src/store/store.ts'

/** What one run of the command line wrote, and its exit code. For tests. */
export interface Run {
  readonly code: ExitCode
  readonly out: string
  readonly err: string
}

/** What a test's command line has of the world. */
export interface World {
  readonly program?: Program
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly store?: Store
  readonly now?: Date
}

/** Runs the command line in a world of its own. For tests. */
export async function run(argv: readonly string[], world: World = {}): Promise<Run> {
  const written = { out: '', err: '' }
  const code = await runCli(argv, aContext(world, written))
  return { code, ...written }
}

/** What a command is given; what it writes is added to `written`. For tests. */
export function aContext(world: World = {}, written: { out: string; err: string } = { out: '', err: '' }): Context {
  return {
    program: world.program ?? 'margay',
    out: (text) => {
      written.out += text
    },
    err: (text) => {
      written.err += text
    },
    isRead: () => true,
    stdin: async () => world.stdin ?? '',
    env: world.env ?? {},
    hostname: 'h1',
    sshConnections: () => (world.env?.['SSH_CONNECTION'] === undefined ? [] : [world.env['SSH_CONNECTION']]),
    now: () => world.now ?? new Date('2026-01-02T03:04:05Z'),
    openStore: async () => {
      if (world.store === undefined) throw new MargayError('store', 'this test has no store')
      return world.store
    },
    version: '1.2.3',
    signal: new AbortController().signal,
  }
}

/** One request that a fake daemon got. */
export interface Asked {
  readonly method: string
  readonly url: string
  readonly body: unknown
}

/** A daemon that answers as it is told, on a socket of its own. For tests. */
export interface FakeDaemon {
  readonly socket: string
  readonly asked: readonly Asked[]
  close(): void
}

/** Starts a fake daemon; `answer` gives status and body. */
export async function startFakeDaemon(
  answer: (asked: Asked) => { readonly status?: number; readonly body?: unknown },
): Promise<FakeDaemon> {
  const folder = mkdtempSync(join(tmpdir(), 'mgt-api-'))
  const socket = join(folder, 'margay.sock')
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const one = { method: request.method ?? '', url: request.url ?? '', body }
      asked.push(one)
      const { status = 200, body: reply } = answer(one)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(reply === undefined ? undefined : typeof reply === 'string' ? reply : JSON.stringify(reply))
    })
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  const close = () => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { socket, asked, close }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const part of request.setEncoding('utf8')) text += part
  return text === '' ? undefined : JSON.parse(text)
}

/** A status report of a healthy host with one peer. For tests. */
export function aStatus(more: Partial<StatusReport> = {}): StatusReport {
  return {
    node: 'h1',
    version: '1.2.3',
    mode: { configured: 'vxlan', pools: 'vxlan', isDifferent: false },
    isReady: true,
    notReady: [],
    store: { endpoints: ['http://192.0.2.1:2379'], isConnected: true, isFromSavedView: false },
    revision: 42,
    appliedRevision: 42,
    addresses: ['192.0.2.1/24'],
    tunnelAddresses: ['10.65.0.0'],
    mtuBytes: 1450,
    peers: [
      {
        node: 'h2',
        underlay: ['192.0.2.2'],
        family: 4,
        mode: 'vxlan',
        tunnel: 'margay.vxlan',
        nextHop: '10.65.1.0',
        mtuBytes: 1450,
        blocks: 1,
        lastSeen: '2026-01-02T03:04:00Z',
        isAlive: true,
        isReachable: true,
      },
    ],
    workloads: 2,
    failures: [],
    repairs: 0,
    warnings: [],
    ...more,
  }
}
