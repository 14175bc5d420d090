import { KernelError } from '../../errors.ts'
import { checked, describeErrno, loadNative, type Native } from '../native.ts'
import { withNetns } from '../netns.ts'
import { eachMessage, HEADER_BYTES, type Message, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, readAttributes, readText } from './message.ts'

/** Protocols of netlink sockets that margay speaks (netlink(7)). */
export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOL_SOCKET = 1
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12
const NLMSGERR_ATTR_MSG = 1
const NLM_F_ACK_TLVS = 0x200
const EAGAIN = 11
const EINTR = 4
const ENOBUFS = 105

/** The kernel fills at most 32 KiB of a dump into one datagram; a single object can be larger only with very long lists. */
const RECEIVE_BYTES = 64 * 1024
/** How often a dump that changed while it ran is begun again before it is taken as it is. */
const MAX_DUMPS = 20

/** What the kernel refused: which message, why, and its own words where it gave some (extended acknowledgement). */
export interface NetlinkFailure {
  readonly sequence: number
  /** Positive. */
  readonly errno: number
  readonly text: string | undefined
}

/** What came back to one send. */
export interface NetlinkAnswer {
  readonly failures: readonly NetlinkFailure[]
  /** Sequence numbers that were acknowledged. */
  readonly acknowledged: ReadonlySet<number>
  /** All other messages: replies to requests that ask for an object. */
  readonly messages: readonly Message[]
  /** Replies were lost for lack of room: what is in neither list may have failed. */
  readonly isOverrun: boolean
}

export interface NetlinkSocketOptions {
  /** A path or an open descriptor of the network namespace that the socket belongs to for ever; else the caller's. */
  readonly netns?: string | number | undefined
  /** Multicast groups, as a mask (group g is bit g-1). */
  readonly groups?: number
  readonly receiveBufferBytes?: number
  readonly sendBufferBytes?: number
}

/**
 * A netlink socket. The kernel works on a request within the `send` call and has queued its whole answer when that
 * returns, so a request is one synchronous exchange, there is nothing to wait for and nothing else can come between.
 * Callers slice long work and let the event loop run between their sends.
 */
export class NetlinkSocket {
  /** What the kernel writes into notices that this socket's requests caused. */
  readonly portId: number
  private readonly native: Native
  private readonly fd: number
  private readonly buffer = Buffer.allocUnsafe(RECEIVE_BYTES)
  private sequence = 0
  private isClosed = false
  private isPolled = false

  constructor(protocol: number, options: NetlinkSocketOptions = {}) {
    this.native = loadNative()
    const open = () => checked(this.native.socket(AF_NETLINK, SOCK_RAW, protocol), `open a netlink socket of protocol ${protocol}`)
    this.fd = options.netns === undefined ? open() : withNetns(options.netns, open)
    try {
      this.configure(options)
      checked(this.native.bind(this.fd, socketAddress(options.groups ?? 0)), 'bind a netlink socket')
      const own = Buffer.alloc(12)
      checked(this.native.getsockname(this.fd, own), 'read the port id of a netlink socket')
      this.portId = own.readUInt32LE(4)
    } catch (error) {
      this.native.close(this.fd)
      throw error
    }
  }

  /** A sequence number for the next message, never 0. */
  nextSequence(): number {
    this.sequence = this.sequence >= 0xffff_fff0 ? 1 : this.sequence + 1
    return this.sequence
  }

  /**
   * Sends messages and reads all that the kernel answers. Failed messages do not stop later ones in rtnetlink; in a batch of
   * nf_tables one failure undoes all.
   *
   * @throws {KernelError} if the send itself fails: nothing was done
   */
  request(bytes: Buffer): NetlinkAnswer {
    this.send(bytes)
    const failures: NetlinkFailure[] = []
    const acknowledged = new Set<number>()
    const messages: Message[] = []
    const isOverrun = this.drain((message) => {
      if (message.type !== NLMSG_ERROR) return void messages.push(message.copy())
      const failure = readFailure(message)
      if (failure === undefined) acknowledged.add(message.sequence)
      else failures.push(failure)
    })
    return { failures, acknowledged, messages, isOverrun }
  }

  /**
   * Sends one dump request and visits each message of the answer; a dump that changed while it ran is begun again, after
   * calling `restart`. Synchronous: for what is known to be short, and as the base of `dump`.
   *
   * @throws {KernelError}
   */
  dumpNow(bytes: Buffer, visit: (message: Message) => void, restart: () => void): void {
    for (const _ of this.dumpSteps(bytes, visit, restart));
  }

  /** As `dumpNow`, but gives way to the event loop; the socket must not be used for anything else until it is done. */
  async dump(bytes: Buffer, visit: (message: Message) => void, restart: () => void, signal: AbortSignal): Promise<void> {
    let sliceStart = performance.now()
    for (const _ of this.dumpSteps(bytes, visit, restart)) {
      if (performance.now() - sliceStart < SLICE_MS) continue
      await yieldToLoop()
      signal.throwIfAborted()
      sliceStart = performance.now()
    }
  }

  /**
   * Visits all that is queued. True if something was lost since the last call (ENOBUFS): what is known of the kernel is
   * stale then.
   */
  drain(visit: (message: Message) => void): boolean {
    let isOverrun = false
    for (;;) {
      const datagram = this.receive()
      if (datagram === undefined) return isOverrun
      if (datagram === 'overrun') isOverrun = true
      else eachMessage(datagram, visit)
    }
  }

  /** Calls back whenever something can be read, also after an overrun; the process lives as long as this is on. */
  onReadable(callback: () => void): void {
    checked(this.native.poll(this.fd, callback), 'watch a netlink socket')
    this.isPolled = true
  }

  /** Sends without reading answers. */
  send(bytes: Buffer): void {
    let result = this.native.send(this.fd, bytes, KERNEL)
    while (result === -EINTR) result = this.native.send(this.fd, bytes, KERNEL)
    checked(result, `send ${bytes.length} bytes over netlink`)
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    if (this.isPolled) this.native.stopPoll(this.fd)
    this.native.close(this.fd)
  }

  /** The next datagram, a view that is valid until the next call; undefined when nothing is queued. */
  private receive(): Buffer | 'overrun' | undefined {
    for (;;) {
      const length = this.isClosed ? -EAGAIN : this.native.recv(this.fd, this.buffer)
      if (length === -EINTR) continue
      if (length === -EAGAIN) return undefined
      if (length === -ENOBUFS || length > this.buffer.length) return 'overrun'
      return this.buffer.subarray(0, checked(length, 'read from a netlink socket'))
    }
  }

  private *dumpSteps(bytes: Buffer, visit: (message: Message) => void, restart: () => void): Generator<void> {
    for (let round = 1; ; round++) {
      const sequence = this.nextSequence()
      bytes.writeUInt32LE(sequence, 8)
      this.send(bytes)
      let state: DumpState = { isDone: false, isTorn: false }
      while (!state.isDone) {
        const datagram = this.receive()
        if (datagram === undefined) throw new KernelError('the kernel broke off a netlink dump')
        if (datagram === 'overrun') throw new KernelError('a netlink dump was lost for lack of room', { errno: ENOBUFS })
        state = visitDump(datagram, sequence, state, visit)
        yield
      }
      if (!state.isTorn || round === MAX_DUMPS) return
      restart()
    }
  }

  private configure(options: NetlinkSocketOptions): void {
    const set = (level: number, option: number, value: number) => this.native.setsockopt(this.fd, level, option, value)
    // Without them only the kernel's words are missing, so a refusal is no error.
    set(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    set(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    set(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    set(SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBufferBytes ?? 4 << 20)
    set(SOL_SOCKET, SO_SNDBUFFORCE, options.sendBufferBytes ?? 1 << 20)
  }
}

/** How long one synchronous stretch of work over netlink may take before others get their turn. Milliseconds. */
export const SLICE_MS = 10

/** Lets timers and I/O of this process run. */
export function yieldToLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** An error that says what was tried and what the kernel said: `could not WHAT: ENODEV, no such device (its own words)`. */
export function failureError(what: string, failure: { readonly errno: number; readonly text: string | undefined }): KernelError {
  const words = failure.text === undefined ? '' : ` (${failure.text})`
  return new KernelError(`could not ${what}: ${describeErrno(failure.errno)}${words}`, { errno: failure.errno })
}

interface DumpState {
  readonly isDone: boolean
  /** NLM_F_DUMP_INTR: the kernel's list changed meanwhile, so some objects may be missing or twice. */
  readonly isTorn: boolean
}

function visitDump(datagram: Buffer, sequence: number, before: DumpState, visit: (message: Message) => void): DumpState {
  let { isDone, isTorn } = before
  eachMessage(datagram, (message) => {
    if (message.sequence !== sequence || isDone) return
    if ((message.flags & NLM_F_DUMP_INTR) !== 0) isTorn = true
    if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
      isDone = true
      const failure = readFailure(message)
      if (failure !== undefined) throw failureError('list kernel objects', failure)
      return
    }
    visit(message)
  })
  return { isDone, isTorn }
}

/** An acknowledgement is an error with number 0; the end of a dump carries its error the same way. */
function readFailure(message: Message): NetlinkFailure | undefined {
  if (message.payload.length < 4) return undefined
  const errno = -message.payload.readInt32LE(0)
  if (errno <= 0) return undefined
  // The request's header follows the number (without its payload: NETLINK_CAP_ACK), then attributes; after a dump they follow at once.
  const offset = message.type === NLMSG_ERROR ? 4 + HEADER_BYTES : 4
  const hasWords = (message.flags & NLM_F_ACK_TLVS) !== 0 && message.payload.length > offset
  const text = hasWords ? readText(readAttributes(message.payload, offset).get(NLMSGERR_ATTR_MSG)) : undefined
  return { sequence: message.sequence, errno, text }
}

function socketAddress(groups: number): Buffer {
  const address = Buffer.alloc(12)
  address.writeUInt16LE(AF_NETLINK, 0)
  address.writeUInt32LE(groups >>> 0, 8)
  return address
}

/** The kernel's own address: port id 0. */
const KERNEL = socketAddress(0)
