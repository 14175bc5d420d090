import { NETLINK_NETFILTER, NetlinkSocket } from '../netlink/socket.ts'
import type { CounterValue } from './decode.ts'
import * as nft from './protocol.ts'
import { readCounters, type Source } from './read.ts'

/** What the named counters of `inet margay` have counted, read over a socket of its own: it waits for no commit. */
export class NftCounters {
  private readonly source: Source
  private lastWork: Promise<unknown> = Promise.resolve()

  constructor(options: { readonly netns?: string | number | undefined } = {}) {
    this.source = { socket: new NetlinkSocket(NETLINK_NETFILTER, { netns: options.netns }), table: nft.OUR_TABLE }
  }

  /** By name; in one dump, so that a rule that is changed meanwhile is there once. */
  read(signal: AbortSignal): Promise<ReadonlyMap<string, CounterValue>> {
    const result = this.lastWork.then(async () => {
      const listed = await readCounters(this.source, signal)
      return new Map(listed.map(({ name, packets, bytes }) => [name, { packets, bytes }]))
    })
    this.lastWork = result.catch(() => {})
    return result
  }

  close(): void {
    this.source.socket.close()
  }
}
