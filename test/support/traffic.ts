import { createSocket, type Socket } from 'node:dgram'
import { type Place, run } from '../../scripts/lab/command.ts'
import { checked, loadNative } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { familyOf, type Ip, ipToBytes } from '../../src/net/ip.ts'

/** A network namespace of a lab. */
export interface End extends Place {
  readonly path: string
}

/** What is sent: `tcp 80`, `udp 53`, or `icmp` (echo requests). */
export type Flow = string

/** Whether all of several packets got through and were answered, or none of them. */
export type Passage = 'open' | 'closed'

/** Each is sent so often: once from each of so many new ports, and to each address. */
const TIMES = 3
/** Looks, 4 ms apart. Not a time: starting a program holds this process up, and answers that came meanwhile must be seen. */
const LOOKS = 100
const EVERY_MS = 4
const LOOKS_BEFORE_RESENDING = 20
/**
 * Source ports, each taken once: what comes from the port of an earlier look soon after it is no new flow to connection tracking, and
 * goes on where that one may (a host endpoint that comes tolerates what was there before it). Below those that the kernel gives by itself.
 */
const SOURCE_PORTS = { first: 12_000, last: 32_000 } as const
let lastSourcePort: number = SOURCE_PORTS.last

const AF = { 4: 2, 6: 10 } as const
const SOCK = { stream: 1, datagram: 2 } as const
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SOL_IPV6 = 41
const IPV6_V6ONLY = 26
const [EAGAIN, EALREADY, EISCONN, ECONNREFUSED, EINPROGRESS] = [11, 114, 106, 111, 115]

/**
 * What becomes of each of these flows from one end to the addresses of another, three new connections or packets an address: a TCP
 * connection that is refused because nobody listens there got through, too; UDP must be echoed (`echoUdp`).
 *
 * @param from a source port that all have, where rules ask for it
 */
export async function passages(
  from: End,
  to: readonly string[],
  flows: readonly Flow[],
  sourcePort?: number,
): Promise<Readonly<Record<Flow, string>>> {
  const found = await Promise.all(
    flows.map(async (flow) => [flow, summarize((await Promise.all(to.map((address) => passage(from, address, flow, sourcePort)))).flat())]),
  )
  return Object.fromEntries(found)
}

/**
 * What becomes of one TCP connection: taken, or refused by a kernel where nobody listens on the port, or never answered. A packet that is
 * dropped is sent again after a second, which is not waited for.
 *
 * @throws {Error} where it fails otherwise, as without a route
 */
export async function connection(from: End, to: string, port: number): Promise<Passage> {
  const error = await withSocket({ from, to, type: 'stream', port, sourcePort: nextSourcePort() }, connectError)
  if (error !== 0 && error !== -EINPROGRESS) throw new Error(`${to} port ${port}: connect gives error ${-error}`)
  return error === 0 ? 'open' : 'closed'
}

/** The flows that get through, in their order. */
export async function openFlows(from: End, to: readonly string[], flows: readonly Flow[], sourcePort?: number): Promise<readonly Flow[]> {
  const found = await passages(from, to, flows, sourcePort)
  return flows.flatMap((flow) => (found[flow] === 'closed' ? [] : found[flow] === 'open' ? [flow] : [`${flow}: ${found[flow]}`]))
}

/** Echoes UDP on these ports of all addresses of an end; gives what ends it. */
export function echoUdp(at: End, ports: readonly number[]): () => void {
  const sockets = ports.map((port) => echoOn(at, port))
  return () => {
    for (const socket of sockets) socket.close()
  }
}

function summarize(answers: readonly boolean[]): string {
  const count = answers.filter(Boolean).length
  if (count === answers.length) return 'open'
  return count === 0 ? 'closed' : `${count} of ${answers.length}`
}

function passage(from: End, to: string, flow: Flow, sourcePort: number | undefined): Promise<readonly boolean[]> {
  const [protocol, port = ''] = flow.split(' ')
  if (protocol === 'icmp') return ping(from, to)
  const times = sourcePort === undefined ? TIMES : 1
  const attempts = Array.from({ length: times }, () =>
    attempt({ from, to, type: protocol === 'tcp' ? 'stream' : 'datagram', port: Number(port), sourcePort: sourcePort ?? nextSourcePort() }),
  )
  return Promise.all(attempts)
}

async function ping(from: End, to: string): Promise<readonly boolean[]> {
  const text = await run(from, ['sh', '-c', `ping -n -q -c ${TIMES} -i 0.02 -W 0.4 ${to}; true`])
  const received = Number(/(\d+) received/.exec(text)?.[1] ?? Number.NaN)
  if (Number.isNaN(received)) throw new Error(`ping ${to} did not run: ${text}`)
  return Array.from({ length: TIMES }, (_, i) => i < received)
}

function nextSourcePort(): number {
  lastSourcePort = lastSourcePort < SOURCE_PORTS.last ? lastSourcePort + 1 : SOURCE_PORTS.first
  return lastSourcePort
}

interface Attempt {
  readonly from: End
  readonly to: string
  readonly type: keyof typeof SOCK
  readonly port: number
  readonly sourcePort: number
}

function attempt({ type, ...rest }: Attempt): Promise<boolean> {
  return withSocket({ type, ...rest }, type === 'stream' ? async (fd, to) => (await connectError(fd, to)) === 0 : echoed)
}

/** Does something with a new socket of the namespace. */
async function withSocket<T>({ from, to, type, port, sourcePort }: Attempt, action: (fd: number, to: Buffer) => Promise<T>): Promise<T> {
  const native = loadNative()
  const family = familyOf(to)
  const fd = withNetns(from.path, () => checked(native.socket(AF[family], SOCK[type], 0), 'make a socket'))
  try {
    checked(native.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1), 'set SO_REUSEADDR')
    checked(native.bind(fd, socketAddress(family === 4 ? '0.0.0.0' : '::', sourcePort)), `bind port ${sourcePort}`)
    return await action(fd, socketAddress(to, port))
  } finally {
    native.close(fd)
  }
}

/** 0 if it is taken or refused, EINPROGRESS (negative) if nothing came back, else what went wrong. */
async function connectError(fd: number, to: Buffer): Promise<number> {
  const native = loadNative()
  for (let look = 0; look < LOOKS; look++) {
    const result = native.connect(fd, to)
    if (result === 0 || result === -EISCONN || result === -ECONNREFUSED) return 0
    if (result !== -EINPROGRESS && result !== -EALREADY) return result
    await pause()
  }
  return -EINPROGRESS
}

async function echoed(fd: number, to: Buffer): Promise<boolean> {
  const native = loadNative()
  const buffer = Buffer.alloc(64)
  if (native.connect(fd, to) < 0) return false
  for (let look = 0; look < LOOKS; look++) {
    // A machine with more to do than cores may lose one at a full queue; a rule that drops, drops each.
    if (look % LOOKS_BEFORE_RESENDING === 0) native.send(fd, Buffer.from('echo'))
    const length = native.recv(fd, buffer)
    if (length >= 0) return true
    if (length !== -EAGAIN && length !== -ECONNREFUSED) return false
    await pause()
  }
  return false
}

function echoOn(at: End, port: number): Socket {
  const native = loadNative()
  const fd = withNetns(at.path, () => checked(native.socket(AF[6], SOCK.datagram, 0), 'make a socket'))
  checked(native.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, 0), 'hear IPv4 too')
  checked(native.bind(fd, socketAddress('::', port)), `bind UDP port ${port}`)
  const socket = createSocket('udp6')
  socket.on('message', (bytes, { port: toPort, address }) => socket.send(bytes, toPort, address, () => undefined))
  // With a descriptor that is bound it listens at once.
  socket.bind({ fd })
  return socket
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, EVERY_MS))
}

function socketAddress(address: string, port: number): Buffer {
  const family = familyOf(address)
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(AF[family], 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(ipToBytes(address as Ip), family === 4 ? 4 : 8)
  return bytes
}
