import { familyOf, type Ip } from '../../net/ip.ts'
import { type Message, MessageWriter } from '../netlink/message.ts'
import { failureError, NETLINK_NETFILTER, NetlinkSocket, SLICE_MS, yieldToLoop } from '../netlink/socket.ts'
import { AddressTexts, type End, type Listed, readConnection, readCount, writeCount, writeDelete, writeList } from './codec.ts'
import type { Connection } from './connection.ts'

const ENOENT = 2
/** Requests in one send: should all fail, what is answered must fit into the socket's room. */
const BATCH = 256

/**
 * With so many connections it is faster to have the kernel sort out those of one address. Of several the walks add up: measured with up to
 * four addresses and 100,000 connections.
 */
const WORTH_FILTERING = 10_000
/** Where the address stands of who asks, and of who answers. */
const PLACES: readonly Omit<End, 'address'>[] = [
  { tuple: 'original', side: 'source' },
  { tuple: 'reply', side: 'source' },
]

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
    // One request for both families: the kernel walks through its whole table for each, also through what is of other namespaces.
    return this.dump('all', isWanted, signal)
  }

  /**
   * The same of those in which one of these addresses asks or, behind translation, answers. With tens of thousands of others
   * that is several times as fast: the kernel walks through its table twice for each IPv4 address and once for all IPv6 ones,
   * but tells only of these addresses, and of IPv6. With few others, or many addresses, all are listed all the same.
   *
   * @throws {KernelError} as `list`
   */
  async listOf(
    addresses: readonly Ip[],
    signal: AbortSignal,
    isWanted: (connection: Connection) => boolean = () => true,
  ): Promise<readonly Connection[]> {
    const all = new Set(addresses)
    const isOf = (one: Connection) => PLACES.some(({ tuple, side }) => all.has(one[tuple][side])) && isWanted(one)
    const v4 = addresses.filter((address) => familyOf(address) === 4)
    const filtered = v4.flatMap((address) => PLACES.map((place) => ({ ...place, address })))
    if (this.count() < WORTH_FILTERING * Math.max(1, v4.length) ** 2) return this.list(signal, isOf)
    const found = v4.length < addresses.length ? [await this.dump('IPv6', isOf, signal)] : []
    for (const [i, end] of filtered.entries()) {
      // One with several of the ends is told of for each.
      const isFirst = (one: Connection) => hasEnd(one, end) && !filtered.slice(0, i).some((earlier) => hasEnd(one, earlier))
      found.push(await this.dump(end, (one) => isFirst(one) && isWanted(one), signal))
    }
    return found.flat()
  }

  /** How many there are. */
  count(): number {
    this.writer.reset()
    writeCount(this.writer, this.socket.nextSequence())
    const [answer] = this.socket.request(this.writer.bytes()).messages
    return answer === undefined ? 0 : readCount(answer)
  }

  private async dump(listed: Listed, isWanted: (connection: Connection) => boolean, signal: AbortSignal): Promise<readonly Connection[]> {
    const all: Connection[] = []
    const texts = new AddressTexts()
    const visit = (message: Message) => {
      const connection = readConnection(message, texts)
      if (connection !== undefined && isWanted(connection)) all.push(connection)
    }
    this.writer.reset()
    writeList(this.writer, listed)
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

function hasEnd(connection: Connection, { tuple, side, address }: End): boolean {
  return connection[tuple][side] === address
}
