import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { labEnv, type Place, start, stop, tryRun, until } from './command.ts'

/** An etcd that can be ended and started again with what it holds. */
export interface LabEtcd {
  readonly endpoint: string
  readonly logPath: string
  pid(): number | undefined
  start(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Calls back with each new value of a key, as soon as etcd tells it. */
  watch(key: string, onValue: (value: string) => void): { close(): void }
  /** Runs etcdctl against it and gives what it prints. */
  control(args: readonly string[]): Promise<string>
}

/** The command line of an etcd in a place of the lab, and how to reach it from that place. */
export interface EtcdSpec {
  readonly place: Place
  /** Holds the log, and the data where `argv` says so. */
  readonly folder: string
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly endpoint: string
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
}

/** A program of Debian's that set-up has unpacked, else the one in PATH. */
export function unpacked(path: string): string {
  const full = join(process.cwd(), '.cache/debian', path)
  return existsSync(full) ? full : (path.split('/').at(-1) ?? path)
}

/**
 * The command line of an etcd for tests at this address: one member, without waiting for the disk, and with short elections, so
 * that it serves after 0.1 s.
 */
export function plainEtcd(place: Place, folder: string, address: string): EtcdSpec {
  const endpoint = `http://${address.includes(':') ? `[${address}]` : address}:2379`
  const argv = [
    ...[unpacked('usr/bin/etcd'), '--name', 'lab', '--data-dir', join(folder, 'etcd')],
    ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380'],
    ...['--initial-cluster', 'lab=http://127.0.0.1:2380', '--heartbeat-interval', '10', '--election-timeout', '100'],
    ...['--unsafe-no-fsync', '--logger', 'zap', '--log-level', 'warn', '--bcrypt-cost', '4'],
  ]
  return { place, folder, argv, endpoint }
}

/** Starts an etcd and waits until it serves. */
export async function startEtcd(spec: EtcdSpec): Promise<LabEtcd> {
  mkdirSync(spec.folder, { recursive: true })
  const logPath = join(spec.folder, 'etcd.log')
  let child: ChildProcess | undefined
  const control = (args: readonly string[]) => runControl(spec, args)
  const etcd: LabEtcd = {
    endpoint: spec.endpoint,
    logPath,
    pid: () => child?.pid,
    control,
    watch: (key, onValue) => {
      const watcher = start(spec.place, [...controlArgs(spec), 'watch', key], {
        stdio: ['ignore', 'pipe', 'ignore'],
        env: labEnv({ ETCDCTL_API: '3' }),
      })
      watcher.stdout?.on('data', (chunk) => onValue(String(chunk)))
      return { close: () => watcher.kill('SIGKILL') }
    },
    start: async () => {
      const log = openSync(logPath, 'a')
      child = start(spec.place, [...envArgs(spec.env), ...spec.argv], { stdio: ['ignore', log, log] })
      child.unref()
      const running = child
      await until({ what: `etcd at ${spec.endpoint}`, deadlineMs: 20_000, everyMs: 30 }, async () => {
        if (running.exitCode !== null) throw new Error(`etcd ended with ${running.exitCode}: ${logTail(logPath)}`)
        return (await isServing(spec)) ? true : undefined
      })
    },
    stop: async (signal = 'SIGTERM') => {
      if (child !== undefined) await stop(child, signal)
    },
  }
  await etcd.start()
  return etcd
}

/** The last lines of a log, for errors. */
export function logTail(path: string, lines = 15): string {
  if (!existsSync(path)) return ''
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
}

function envArgs(env: Readonly<Record<string, string>> = {}): string[] {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  return settings.length === 0 ? [] : ['env', ...settings]
}

/** Asks the port first: etcdctl waits a whole second after a refused connection. */
async function isServing(spec: EtcdSpec): Promise<boolean> {
  const { hostname, port } = new URL(spec.endpoint)
  const probe = `exec 3<>/dev/tcp/${hostname.replace(/^\[|\]$/g, '')}/${port}`
  const { code } = await tryRun(spec.place, ['bash', '-c', probe])
  if (code !== 0) return false
  await runControl(spec, ['get', 'any', '--keys-only'])
  return true
}

async function runControl(spec: EtcdSpec, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tryRun(spec.place, [...controlArgs(spec), '--command-timeout', '3s', ...args], {
    env: { ETCDCTL_API: '3' },
  })
  if (code !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${stderr.trim()}`)
  return stdout
}

function controlArgs({ endpoint, tls }: EtcdSpec): string[] {
  const files = tls === undefined ? [] : ['--cacert', tls.ca, '--cert', tls.cert, '--key', tls.key]
  return [unpacked('usr/bin/etcdctl'), '--endpoints', endpoint, '--dial-timeout', '2s', ...files]
}
