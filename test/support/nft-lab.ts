import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { loadNative } from '../../src/kernel/native.ts'
import { unpinNetns, withNetns } from '../../src/kernel/netns.ts'
import { familyOf, type Ip, ipToBytes, parseIp } from '../../src/net/ip.ts'

const ENV = { ...process.env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
const DEADLINE_MS = 3000
const AF_INET = 2
const AF_INET6 = 10
const SOCK_DGRAM = 2

/** A network namespace of a test's own. */
export interface Namespace {
  readonly name: string
  readonly path: string
  /** Runs a program inside and gives what it printed. */
  run(program: string, ...args: readonly string[]): string
  /** Runs lines of `ip` commands inside. */
  ip(...lines: readonly string[]): void
  remove(): void
}

/**
 * Makes `mgt-<pid>-<label>` with loopback up; it is removed when the process ends, too. Few processes are started: a kernel in user mode
 * takes a good part of a second for each.
 */
export function createNamespace(label: string): Namespace {
  const name = `mgt-${process.pid}-${label}`
  const path = `/run/netns/${name}`
  execFileSync('ip', ['netns', 'add', name], { env: ENV })
  const runWith = (input: string | undefined, program: string, args: readonly string[]) =>
    withNetns(path, () =>
      execFileSync(program, args, {
        env: ENV,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        ...(input === undefined ? { stdio: ['ignore', 'pipe', 'pipe'] } : { input, stdio: 'pipe' }),
      }),
    )
  const remove = () => {
    unpinNetns(path)
    process.off('exit', remove)
  }
  process.on('exit', remove)
  const namespace: Namespace = {
    name,
    path,
    remove,
    run: (program, ...args) => runWith(undefined, program, args),
    ip: (...lines) => {
      for (const [options, batch] of batches(lines)) runWith(batch.join('\n'), 'ip', [...options, '-batch', '-'])
    },
  }
  namespace.ip('link set lo up')
  // Without it link-local addresses are tentative for a second or two, and a router then can't ask for a neighbour.
  withNetns(path, () => {
    for (const conf of ['all', 'default']) writeFileSync(`/proc/sys/net/ipv6/conf/${conf}/accept_dad`, '0')
  })
  return namespace
}

/** Lines of `ip` commands in their order; a batch takes no options, so those with `-6` make batches of their own. */
function batches(lines: readonly string[]): readonly (readonly [readonly string[], readonly string[]])[] {
  const made: [string[], string[]][] = []
  for (const line of lines) {
    const is6 = line.startsWith('-6 ')
    const options = is6 ? ['-6'] : []
    const last = made.at(-1)
    const batch = last?.[0].length === options.length ? last[1] : []
    if (last?.[1] !== batch) made.push([options, batch])
    batch.push(is6 ? line.slice(3) : line)
  }
  return made
}

/** Joins two namespaces by a pair of interfaces, both up. */
export function joinNamespaces(a: Namespace, nameA: string, b: Namespace, nameB: string): void {
  a.ip(`link add ${nameA} type veth peer name ${nameB} netns ${b.name}`, `link set ${nameA} up`)
  b.ip(`link set ${nameB} up`)
}

/** A UDP socket inside a namespace. Synchronous, because only a synchronous stretch can be inside. */
export interface UdpSocket {
  /** Whether the packet went out. */
  send(to: string, port: number, text?: string): boolean
  /** The next packet's text, or undefined if none is queued. */
  receive(): string | undefined
  /** Waits until this text has come; gives all that came before it. */
  receiveUntil(text: string): Promise<string[]>
  close(): void
}

export function openUdp(namespace: Pick<Namespace, 'name' | 'path'>, address: string, port = 0): UdpSocket {
  const native = loadNative()
  const isV4 = familyOf(address) === 4
  const fd = withNetns(namespace.path, () => native.socket(isV4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0))
  const bound = native.bind(fd, socketAddress(address, port))
  if (bound < 0) throw new Error(`could not bind UDP ${address} port ${port} in ${namespace.name}: errno ${-bound}`)
  const buffer = Buffer.alloc(2048)
  const receive = () => {
    const length = native.recv(fd, buffer)
    return length < 0 ? undefined : buffer.toString('utf8', 0, length)
  }
  return {
    send: (to, toPort, text = 'x') => native.send(fd, Buffer.from(text), socketAddress(to, toPort)) >= 0,
    receive,
    close: () => void native.close(fd),
    async receiveUntil(text) {
      const before: string[] = []
      const last = await until(`${text} at ${address} port ${port}`, () => {
        for (let got = receive(); got !== undefined; got = receive()) {
          if (got === text) return true
          before.push(got)
        }
        return undefined
      })
      return last ? before : []
    },
  }
}

/** Waits for a value; looks again each 5 ms, gives up after three seconds. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const value = await look()
    if (value !== undefined) return value
    if (performance.now() > deadline) throw new Error(`waited ${DEADLINE_MS} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function socketAddress(address: string, port: number): Buffer {
  const ip: Ip = parseIp(address)
  const isV4 = familyOf(ip) === 4
  const bytes = Buffer.alloc(isV4 ? 16 : 28)
  bytes.writeUInt16LE(isV4 ? AF_INET : AF_INET6, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(ipToBytes(ip), isV4 ? 4 : 8)
  return bytes
}
