import { KernelError } from '../../errors.ts'
import { type Attributes, type Message, MessageWriter, NLM_F_ACK, readAttributes, readText } from '../netlink/message.ts'
import { failureError, NETLINK_NETFILTER, NetlinkSocket } from '../netlink/socket.ts'
import { type PacketHeader, readHeader } from './header.ts'

// Linux, include/uapi/linux/netfilter/nfnetlink.h and nfnetlink_log.h. Numbers in attributes are in network order.
const SUBSYSTEM = 4 << 8
const PACKET = SUBSYSTEM | 0
const CONFIGURE = SUBSYSTEM | 1
const BODY_BYTES = 4
/** What the kernel says of a group that has a listener (nfnetlink_log.c, nfulnl_recv_config), and to who lacks CAP_NET_ADMIN. */
const EPERM = 1
const CFG = { command: 1, mode: 2, bufferBytes: 3, timeout: 4, threshold: 5 } as const
const COMMAND_BIND = 1
const COPY_PACKET = 2
const NFULA = { header: 1, mark: 2, time: 3, inInterface: 4, outInterface: 5, payload: 9, prefix: 10, userId: 11 } as const

/** Enough for IPv6 with some extension headers and TCP. Bytes. */
const SNAP_BYTES = 128
/** How long the kernel gathers packets before it tells of them. Hundredths of a second. */
const GATHER_CENTISECONDS = 10
const GATHER_PACKETS = 64

/** One packet that a `log group` rule told of. */
export interface LoggedPacket {
  /** The rule's text. */
  readonly prefix: string
  /** Index of the interface by which it came or leaves; absent where it has none yet or no longer. */
  readonly inInterface?: number
  readonly outInterface?: number
  readonly mark: number
  /** Of the process that sent it, on its way out. */
  readonly userId?: number
  readonly header: PacketHeader
}

export interface NflogOptions {
  /** The group of the rules, 0 to 65535. */
  readonly group: number
  readonly netns?: string | number | undefined
}

/**
 * The packets that rules with `log group N` tell of (NFLOG). While nobody listens the kernel throws them away; who is too slow loses some
 * and is told so.
 */
export class Nflog {
  private readonly socket: NetlinkSocket

  /** @throws {KernelError} if somebody else listens to the group already (EPERM), or the kernel has no NFLOG */
  constructor(
    options: NflogOptions,
    on: {
      packet(packet: LoggedPacket): void
      /** Some packets were lost, nobody knows how many. */
      lost(): void
    },
  ) {
    this.socket = new NetlinkSocket(NETLINK_NETFILTER, { netns: options.netns })
    try {
      this.bind(options.group)
    } catch (error) {
      this.socket.close()
      throw error
    }
    this.socket.onReadable(() => {
      const isOverrun = this.socket.drain((message) => {
        const packet = readPacket(message)
        if (packet !== undefined) on.packet(packet)
      })
      if (isOverrun) on.lost()
    })
  }

  close(): void {
    this.socket.close()
  }

  private bind(group: number): void {
    const steps: readonly [string, (writer: MessageWriter) => void][] = [
      [`listen to group ${group} of nflog`, (writer) => writer.u8(CFG.command, COMMAND_BIND)],
      [`have packets of group ${group} of nflog copied`, (writer) => writer.bytesOf(CFG.mode, copyMode())],
      [`set how long group ${group} of nflog gathers`, (writer) => writer.u32be(CFG.timeout, GATHER_CENTISECONDS)],
      [`set how many packets group ${group} of nflog gathers`, (writer) => writer.u32be(CFG.threshold, GATHER_PACKETS)],
    ]
    const writer = new MessageWriter(256)
    for (const [what, write] of steps) {
      writer.reset()
      const { buffer, at } = writer.begin(CONFIGURE, NLM_F_ACK, this.socket.nextSequence(), BODY_BYTES)
      buffer.writeUInt16BE(group, at + 2)
      write(writer)
      writer.finish()
      const { failures, acknowledged } = this.socket.request(writer.bytes())
      if (failures[0]?.errno === EPERM)
        throw new KernelError(`could not ${what}: somebody listens to it already, or CAP_NET_ADMIN is missing`, { errno: EPERM })
      if (failures[0] !== undefined) throw failureError(what, failures[0])
      if (acknowledged.size === 0) throw new KernelError(`could not ${what}: the kernel did not answer`)
    }
  }
}

/** struct nfulnl_msg_config_mode: how many bytes, what is copied, padding. */
function copyMode(): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUInt32BE(SNAP_BYTES, 0)
  bytes[4] = COPY_PACKET
  return bytes
}

/** The packet in a notice; undefined for what is no IP packet. */
function readPacket({ type, payload }: Message): LoggedPacket | undefined {
  if (type !== PACKET) return undefined
  const attributes = readAttributes(payload, BODY_BYTES)
  const header = readHeader(attributes.get(NFULA.payload) ?? Buffer.alloc(0))
  if (header === undefined) return undefined
  const inInterface = readBig(attributes, NFULA.inInterface)
  const outInterface = readBig(attributes, NFULA.outInterface)
  const userId = readBig(attributes, NFULA.userId)
  return {
    prefix: readText(attributes.get(NFULA.prefix)) ?? '',
    ...(inInterface === undefined ? {} : { inInterface }),
    ...(outInterface === undefined ? {} : { outInterface }),
    mark: readBig(attributes, NFULA.mark) ?? 0,
    ...(userId === undefined ? {} : { userId }),
    header,
  }
}

function readBig(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type)
  return value === undefined || value.length < 4 ? undefined : value.readUInt32BE(0)
}
