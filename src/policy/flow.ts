import type { Family, Ip } from '../net/ip.ts'
import { LOOPBACK, type PathPacket } from './evaluate-path.ts'

/** One direction of a connection as its packets are on the wire; ports and ICMP's numbers as connection tracking has them. */
export interface FlowTuple {
  readonly source: Ip
  readonly destination: Ip
  readonly protocol: number
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly icmp?: { readonly type: number; readonly code: number }
}

/** A connection with what translation made of it. */
export interface Flow {
  readonly family: Family
  /** Of the packet that opened it: policy was asked about that one. */
  readonly original: FlowTuple
  /** Of the answers: its source is where the flow goes behind destination NAT. */
  readonly reply: FlowTuple
}

/**
 * Tells by which interface packets from or to an address pass: of a local workload its interface on the host, `lo` for the host's own
 * addresses, else the one that the route leads to; undefined where nobody knows.
 */
export type LinkOf = (ip: Ip) => string | undefined

/**
 * The packet that opened the flow, on its way through this host; undefined for one whose way is unknown, or that goes to many.
 * What came in by another interface than the route back leads to is taken to have come by that one.
 */
export function openerOf({ family, original, reply }: Flow, linkOf: LinkOf): PathPacket | undefined {
  if (isForMany(original.destination)) return undefined
  const [from, to] = [linkOf(original.source), linkOf(reply.source)]
  if (from === undefined || to === undefined) return undefined
  const { protocol, icmp, sourcePort, destinationPort } = original
  const isTranslated = reply.source !== original.destination || reply.sourcePort !== destinationPort
  return {
    family,
    protocol,
    icmp,
    state: 'new',
    source: { address: original.source, port: sourcePort },
    destination: { address: original.destination, port: destinationPort },
    translated: isTranslated ? { address: reply.source, port: reply.sourcePort } : undefined,
    inInterface: from === LOOPBACK ? undefined : from,
    // What the host sends to itself leaves by loopback.
    outInterface: to === LOOPBACK && from !== LOOPBACK ? undefined : to,
  }
}

/** Multicast, broadcast, and the addresses of a host that has none yet (RFC 1112, RFC 919, RFC 4291): nobody there has a flow with us. */
function isForMany(ip: Ip): boolean {
  if (ip.includes(':')) return ip.startsWith('ff') || ip === '::'
  return Number(ip.slice(0, ip.indexOf('.'))) >= 224 || ip === '0.0.0.0'
}
