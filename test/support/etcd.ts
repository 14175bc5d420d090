import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificates, type Pki } from './pki.ts'

/** What `startEtcd` should start; everything has a default. */
export interface EtcdOptions {
  readonly members?: number
  /** Serves TLS and demands client certificates of the CA that comes with it. */
  readonly tls?: boolean
  /** Serves TLS with these files and demands no client certificate; the cluster is not waited for beyond its listening. */
  readonly certificate?: { readonly ca: string; readonly cert: string; readonly key: string }
  /** Turns authentication on: root/rootpw, and agent/agentpw who may read and write what margay uses. */
  readonly auth?: boolean
  /** Data folder, kept when the cluster is closed; without, one of its own that goes with it. */
  readonly dir?: string
  readonly flags?: readonly string[]
}

/** One member of a cluster under test. */
export interface EtcdMember {
  readonly endpoint: string
  readonly clientPort: number
  /** SIGKILL, as a power cut. Resolves when it is gone. */
  kill(): Promise<void>
  /** SIGTERM. */
  stop(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers, as behind a broken network. */
  pause(): void
  resume(): void
  /** Starts it again with the same data; resolves when it listens. */
  start(): Promise<void>
}

/** A real etcd on loopback. */
export interface EtcdCluster {
  readonly endpoints: readonly string[]
  readonly members: readonly EtcdMember[]
  /** With `tls`: the certificates. */
  readonly pki: Pki | undefined
  /** Runs etcdctl against the first running member; gives what it printed. */
  ctl(...args: string[]): string
  /** Removes the data of all members, which must be down: they start as a new cluster. */
  wipe(): void
  close(): Promise<void>
}

/** Finds a Debian binary: `$MARGAY_ETCD` and its neighbour, what set-up unpacked under `.cache/debian`, then PATH. */
export function findEtcd(name: 'etcd' | 'etcdctl' = 'etcd'): string {
  const given = process.env.MARGAY_ETCD
  if (given !== undefined && given !== '') return name === 'etcd' ? given : given.replace(/etcd$/, 'etcdctl')
  const unpacked = join(process.cwd(), '.cache/debian/usr/bin', name)
  return existsSync(unpacked) ? unpacked : name
}

/** Starts an etcd of 1 to 5 members with timings for tests, and waits until it answers. End it with `close`, always. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdCluster> {
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  const dir = options.dir ?? mkdtempSync(join(base, `mgt-${process.pid}-etcd-`))
  mkdirSync(dir, { recursive: true })
  const pki = options.tls ? makeCertificates(join(dir, 'pki')) : undefined
  const ports = await freePorts(2 * (options.members ?? 1))
  const initial = ports.flatMap((port, i) => (i % 2 ? [`m${(i - 1) / 2}=http://127.0.0.1:${port}`] : [])).join(',')
  const members = Array.from({ length: options.members ?? 1 }, (_, i) => {
    const [clientPort = 0, peerPort = 0] = ports.slice(2 * i)
    return new Member({
      name: `m${i}`,
      dir,
      clientPort,
      peerPort,
      initial,
      pki,
      flags: [...certificateFlags(options), ...(options.flags ?? [])],
      isTls: pki !== undefined || options.certificate !== undefined,
    })
  })
  const cluster = makeCluster({ members, dir, pki, keepDir: options.dir !== undefined, hasAuth: options.auth === true })
  try {
    await Promise.all(members.map((member) => member.start()))
    if (!options.certificate) await waitUntil(() => cluster.isHealthy(), 15_000, 'etcd did not get healthy')
    if (options.auth) enableAuth(cluster)
  } catch (error) {
    await cluster.close()
    throw error
  }
  return cluster
}

/** Waits for a condition without a fixed sleep; throws with this message after the deadline. */
export async function waitUntil(condition: () => boolean | Promise<boolean>, timeoutMs: number, message: string): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${message} within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** So many TCP ports of loopback that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

interface MemberOptions {
  readonly name: string
  readonly dir: string
  readonly clientPort: number
  readonly peerPort: number
  readonly initial: string
  readonly pki: Pki | undefined
  readonly isTls: boolean
  readonly flags: readonly string[]
}

function certificateFlags({ certificate }: EtcdOptions): string[] {
  return certificate ? ['--cert-file', certificate.cert, '--key-file', certificate.key] : []
}

class Member implements EtcdMember {
  readonly endpoint: string
  readonly clientPort: number
  readonly #options: MemberOptions
  #child: ChildProcess | undefined

  constructor(options: MemberOptions) {
    this.#options = options
    this.clientPort = options.clientPort
    this.endpoint = `${options.isTls ? 'https' : 'http'}://127.0.0.1:${options.clientPort}`
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  async start(): Promise<void> {
    if (this.#child) return
    const { dir, name } = this.#options
    const log = openSync(join(dir, `${name}.log`), 'a')
    // The kernel ends etcd when this process dies, also by kill -9: no test leaves one behind.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', findEtcd(), ...this.#flags()], { stdio: ['ignore', log, log] })
    this.#child = child
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
    await waitUntil(() => this.#accepts(), 10_000, `etcd ${name} did not listen`)
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  stop(): Promise<void> {
    return this.kill('SIGTERM')
  }

  pause(): void {
    const child = this.#child
    if (!child) return
    child.kill('SIGSTOP')
    // The signal takes effect a moment later, thread by thread: until then a call would still be answered.
    const deadline = Date.now() + 1000
    while (!isStopped(child.pid ?? 0) && Date.now() < deadline);
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  #flags(): string[] {
    const { name, dir, peerPort, initial, pki, flags } = this.#options
    const tls = pki ? ['--cert-file', pki.serverCert, '--key-file', pki.serverKey, '--trusted-ca-file', pki.ca, '--client-cert-auth'] : []
    return [
      ...[
        '--name',
        name,
        '--data-dir',
        join(dir, name),
        '--logger',
        'zap',
        '--log-level',
        'warn',
        '--unsafe-no-fsync',
        '--bcrypt-cost',
        '4',
      ],
      ...['--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint, '--initial-cluster', initial],
      ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peerPort}`],
      ...(initial.includes(',')
        ? ['--heartbeat-interval', '50', '--election-timeout', '500']
        : ['--heartbeat-interval', '10', '--election-timeout', '100']),
      ...tls,
      ...flags,
    ]
  }

  #accepts(): Promise<boolean> {
    if (!this.#child)
      throw new Error(`etcd ended at once:\n${readFileSync(join(this.#options.dir, `${this.#options.name}.log`), 'utf8').slice(-2000)}`)
    return new Promise((resolve) => {
      const socket = connect(this.clientPort, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
  }
}

/** Whether the kernel has stopped every thread of the process: state T behind the name in parentheses, proc(5). */
function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`)
  return threads.every((thread) => /\) T /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')))
}

interface ClusterParts {
  readonly members: readonly Member[]
  readonly dir: string
  readonly pki: Pki | undefined
  readonly keepDir: boolean
  readonly hasAuth: boolean
}

function makeCluster({ members, dir, pki, keepDir, hasAuth }: ClusterParts) {
  let isAuthOn = false
  const ctl = (...args: string[]): string => {
    const member = members.find((candidate) => candidate.isRunning) ?? members[0]
    const tls = pki ? ['--cacert', pki.ca, '--cert', pki.rootCert, '--key', pki.rootKey] : []
    const user = isAuthOn ? ['--user', 'root:rootpw'] : []
    const all = ['--endpoints', member?.endpoint ?? '', '--command-timeout', '5s', ...tls, ...user, ...args]
    return execFileSync(findEtcd('etcdctl'), all, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ETCDCTL_API: '3' },
    })
  }
  return {
    endpoints: members.map((member) => member.endpoint),
    members,
    pki,
    ctl(...args: string[]): string {
      const printed = ctl(...args)
      if (hasAuth && args.join(' ') === 'auth enable') isAuthOn = true
      return printed
    },
    isHealthy(): boolean {
      try {
        ctl('get', 'health')
        return true
      } catch {
        return false
      }
    },
    wipe(): void {
      for (const [i] of members.entries()) rmSync(join(dir, `m${i}`), { recursive: true, force: true })
    },
    async close(): Promise<void> {
      await Promise.all(members.map((member) => member.kill()))
      if (!keepDir) rmSync(dir, { recursive: true, force: true })
    },
  }
}

const AGENT_PREFIXES = ['/calico/', '/margay/'] as const

function enableAuth(cluster: EtcdCluster): void {
  cluster.ctl('user', 'add', 'root:rootpw')
  cluster.ctl('user', 'grant-role', 'root', 'root')
  cluster.ctl('role', 'add', 'agent')
  for (const prefix of AGENT_PREFIXES) cluster.ctl('role', 'grant-permission', 'agent', 'readwrite', prefix, '--prefix=true')
  cluster.ctl('user', 'add', 'agent:agentpw')
  cluster.ctl('user', 'grant-role', 'agent', 'agent')
  cluster.ctl('auth', 'enable')
}
