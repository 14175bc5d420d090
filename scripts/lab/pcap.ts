import { BlockList, isIPv6 } from 'node:net'

/** The outer header of a captured packet. Addresses are canonical. */
export interface OuterPacket {
  readonly source: string
  readonly destination: string
  /** Destination port, if it is UDP in the first fragment. */
  readonly udpPort?: number
}

const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_IPV6 = 0x86dd
const UDP = 17

/** The IP packets of a capture file (libpcap's format, this machine's byte order, Ethernet); other frames are left out. */
export function readPcap(file: Buffer): OuterPacket[] {
  const packets: OuterPacket[] = []
  let offset = FILE_HEADER_BYTES
  while (offset + RECORD_HEADER_BYTES <= file.length) {
    const captured = file.readUInt32LE(offset + 8)
    const packet = readFrame(file.subarray(offset + RECORD_HEADER_BYTES, offset + RECORD_HEADER_BYTES + captured))
    if (packet !== undefined) packets.push(packet)
    offset += RECORD_HEADER_BYTES + captured
  }
  return packets
}

/** Whether an address is in a CIDR of the same family. */
export function isWithin(address: string, cidr: string): boolean {
  const [network = '', length = ''] = cidr.split('/')
  if (isIPv6(address) !== isIPv6(network)) return false
  const list = new BlockList()
  const family = isIPv6(network) ? 'ipv6' : 'ipv4'
  list.addSubnet(network, Number(length), family)
  return list.check(address, family)
}

function readFrame(frame: Buffer): OuterPacket | undefined {
  if (frame.length < 14) return undefined
  const type = frame.readUInt16BE(12)
  const packet = frame.subarray(14)
  if (type === ETHERTYPE_IPV4 && packet.length >= 20) return readIpv4(packet)
  if (type === ETHERTYPE_IPV6 && packet.length >= 40) return readIpv6(packet)
  return undefined
}

function readIpv4(packet: Buffer): OuterPacket {
  const header = (packet.readUInt8(0) & 0x0f) * 4
  const isFirstFragment = (packet.readUInt16BE(6) & 0x1fff) === 0
  const addresses = { source: packet.subarray(12, 16).join('.'), destination: packet.subarray(16, 20).join('.') }
  const isUdp = packet.readUInt8(9) === UDP && isFirstFragment && packet.length >= header + 4
  return isUdp ? { ...addresses, udpPort: packet.readUInt16BE(header + 2) } : addresses
}

function readIpv6(packet: Buffer): OuterPacket {
  const addresses = { source: showIpv6(packet.subarray(8, 24)), destination: showIpv6(packet.subarray(24, 40)) }
  return packet.readUInt8(6) === UDP && packet.length >= 44 ? { ...addresses, udpPort: packet.readUInt16BE(42) } : addresses
}

/** Canonical text (RFC 5952), by the URL parser. */
function showIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
