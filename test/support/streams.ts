import { openUdp, until } from './nft-lab.ts'
import { connectTcp, listenTcp, type TcpEnd, type TcpListener } from './tcp.ts'

/** A namespace with an address in it. */
export interface Site {
  readonly namespace: { readonly name: string; readonly path: string }
  readonly address: string
}

/** A flow on which somebody sends every few milliseconds. */
export interface Stream {
  readonly name: string
  /** How many bytes or packets have come, at both ends together. */
  received(): number
  /** When the last one came (performance.now). */
  lastMs(): number
  /** What the sender was told: ECONNRESET, or undefined while nobody told it anything. */
  fate(): string | undefined
  close(): void
}

/** Who sends: the client only, the server only, or the client what the server gives back. */
export type StreamKind = 'push' | 'pull' | 'echo'

const EVERY_MS = 20

/** Opens a TCP connection and sends on it; resolves when something has come. */
export async function streamTcp(
  kind: StreamKind,
  from: Site,
  port: number,
  to: Site & { readonly port: number },
  listener: TcpListener,
): Promise<Stream> {
  const client = await connectTcp(from.namespace, from.address, port, to.address, to.port)
  const server = await until('the other end', () =>
    listener.ends.find(({ socket }) => socket.remotePort === port && socket.remoteFamily === familyName(from)),
  )
  const sender = kind === 'pull' ? server : client
  if (kind === 'echo') server.socket.on('data', (bytes) => void (server.fate() === undefined && server.socket.write(bytes)))
  const ends: readonly TcpEnd[] = [client, server]
  let lastMs = 0
  for (const { socket } of ends) {
    socket.on('data', () => {
      lastMs = performance.now()
    })
  }
  const timer = setInterval(() => sender.fate() === undefined && sender.socket.write('x'), EVERY_MS)
  const received = () => client.received() + server.received()
  await until('a first byte', () => (received() > 0 ? true : undefined))
  return {
    name: `TCP ${kind} ${from.address} > ${to.address}`,
    received,
    lastMs: () => lastMs,
    fate: () => sender.fate(),
    close() {
      clearInterval(timer)
      for (const { socket } of ends) socket.destroy()
    },
  }
}

/** The same over UDP: each side sends, and knows nothing of the other. */
export async function streamUdp(from: Site, port: number, to: Site & { readonly port: number }): Promise<Stream> {
  const [client, server] = [openUdp(from.namespace, from.address, port), openUdp(to.namespace, to.address, to.port)]
  let [received, lastMs] = [0, 0]
  const timer = setInterval(() => {
    client.send(to.address, to.port)
    server.send(from.address, port)
    for (const socket of [client, server]) {
      while (socket.receive() !== undefined) {
        received++
        lastMs = performance.now()
      }
    }
  }, EVERY_MS)
  const stream: Stream = {
    name: `UDP ${from.address} > ${to.address}`,
    received: () => received,
    lastMs: () => lastMs,
    fate: () => undefined,
    close() {
      clearInterval(timer)
      client.close()
      server.close()
    },
  }
  await until('a first packet', () => (received > 2 ? true : undefined))
  return stream
}

/** Waits until each has got more. */
export async function untilGoOn(streams: readonly Stream[]): Promise<void> {
  const before = streams.map((stream) => stream.received())
  await until('streams to go on', () => (streams.every((stream, i) => stream.received() >= (before[i] ?? 0) + 30) ? true : undefined))
}

export { listenTcp }

function familyName({ address }: Site): string {
  return address.includes(':') ? 'IPv6' : 'IPv4'
}
