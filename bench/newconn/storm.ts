import { once } from 'node:events'
import { createServer } from 'node:net'
import { checked, loadNative } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import type { Ip } from '../../src/net/ip.ts'
import { ipToBytes } from '../../src/net/ip.ts'

const AF_UNSPEC = 0
const AF_INET = 2
const SOCK_STREAM = 1
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const BACKLOG = 4096
const EINPROGRESS = 115

/** A listener that takes connections and closes them at once. */
export interface Listener {
  /** How many connections it has taken. */
  readonly taken: number
  close(): void
}

/** Listens in another namespace. What it does is done between storms, not in them. */
export async function listen(netns: string, address: string, port: number): Promise<Listener> {
  const native = loadNative()
  const fd = withNetns(netns, () => checked(native.socket(AF_INET, SOCK_STREAM, 0), 'make a socket'))
  checked(native.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1), 'set SO_REUSEADDR')
  checked(native.bind(fd, addressOf(address, port)), `bind ${address} port ${port}`)
  let taken = 0
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    taken += 1
    // The other side has gone already, most of the time.
    socket.on('error', () => undefined)
    socket.destroy()
  })
  server.listen({ fd }, BACKLOG)
  await once(server, 'listening')
  return {
    get taken() {
      return taken
    },
    close: () => void server.close(),
  }
}

/** What a storm came to. */
export interface Storm {
  readonly connections: number
  /** Of this thread, with all that the kernel did for it: between namespaces of one machine packets are worked on by who sends them. */
  readonly cpuUs: number
}

/**
 * Opens connections one after another and resets each at once: SYN, SYN-ACK, ACK, RST. Nothing else of this process runs meanwhile.
 *
 * @throws {KernelError} when a connection does not come about
 */
export function storm(netns: string, address: string, port: number, count: number): Storm {
  const native = loadNative()
  const fd = withNetns(netns, () => checked(native.socket(AF_INET, SOCK_STREAM, 0), 'make a socket'))
  const [to, nobody] = [addressOf(address, port), addressOf('0.0.0.0', 0, AF_UNSPEC)]
  try {
    const before = process.cpuUsage()
    for (let n = 0; n < count; n++) {
      const started = native.connect(fd, to)
      if (started !== -EINPROGRESS) checked(started, `connect to ${address} port ${port}`)
      // By now the answer has come: all of it was done in the first call.
      const deadline = Date.now() + 1000
      let answered = native.connect(fd, to)
      while (answered < 0 && Date.now() < deadline) answered = native.connect(fd, to)
      checked(answered, `connect to ${address} port ${port}`)
      checked(native.connect(fd, nobody), 'reset the connection')
    }
    const { user, system } = process.cpuUsage(before)
    return { connections: count, cpuUs: user + system }
  } finally {
    native.close(fd)
  }
}

function addressOf(address: string, port: number, family = AF_INET): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(family)
  bytes.writeUInt16BE(port, 2)
  bytes.set(ipToBytes(address as Ip), 4)
  return bytes
}
