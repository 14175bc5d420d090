import { type Ip, ipToBytes } from '../../src/net/ip.ts'
import { type Packet, PORT_PROTOCOLS } from '../../src/policy/packet.ts'

/** A packet as it is sent. */
export interface SentPacket extends Packet {
  /** IPv6: a routing header leads it there before it goes on to its destination. */
  readonly via?: Ip | undefined
}

/** An IP packet with all its headers, ending in a number of eight bytes by which a receiver knows it. */
export function encodePacket(packet: SentPacket, id: number, hopLimit = 64): Buffer {
  const marker = Buffer.alloc(8)
  marker.writeUInt32BE(MAGIC)
  marker.writeUInt32BE(id, 4)
  const payload = transport(packet, marker)
  const addresses = Buffer.concat([ipToBytes(packet.source.address), ipToBytes(packet.via ?? packet.destination.address)])
  if (packet.family === 6) {
    const routing = routingHeader(packet)
    const header = Buffer.alloc(8)
    header.writeUInt8(0x60)
    header.writeUInt16BE(routing.length + payload.length, 4)
    header.writeUInt8(routing.length > 0 ? ROUTING : packet.protocol, 6)
    header.writeUInt8(hopLimit, 7)
    return Buffer.concat([header, addresses, routing, payload])
  }
  const header = Buffer.alloc(12)
  header.writeUInt8(0x45)
  header.writeUInt16BE(20 + payload.length, 2)
  header.writeUInt16BE(id & 0xffff, 4)
  header.writeUInt8(hopLimit, 8)
  header.writeUInt8(packet.protocol, 9)
  const whole = Buffer.concat([header, addresses])
  whole.writeUInt16BE(checksum(whole), 10)
  return Buffer.concat([whole, payload])
}

/** The segments are in it from the last to the first (RFC 8754, section 2); empty without any. */
function routingHeader({ protocol, destination, via }: SentPacket): Buffer {
  if (via === undefined) return Buffer.alloc(0)
  const segments = [destination.address, via].map(ipToBytes)
  const [type, left] = [4, segments.length - 1]
  return Buffer.concat([Buffer.from([protocol, 2 * segments.length, type, left, left, 0, 0, 0]), ...segments])
}

/** The number in a packet of ours; undefined for one of somebody else. */
export function markerOf(bytes: Buffer): number | undefined {
  if (bytes.length < 8 || bytes.readUInt32BE(bytes.length - 8) !== MAGIC) return undefined
  return bytes.readUInt32BE(bytes.length - 4)
}

const MAGIC = 0x6d_67_79_21
const ROUTING = 43
const [TCP, UDP, SCTP, ICMP, ICMPV6] = [6, 17, 132, 1, 58]
const SYN = 0x02

function transport(packet: Packet, marker: Buffer): Buffer {
  const { protocol, source, destination, icmp } = packet
  if (icmp !== undefined) {
    const header = Buffer.from([icmp.type, icmp.code, 0, 0, marker[6] ?? 0, marker[7] ?? 0, 0, 1])
    return withChecksum(packet, Buffer.concat([header, marker]), 2)
  }
  const ports = Buffer.alloc(4)
  if (PORT_PROTOCOLS.includes(protocol)) {
    ports.writeUInt16BE(source.port ?? 0)
    ports.writeUInt16BE(destination.port ?? 0, 2)
  }
  switch (protocol) {
    case TCP: {
      const rest = Buffer.alloc(16)
      rest.writeUInt8(0x50, 8)
      rest.writeUInt8(SYN, 9)
      rest.writeUInt16BE(1000, 10)
      return withChecksum(packet, Buffer.concat([ports, rest, marker]), 16)
    }
    case SCTP: {
      // The common header and an INIT chunk (RFC 9260, section 3.3.2) that the marker ends; its checksum is not looked at.
      const chunk = Buffer.from([1, 0, 0, 28, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1])
      return Buffer.concat([ports, Buffer.alloc(8), chunk, marker])
    }
    case UDP: {
      const rest = Buffer.alloc(4)
      rest.writeUInt16BE(16)
      return withChecksum(packet, Buffer.concat([ports, rest, marker]), 6)
    }
    default:
      return PORT_PROTOCOLS.includes(protocol)
        ? withChecksum(packet, Buffer.concat([ports, Buffer.alloc(4), marker]), 6)
        : Buffer.concat([Buffer.alloc(8), marker])
  }
}

function withChecksum({ protocol, source, destination }: Packet, payload: Buffer, at: number): Buffer {
  const pseudo = Buffer.alloc(8)
  pseudo.writeUInt32BE(payload.length)
  pseudo.writeUInt32BE(protocol, 4)
  const addresses = protocol === ICMP ? [] : [ipToBytes(source.address), ipToBytes(destination.address), pseudo]
  const sum = checksum(Buffer.concat([...addresses, payload]))
  payload.writeUInt16BE(sum === 0 && protocol !== ICMP && protocol !== ICMPV6 ? 0xffff : sum, at)
  return payload
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
