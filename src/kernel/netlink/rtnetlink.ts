import type { KernelError } from '../../errors.ts'
import { type Message, MessageWriter, NLM_F_DUMP } from './message.ts'
import { failureError, NETLINK_ROUTE, type NetlinkFailure, NetlinkSocket, SLICE_MS, yieldToLoop } from './socket.ts'

/** One change of one kernel object: a message, the key under which its failure is reported, and what to call it then. */
export interface Operation {
  readonly key: string
  /** What is tried, for the error: `put the route 10.65.1.0/26`. */
  readonly describe: () => string
  /** Writes one whole message with this sequence number. */
  readonly write: (writer: MessageWriter, sequence: number) => void
  /** Error numbers that are success here: ENOENT and the like when removing. */
  readonly tolerates?: readonly number[]
}

/** A send of about 96 kB is as fast as larger ones; above, only memory grows. */
const SLICE_BYTES = 96 * 1024
/** A route among thousands with other gateways takes 0.1 ms (Linux 6.18), an FDB entry 3 us. */
const FIRST_SLICE_MESSAGES = 128
const MAX_SLICE_MESSAGES = 4096
const ENOBUFS = 105

/** rtnetlink(7) of one network namespace: changes in batches, dumps, single questions. */
export class Rtnetlink {
  /** Called after each send that may have changed something: what the kernel told of it is queued by then. */
  onSent: (() => void) | undefined
  private readonly netns: string | number | undefined
  private readonly socket: NetlinkSocket
  private readonly writer = new MessageWriter()
  private readonly idle: NetlinkSocket[] = []
  private requests = 0
  private isClosed = false

  constructor(netns?: string | number) {
    this.netns = netns
    this.socket = new NetlinkSocket(NETLINK_ROUTE, { netns })
  }

  /** The sender that the kernel names in notices of what we did. */
  get portId(): number {
    return this.socket.portId
  }

  /** How many sends were made, for tests and metrics. */
  get sends(): number {
    return this.requests
  }

  /**
   * Makes many changes with few sends, in order; only the last message of a send is acknowledged, failures come anyway.
   * Long lists are cut so that no stretch is long (some kernel lists are quadratic), and others get their turn in between.
   *
   * @returns the first failure of each key
   */
  async submit(operations: readonly Operation[], signal: AbortSignal): Promise<Map<string, KernelError>> {
    const failures = new Map<string, KernelError>()
    let stretchStart = performance.now()
    let limit = FIRST_SLICE_MESSAGES
    for (let at = 0; at < operations.length; ) {
      const sendStart = performance.now()
      at += this.sendSlice(operations, at, limit, failures)
      const now = performance.now()
      limit = nextLimit(limit, now - sendStart)
      if (at >= operations.length || now - stretchStart < SLICE_MS) continue
      await yieldToLoop()
      signal.throwIfAborted()
      stretchStart = performance.now()
    }
    return failures
  }

  /** As `submit`, in one synchronous stretch: for a handful of messages. */
  submitNow(operations: readonly Operation[]): Map<string, KernelError> {
    const failures = new Map<string, KernelError>()
    for (let at = 0; at < operations.length; ) at += this.sendSlice(operations, at, MAX_SLICE_MESSAGES, failures)
    return failures
  }

  /** Makes one change, or throws its failure. */
  change(describe: string, write: Operation['write'], tolerates: readonly number[] = []): void {
    const failure = this.submitNow([{ key: '', describe: () => describe, write, tolerates }]).get('')
    if (failure !== undefined) throw failure
  }

  /** Asks for one object; gives the reply, or why there is none. */
  ask(write: Operation['write']): Message | NetlinkFailure {
    this.writer.reset()
    const sequence = this.socket.nextSequence()
    write(this.writer, sequence)
    const answer = this.socket.request(this.writer.bytes())
    return answer.messages[0] ?? answer.failures[0] ?? { sequence, errno: ENOBUFS, text: undefined }
  }

  /** Lists objects: `write` makes the request (NLM_F_DUMP is set), `take` reads a message; undefined is left out. */
  async dump<T>(write: DumpRequest, take: (message: Message) => T | undefined, signal: AbortSignal): Promise<T[]> {
    const socket = this.idle.pop() ?? new NetlinkSocket(NETLINK_ROUTE, { netns: this.netns })
    const found: T[] = []
    let isReusable = false
    try {
      await socket.dump(dumpBytes(write), collectInto(found, take), () => found.splice(0), signal)
      isReusable = true
    } finally {
      // After a failure the rest of the dump may still be queued.
      if (isReusable && !this.isClosed) this.idle.push(socket)
      else socket.close()
    }
    return found
  }

  /** As `dump`, in one synchronous stretch: for what is known to be short. */
  dumpNow<T>(write: DumpRequest, take: (message: Message) => T | undefined): T[] {
    const found: T[] = []
    this.socket.dumpNow(dumpBytes(write), collectInto(found, take), () => found.splice(0))
    return found
  }

  close(): void {
    this.isClosed = true
    this.socket.close()
    for (const socket of this.idle.splice(0)) socket.close()
  }

  /** Sends as many operations from `at` on as one send takes; gives how many. */
  private sendSlice(operations: readonly Operation[], at: number, limit: number, failures: Map<string, KernelError>): number {
    this.writer.reset()
    const sent = new Map<number, Operation>()
    for (let i = at; i < operations.length && sent.size < limit && this.writer.length < SLICE_BYTES; i++) {
      const operation = operations[i]
      if (operation === undefined) break
      const sequence = this.socket.nextSequence()
      operation.write(this.writer, sequence)
      sent.set(sequence, operation)
    }
    this.writer.acknowledgeLast()
    this.requests++
    const answer = this.socket.request(this.writer.bytes())
    this.onSent?.()
    for (const failure of answer.failures) {
      const operation = sent.get(failure.sequence)
      if (operation !== undefined) note(failures, operation, failure)
    }
    if (answer.isOverrun || answer.failures.length + answer.acknowledged.size === 0) this.noteLost(sent, failures)
    return sent.size
  }

  /** Answers were lost: each may have failed, so each counts as failed and is compared with the kernel again by the caller. */
  private noteLost(sent: ReadonlyMap<number, Operation>, failures: Map<string, KernelError>): void {
    for (const operation of sent.values()) note(failures, operation, { errno: ENOBUFS, text: 'the answer was lost' })
  }
}

/** The next send takes about as long as others may be kept waiting. */
function nextLimit(limit: number, elapsedMs: number): number {
  if (elapsedMs > SLICE_MS) return Math.max(64, Math.floor(limit / 2))
  return elapsedMs < SLICE_MS / 3 ? Math.min(MAX_SLICE_MESSAGES, limit * 2) : limit
}

/** Writes a dump request into a writer: type, body and filters. */
export type DumpRequest = (writer: MessageWriter, flags: number) => void

/** Whether the answer to `ask` is a refusal. */
export function isFailure(answer: Message | NetlinkFailure): answer is NetlinkFailure {
  return 'errno' in answer
}

function note(
  failures: Map<string, KernelError>,
  operation: Operation,
  failure: { readonly errno: number; readonly text: string | undefined },
): void {
  if (operation.tolerates?.includes(failure.errno) || failures.has(operation.key)) return
  failures.set(operation.key, failureError(operation.describe(), failure))
}

function dumpBytes(write: DumpRequest): Buffer {
  const writer = new MessageWriter(256)
  write(writer, NLM_F_DUMP)
  return writer.bytes()
}

function collectInto<T>(found: T[], take: (message: Message) => T | undefined): (message: Message) => void {
  return (message) => {
    const value = take(message)
    if (value !== undefined) found.push(value)
  }
}
