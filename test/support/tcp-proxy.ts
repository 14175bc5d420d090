import { connect, createServer, type Socket } from 'node:net'

/** A TCP connection in the middle that can be cut, or go silent without a word, as a broken network does. */
export interface TcpProxy {
  readonly port: number
  /** Bytes from the server to clients so far. */
  readonly received: number
  /** Resets all connections. */
  cut(): void
  /** Swallows everything in both directions until `heal`; new connections are accepted and get no answer. */
  hole(): void
  /** Ends `hole`: connections that were in it are reset. */
  heal(): void
  /** Cuts all connections, once, instead of passing on the next bytes of the server, or those after so many more bytes. */
  cutReply(afterBytes?: number): void
  close(): Promise<void>
}

/** Opens a proxy on loopback to a port of loopback. */
export async function openProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  const state = { isHole: false, received: 0, cutAt: Number.POSITIVE_INFINITY }
  const cut = (): void => {
    for (const [client, server] of pairs) {
      client.resetAndDestroy()
      server.destroy()
    }
    pairs.clear()
  }
  const listener = createServer((client) => {
    const server = connect(targetPort, '127.0.0.1')
    const pair = [client, server] as const
    pairs.add(pair)
    client.on('data', (bytes) => state.isHole || server.write(bytes))
    server.on('data', (bytes) => {
      if (state.isHole) return
      state.received += bytes.length
      if (state.received > state.cutAt) {
        state.cutAt = Number.POSITIVE_INFINITY
        cut()
      } else if (!client.write(bytes)) {
        server.pause()
        client.once('drain', () => server.resume())
      }
    })
    for (const socket of pair) {
      socket.on('error', () => {})
      socket.on('close', () => {
        if (state.isHole || !pairs.delete(pair)) return
        client.destroy()
        server.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get received() {
      return state.received
    },
    cut,
    hole: () => {
      state.isHole = true
    },
    heal: () => {
      state.isHole = false
      cut()
    },
    cutReply: (afterBytes = 0) => {
      state.cutAt = state.received + afterBytes
    },
    close: async () => {
      cut()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
