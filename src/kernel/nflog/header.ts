import { type Family, type Ip, ipFromBytes } from '../../net/ip.ts'

/** What the headers of an IP packet say. */
export interface PacketHeader {
  readonly family: Family
  readonly source: Ip
  readonly destination: Ip
  /** IP protocol number of what follows the IP headers. */
  readonly protocol: number
  /** Of the IP packet, bytes, as its header says. */
  readonly lengthBytes: number
  /** Of TCP, UDP, UDPLite, SCTP and DCCP, in the first fragment. */
  readonly sourcePort?: number
  readonly destinationPort?: number
  /** SYN, ACK, FIN, RST, PSH, URG as bits of the header's byte 13 (RFC 9293, section 3.1). */
  readonly tcpFlags?: number
  readonly icmp?: { readonly type: number; readonly code: number }
}

const [ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE] = [1, 6, 17, 33, 58, 132, 136]
const WITH_PORTS: ReadonlySet<number> = new Set([TCP, UDP, DCCP, SCTP, UDPLITE])

/** Extension headers of IPv6 that have a length in units of 8 bytes: hop by hop, routing, destination options, mobility (RFC 8200, section 4). */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60, 135])
const FRAGMENT = 44
const AUTHENTICATION = 51

/** Reads an IPv4 (RFC 791) or IPv6 (RFC 8200) packet of which the end may be cut off; undefined for what is neither. */
export function readHeader(packet: Buffer): PacketHeader | undefined {
  const version = (packet[0] ?? 0) >> 4
  if (version === 4 && packet.length >= 20) return readIpv4(packet)
  if (version === 6 && packet.length >= 40) return readIpv6(packet)
  return undefined
}

function readIpv4(packet: Buffer): PacketHeader {
  const protocol = packet.readUInt8(9)
  const isFirst = (packet.readUInt16BE(6) & 0x1fff) === 0
  return {
    family: 4,
    source: ipFromBytes(packet.subarray(12, 16)),
    destination: ipFromBytes(packet.subarray(16, 20)),
    protocol,
    lengthBytes: packet.readUInt16BE(2),
    ...(isFirst ? readTransport(packet.subarray((packet.readUInt8(0) & 15) * 4), protocol) : {}),
  }
}

function readIpv6(packet: Buffer): PacketHeader {
  let [next, at, isFirst] = [packet.readUInt8(6), 40, true]
  while (at + 8 <= packet.length && (EXTENSIONS.has(next) || next === FRAGMENT || next === AUTHENTICATION)) {
    if (next === FRAGMENT) isFirst &&= (packet.readUInt16BE(at + 2) & 0xfff8) === 0
    // The length of an authentication header is in units of 4 bytes, less two (RFC 4302, section 2.2).
    const bytes = next === FRAGMENT ? 8 : next === AUTHENTICATION ? (packet.readUInt8(at + 1) + 2) * 4 : (packet.readUInt8(at + 1) + 1) * 8
    next = packet.readUInt8(at)
    at += bytes
  }
  return {
    family: 6,
    source: ipFromBytes(packet.subarray(8, 24)),
    destination: ipFromBytes(packet.subarray(24, 40)),
    protocol: next,
    lengthBytes: packet.readUInt16BE(4) + 40,
    ...(isFirst ? readTransport(packet.subarray(at), next) : {}),
  }
}

function readTransport(segment: Buffer, protocol: number): Pick<PacketHeader, 'sourcePort' | 'destinationPort' | 'tcpFlags' | 'icmp'> {
  if ((protocol === ICMP || protocol === ICMPV6) && segment.length >= 2) {
    return { icmp: { type: segment.readUInt8(0), code: segment.readUInt8(1) } }
  }
  if (!WITH_PORTS.has(protocol) || segment.length < 4) return {}
  const ports = { sourcePort: segment.readUInt16BE(0), destinationPort: segment.readUInt16BE(2) }
  return protocol === TCP && segment.length >= 14 ? { ...ports, tcpFlags: segment.readUInt8(13) } : ports
}
