import { createServer, type Server, Socket } from 'node:net'
import { loadNative } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { familyOf, type Ip, ipToBytes } from '../../src/net/ip.ts'
import { type Namespace, until } from './nft-lab.ts'

type Place = Pick<Namespace, 'name' | 'path'>

/** One end of a TCP connection inside a namespace. */
export interface TcpEnd {
  readonly socket: Socket
  /** Its own port. */
  readonly port: number
  /** How many bytes have come. */
  readonly received: () => number
  /** ECONNRESET and the like, `end`, or undefined while it lives. */
  readonly fate: () => string | undefined
}

/** A listener inside a namespace with the connections that it got. */
export interface TcpListener {
  readonly ends: readonly TcpEnd[]
  close(): void
}

export function listenTcp(namespace: Place, address: string, port: number): TcpListener {
  const ends: TcpEnd[] = []
  const server: Server = createServer((socket) => ends.push(watchEnd(socket)))
  server.listen({ fd: openTcp(namespace, address, port) })
  return {
    ends,
    close() {
      for (const { socket } of ends) socket.destroy()
      server.close()
    },
  }
}

/** Connects from an address and a port of its own; fails with the kernel's word where nobody answers in three seconds. */
export async function connectTcp(namespace: Place, from: string, port: number, to: string, toPort: number): Promise<TcpEnd> {
  const socket = new Socket({ fd: openTcp(namespace, from, port), readable: true, writable: true })
  const end = watchEnd(socket)
  let isConnected = false
  socket.connect({ host: to, port: toPort }, () => {
    isConnected = true
  })
  try {
    await until(`TCP from ${from} to ${to} port ${toPort}`, () => (isConnected || end.fate() ? true : undefined))
  } catch (error) {
    socket.destroy()
    throw error
  }
  if (end.fate()) throw new Error(`TCP from ${from} to ${to} port ${toPort}: ${end.fate()}`)
  return { ...end, port: socket.localPort ?? 0 }
}

function watchEnd(socket: Socket): TcpEnd {
  let fate: string | undefined
  let received = 0
  socket.setNoDelay(true)
  socket.on('data', (bytes) => {
    received += bytes.length
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    fate ??= error.code ?? error.message
  })
  socket.on('end', () => {
    fate ??= 'end'
  })
  return { socket, port: socket.localPort ?? 0, received: () => received, fate: () => fate }
}

const AF = { 4: 2, 6: 10 } as const
const SOCK_STREAM = 1
const SOL_SOCKET = 1
const SO_REUSEADDR = 2

function openTcp(namespace: Place, address: string, port: number): number {
  const native = loadNative()
  const family = familyOf(address)
  const fd = withNetns(namespace.path, () => native.socket(AF[family], SOCK_STREAM, 0))
  native.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
  const name = Buffer.alloc(family === 4 ? 16 : 28)
  name.writeUInt16LE(AF[family], 0)
  name.writeUInt16BE(port, 2)
  name.set(ipToBytes(address as Ip), family === 4 ? 4 : 8)
  const bound = native.bind(fd, name)
  if (bound < 0) throw new Error(`could not bind TCP ${address} port ${port} in ${namespace.name}: errno ${-bound}`)
  return fd
}
