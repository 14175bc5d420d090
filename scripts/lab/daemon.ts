import type { ChildProcess } from 'node:child_process'
import { openSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { StatusReport } from '../../src/model/own/api.ts'
import { NODE_FLAGS } from '../node-flags.mjs'
import { type Ended, labEnv, start, stop, tryRun, until } from './command.ts'
import { logTail } from './etcd.ts'
import { openNotifySocket } from './notify.ts'
import type { LabHost } from './topology.ts'

/** A configuration file's content, as JSON. */
export type ConfigFile = Readonly<Record<string, unknown>>

/** A host's daemon, which can be ended in every way and started again. */
export interface LabDaemon {
  readonly host: LabHost
  readonly logPath: string
  pid(): number
  isRunning(): boolean
  /** Writes the configuration file; the daemon reads it when it starts. */
  configure(config: ConfigFile): void
  /** Starts it; resolves with the milliseconds until it said READY=1, throws with its last words if it ends first. */
  start(deadlineMs?: number): Promise<number>
  /** Starts it without waiting, and gives how it ended. For what must be refused. */
  runToEnd(deadlineMs?: number): Promise<Ended>
  /** Starts it and does not wait for anything. */
  launch(): void
  stop(signal?: NodeJS.Signals): Promise<void>
  /** One GET on its socket. */
  get<T>(path: string): Promise<T>
  /** One POST on its socket. */
  post<T>(path: string, body: unknown): Promise<T>
  status(): Promise<StatusReport>
  /** Runs the command line on this host. */
  margay(args: readonly string[], input?: string): Promise<Ended>
  /** Releases what the lab itself holds for it. */
  close(): void
}

const READY_DEADLINE_MS = 30_000

/** The daemon of a host; not started yet. */
export function daemonOf(host: LabHost, config: ConfigFile): LabDaemon {
  const logPath = join(host.folder, 'margayd.log')
  const notify = openNotifySocket(join(host.folder, 'notify'))
  const argv = [process.execPath, ...NODE_FLAGS, builtProgram('margayd.js'), '--config', '/etc/margay/config.json']
  let child: ChildProcess | undefined
  const launch = () => {
    const log = openSync(logPath, 'a')
    child = start(host, argv, { stdio: ['ignore', log, log], env: labEnv({ NOTIFY_SOCKET: notify.path }) })
    child.unref()
    return child
  }
  const daemon: LabDaemon = {
    host,
    logPath,
    pid: () => child?.pid ?? 0,
    isRunning: () => child !== undefined && child.exitCode === null && child.signalCode === null,
    configure: (next) => writeFileSync(join(host.folder, 'etc/config.json'), `${JSON.stringify(next, undefined, 2)}\n`),
    launch,
    start: async (deadlineMs = READY_DEADLINE_MS) => {
      const begin = performance.now()
      const ended = new AbortController()
      const ready = notify.next('READY=1', ended.signal)
      const timer = setTimeout(() => ended.abort(new Error(`margayd on ${host.host} was not ready within ${deadlineMs} ms`)), deadlineMs)
      launch().once('exit', (code, signal) => ended.abort(new Error(`margayd on ${host.host} ended with ${signal ?? code}`)))
      try {
        return (await ready) - begin
      } catch (error) {
        throw new Error(`${error instanceof Error ? error.message : error}\n${logTail(logPath)}`)
      } finally {
        clearTimeout(timer)
      }
    },
    runToEnd: (deadlineMs = 10_000) => tryRun(host, argv, { timeoutMs: deadlineMs }),
    stop: async (signal = 'SIGTERM') => {
      if (child !== undefined) await stop(child, signal)
    },
    get: (path) => callApi(join(host.folder, 'run/margay.sock'), path, undefined),
    post: (path, body) => callApi(join(host.folder, 'run/margay.sock'), path, body),
    status: () => daemon.get<StatusReport>('/v1/status'),
    margay: (args, input) => tryRun(host, [process.execPath, builtProgram('margay.js'), ...args], input === undefined ? {} : { input }),
    close: () => notify.close(),
  }
  daemon.configure(config)
  return daemon
}

/** The path of a built program; a test run keeps a build of its own. */
export function builtProgram(name: string): string {
  return join(process.env['LAB_DIST'] ?? join(process.cwd(), 'dist'), name)
}

/** Waits until a daemon's status is as wanted. */
export function untilStatus(
  daemon: LabDaemon,
  what: string,
  isWanted: (status: StatusReport) => boolean,
  deadlineMs = 10_000,
): Promise<StatusReport> {
  return until({ what: `${what} on ${daemon.host.host}`, deadlineMs }, async () => {
    const status = await daemon.status()
    return isWanted(status) ? status : undefined
  })
}

/** One GET, or POST with a body, over a unix socket; 10 s at most. */
function callApi<T>(socketPath: string, path: string, body: unknown): Promise<T> {
  const method = body === undefined ? 'GET' : 'POST'
  const what = `${method} ${path}`
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method, headers: { 'content-type': 'application/json' }, timeout: 10_000 }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(JSON.parse(text) as T)
        else reject(new Error(`${what}: ${response.statusCode} ${text.trim()}`))
      })
    })
    call.on('timeout', () => call.destroy(new Error(`${what}: no answer within 10 s`)))
    call.on('error', reject)
    call.end(body === undefined ? undefined : JSON.stringify(body))
  })
}
