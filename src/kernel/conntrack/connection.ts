import type { Family, Ip } from '../../net/ip.ts'

/** One direction of a tracked connection, as its packets are on the wire. */
export interface Tuple {
  readonly source: Ip
  readonly destination: Ip
  /** IP protocol number. */
  readonly protocol: number
  /** Of TCP, UDP, UDPLite, SCTP and DCCP. */
  readonly sourcePort?: number
  readonly destinationPort?: number
  /** Of ICMP and ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number }
}

/** A connection that the kernel tracks (Linux, include/uapi/linux/netfilter/nf_conntrack_common.h). */
export interface Connection {
  readonly family: Family
  /** Of the packet that opened it, before any translation. */
  readonly original: Tuple
  /** Of the answers as they come in: the other way round, but for what is translated. */
  readonly reply: Tuple
  /** IPS_* bits. */
  readonly status: number
  /** Of TCP: a number of enum tcp_conntrack (nf_conntrack_tcp.h). */
  readonly tcpState?: number | undefined
  readonly mark: number
  readonly zone: number
  /** The kernel's own number, made of the original tuple and of where the entry lies: a later connection with this tuple has mostly another. */
  readonly id: number
}

const [TCP_TIME_WAIT, TCP_CLOSE] = [7, 8]
const IPS_EXPECTED = 1 << 0
const IPS_SEEN_REPLY = 1 << 1
const IPS_ASSURED = 1 << 2
const IPS_SRC_NAT = 1 << 4
const IPS_DST_NAT = 1 << 5

/** Whether packets of both directions were seen. */
export function isReplied(connection: Connection): boolean {
  return (connection.status & IPS_SEEN_REPLY) !== 0
}

/** Whether the kernel keeps it although its table is full: a TCP connection that is open, a UDP one that goes on. */
export function isAssured(connection: Connection): boolean {
  return (connection.status & IPS_ASSURED) !== 0
}

/** Whether both sides have closed it, or one has reset it: remembered for a while, nothing will come any more (TIME_WAIT, CLOSE). */
export function isClosed({ tcpState }: Connection): boolean {
  return tcpState === TCP_TIME_WAIT || tcpState === TCP_CLOSE
}

/** Whether another connection has announced it (FTP's data): rules let it through as related, whatever they say of its ends. */
export function isExpected(connection: Connection): boolean {
  return (connection.status & IPS_EXPECTED) !== 0
}

/** Whether its source or its destination is translated. */
export function isTranslated(connection: Connection): boolean {
  return (connection.status & (IPS_SRC_NAT | IPS_DST_NAT)) !== 0
}
