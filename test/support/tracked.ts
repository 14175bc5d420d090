import { readFileSync } from 'node:fs'
import { MessageWriter, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL } from '../../src/kernel/netlink/message.ts'
import { failureError, NETLINK_NETFILTER, NetlinkSocket } from '../../src/kernel/netlink/socket.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { familyOf, type Ip, ipToBytes } from '../../src/net/ip.ts'

/** A TCP connection that is to be tracked as open, though nobody has it. */
export interface TrackedFlow {
  readonly source: Ip
  readonly sourcePort: number
  readonly destination: Ip
  readonly destinationPort: number
}

// Linux, include/uapi/linux/netfilter/nfnetlink_conntrack.h: IPCTNL_MSG_CT_NEW, and what of its attributes it takes to make an entry.
const NEW = 1 << 8
const CTA = { original: 1, reply: 2, status: 3, protocolInfo: 4, timeout: 7 } as const
const CTA_TUPLE = { ip: 1, protocol: 2 } as const
const CTA_IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const
const CTA_PROTO = { number: 1, sourcePort: 2, destinationPort: 3 } as const
const CTA_TCP = { info: 1, state: 1 } as const
const [TCP, ESTABLISHED] = [6, 3]
/** IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED. */
const STATUS = (1 << 1) | (1 << 2) | (1 << 3)
const LASTS_S = 3600
const BATCH = 256

/** Has the kernel track these connections in a network namespace: tens of thousands a second. */
export function trackFlows(netns: string, flows: readonly TrackedFlow[]): void {
  const socket = new NetlinkSocket(NETLINK_NETFILTER, { netns })
  const writer = new MessageWriter()
  try {
    for (let start = 0; start < flows.length; start += BATCH) {
      writer.reset()
      for (const flow of flows.slice(start, start + BATCH)) writeNew(writer, flow, socket.nextSequence())
      const [failure] = socket.request(writer.bytes()).failures
      if (failure !== undefined) throw failureError('track a connection', failure)
    }
  } finally {
    socket.close()
  }
}

/** How many connections are tracked there. */
export function countTracked(netns: string): number {
  return withNetns(netns, () => Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8')))
}

function writeNew(writer: MessageWriter, flow: TrackedFlow, sequence: number): void {
  const family = familyOf(flow.source)
  const { buffer, at } = writer.begin(NEW, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sequence, 4)
  buffer[at] = family === 4 ? 2 : 10
  const tuple = (type: number, [source, sourcePort]: readonly [Ip, number], [destination, destinationPort]: readonly [Ip, number]) =>
    writer.nested(type, () => {
      writer.nested(CTA_TUPLE.ip, () => {
        writer.bytesOf(CTA_IP[family].source, ipToBytes(source))
        writer.bytesOf(CTA_IP[family].destination, ipToBytes(destination))
      })
      writer.nested(CTA_TUPLE.protocol, () => {
        writer.u8(CTA_PROTO.number, TCP)
        writer.u16be(CTA_PROTO.sourcePort, sourcePort)
        writer.u16be(CTA_PROTO.destinationPort, destinationPort)
      })
    })
  const [from, to] = [[flow.source, flow.sourcePort] as const, [flow.destination, flow.destinationPort] as const]
  tuple(CTA.original, from, to)
  tuple(CTA.reply, to, from)
  writer.u32be(CTA.status, STATUS)
  writer.u32be(CTA.timeout, LASTS_S)
  writer.nested(CTA.protocolInfo, () => writer.nested(CTA_TCP.info, () => writer.u8(CTA_TCP.state, ESTABLISHED)))
  writer.finish()
}
