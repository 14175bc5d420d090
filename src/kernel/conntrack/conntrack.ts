import { type Message, MessageWriter } from '../netlink/message.ts'
import { failureError, NETLINK_NETFILTER, NetlinkSocket, SLICE_MS, yieldToLoop } from '../netlink/socket.ts'
import { AddressTexts, readConnection, writeDelete, writeList } from './codec.ts'
import type { Connection } from './connection.ts'

const ENOENT = 2
/** Requests in one send: should all fail, what is answered must fit into the socket's room. */
const BATCH = 256

/**
 * The kernel's table of connections (ctnetlink), of one network namespace. Empty where nothing uses connection tracking: the kernel tracks
 * only while a rule asks for it. One call at a time: a dump owns the socket until it is done.
 */
export class Conntrack {
  private readonly socket: NetlinkSocket
  private readonly writer = new MessageWriter()

  constructor(options: { readonly netns?: string | number | undefined } = {}) {
    this.socket = new NetlinkSocket(NETLINK_NETFILTER, options)
  }

  /**
   * All connections of both families, or those that are wanted, as they were at some moment while the list was read; gives way to the
   * event loop.
   *
   * @throws {KernelError} if the kernel has no connection tracking, or the list was lost for lack of room
   */
  async list(signal: AbortSignal, isWanted: (connection: Connection) => boolean = () => true): Promise<readonly Connection[]> {
    const all: Connection[] = []
    this.writer.reset()
    // One request for both: the kernel walks through its whole table for each, also through what is of other namespaces.
    writeList(this.writer)
    const texts = new AddressTexts()
    const visit = (message: Message) => {
      const connection = readConnection(message, texts)
      if (connection !== undefined && isWanted(connection)) all.push(connection)
    }
    await this.socket.dump(
      this.writer.bytes(),
      visit,
      () => {
        all.length = 0
      },
      signal,
    )
    return all
  }

  /**
   * Forgets these connections, so that their next packets are judged as those of new ones; one that is gone already is success. Gives how
   * many were there.
   *
   * @throws {KernelError} naming the first that the kernel would not forget; the others are forgotten
   */
  async remove(connections: readonly Connection[], signal: AbortSignal): Promise<number> {
    let removed = 0
    let refused: Error | undefined
    let sliceStart = performance.now()
    for (let start = 0; start < connections.length; start += BATCH) {
      if (performance.now() - sliceStart > SLICE_MS) {
        await yieldToLoop()
        signal.throwIfAborted()
        sliceStart = performance.now()
      }
      this.writer.reset()
      for (const connection of connections.slice(start, start + BATCH)) writeDelete(this.writer, connection, this.socket.nextSequence())
      const { failures } = this.socket.request(this.writer.bytes())
      removed += Math.min(BATCH, connections.length - start) - failures.length
      const failure = failures.find(({ errno }) => errno !== ENOENT)
      if (failure !== undefined) refused ??= failureError('forget a connection', failure)
    }
    if (refused !== undefined) throw refused
    return removed
  }

  close(): void {
    this.socket.close()
  }
}
