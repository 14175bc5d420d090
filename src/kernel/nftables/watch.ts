import type { Logger } from '../../log.ts'
import type { Message } from '../netlink/message.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from '../netlink/socket.ts'
import type { KernelEvent } from '../table.ts'
import { decodeGeneration, type Generation, tableOf } from './decode.ts'
import * as nft from './protocol.ts'

/** What a watcher needs of the table that it watches for. */
export interface Watched {
  readonly portId: number
  isCurrent(): Promise<boolean>
  skipGeneration(generation: number): void
}

export interface WatchOptions {
  readonly netns?: string | number
  readonly log: Logger
  readonly pollMs?: number
}

/** Small on purpose: we look at each transaction's end only, and what is lost is found by the generation. */
const RECEIVE_BUFFER_BYTES = 1 << 20
/** Rarely: notices that were lost are told of by the socket, this is for what nobody thought of. Milliseconds. */
const POLL_MS = 5000

/**
 * Yields `stale` whenever the rule set's generation is not the one that our last reading or commit made. Looked at each time that
 * somebody commits, and every few seconds, in case a notification was lost. Goes on yielding until the table was read again.
 */
export async function* watchRuleset(table: Watched, options: WatchOptions, signal: AbortSignal): AsyncGenerator<KernelEvent> {
  const socket = new NetlinkSocket(NETLINK_NETFILTER, {
    netns: options.netns,
    groups: 1 << (nft.GROUP_NFTABLES - 1),
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  })
  const bell = createBell(signal)
  let lastForeign: Generation | undefined
  const read = createReader(table, socket)
  const takeNotices = () => {
    const foreign = read()
    if (foreign !== undefined) lastForeign = foreign
    return foreign !== undefined
  }
  socket.onReadable(() => {
    if (takeNotices()) bell.ring()
  })
  // A timer can come before the notices that are queued already, and they may say that it was another table.
  const isCurrent = () => {
    takeNotices()
    return table.isCurrent()
  }
  try {
    while (!signal.aborted) {
      await bell.wait(options.pollMs ?? POLL_MS)
      if (signal.aborted || (await isCurrent()) || (await isCurrent())) continue
      options.log.warn({ table: 'policy', reason: describeProcess(lastForeign) }, 'ruleset changed by another program')
      yield { type: 'stale', table: 'policy' }
    }
  } finally {
    socket.close()
  }
}

/**
 * Gives a function that reads all that is queued and returns the last generation by somebody else. Where all of a transaction was
 * seen and none of it was in our table, its generation is skipped: other programs change their tables often, and ours need not be
 * read again for it.
 */
function createReader(table: Watched, socket: NetlinkSocket): () => Generation | undefined {
  let isOursTouched = false
  return () => {
    const skippable: number[] = []
    let foreign: Generation | undefined
    const isOverrun = socket.drain((message) => {
      if (message.type >> 8 !== nft.SUBSYSTEM || message.portId === table.portId) return
      if ((message.type & 0xff) !== nft.MESSAGE.newGeneration) {
        isOursTouched ||= isOfOurTable(message)
        return
      }
      foreign = decodeGeneration(message)
      if (!isOursTouched) skippable.push(foreign.id)
      isOursTouched = false
    })
    if (isOverrun) isOursTouched = true
    else for (const generation of skippable) table.skipGeneration(generation)
    return isOverrun ? (foreign ?? UNKNOWN) : foreign
  }
}

function isOfOurTable(message: Message): boolean {
  return message.payload[0] === nft.NFPROTO.inet && tableOf(message) === nft.OUR_TABLE
}

const UNKNOWN: Generation = { id: 0, processId: 0, processName: '' }

function describeProcess(generation: Generation | undefined): string {
  if (!generation || generation.processId === 0) return 'process unknown'
  return `by process ${generation.processId} (${generation.processName})`
}

/** Wakes the one who waits, or the next one at once; also when the signal aborts. */
function createBell(signal: AbortSignal): { ring(): void; wait(ms: number): Promise<void> } {
  let isRung = false
  let wake = () => {}
  const ring = () => {
    isRung = true
    wake()
  }
  signal.addEventListener('abort', ring, { once: true })
  const wait = async (ms: number) => {
    if (!isRung && !signal.aborted) await timeoutOr(ms, (resolve) => (wake = resolve))
    isRung = false
  }
  return { ring, wait }
}

function timeoutOr(ms: number, register: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    register(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
