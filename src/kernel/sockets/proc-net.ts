import { type Family, familyOf, formatIp, type Ip, ipFromBytes } from '../../net/ip.ts'

/** One end of a socket. Port 0 and an address of zeros mean any. */
export interface SocketEnd {
  readonly address: Ip
  readonly port: number
}

/** A socket of a program on this host. */
export interface Socket {
  readonly family: Family
  /** 6 TCP, 17 UDP. */
  readonly protocol: 6 | 17
  readonly local: SocketEnd
  readonly remote: SocketEnd
  /** `open`: a TCP connection that stands, or a UDP socket with one other end. */
  readonly state: 'listening' | 'open' | 'other'
  readonly inode: number
}

// Linux, include/net/tcp_states.h.
const [ESTABLISHED, CLOSE, LISTEN] = [1, 7, 10]

/**
 * One line of /proc/net/{tcp,tcp6,udp,udp6} (Linux, Documentation/networking/proc_net_tcp.rst); undefined for the head. IPv4 over a socket
 * of IPv6 is told as IPv4; a listener on `::` takes both, unless it says otherwise, which these files do not show.
 */
export function parseSocket(line: string, protocol: Socket['protocol']): Socket | undefined {
  const [slot, local, remote, state, , , , , , inode] = line.trim().split(/\s+/)
  if (local === undefined || remote === undefined || state === undefined || !/^\d+:$/.test(slot ?? '')) return undefined
  const ends = [parseEnd(local), parseEnd(remote)] as const
  const number = Number.parseInt(state, 16)
  return {
    family: familyOf(ends[0].address),
    protocol,
    local: ends[0],
    remote: sameFamily(ends[1], ends[0]),
    state: protocol === 6 ? (number === LISTEN ? 'listening' : number === ESTABLISHED ? 'open' : 'other') : stateOfUdp(number),
    inode: Number(inode),
  }
}

function stateOfUdp(number: number): Socket['state'] {
  return number === CLOSE ? 'listening' : number === ESTABLISHED ? 'open' : 'other'
}

/** Words of four bytes in the order of the machine, which is little-endian wherever margay runs. */
function parseEnd(text: string): SocketEnd {
  const [hex = '', port = ''] = text.split(':')
  const bytes = Buffer.from(hex, 'hex')
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse()
  const isMapped = bytes.length === 16 && bytes.subarray(0, 12).equals(MAPPED)
  return { address: ipFromBytes(isMapped ? bytes.subarray(12) : bytes), port: Number.parseInt(port, 16) }
}

/** ::ffff:0:0/96 (RFC 4291, section 2.5.5.2). */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex')

function sameFamily(end: SocketEnd, { address }: SocketEnd): SocketEnd {
  return familyOf(end.address) === familyOf(address) ? end : { ...end, address: formatIp(familyOf(address), 0n) }
}
