import type { Family, Ip } from '../net/ip.ts'

/** One end of a packet. Ports are there for TCP, UDP, SCTP and UDP-Lite. */
export interface PacketEnd {
  readonly address: Ip
  readonly port?: number | undefined
}

/** What connection tracking says of a packet. */
export type ConnectionState = 'new' | 'established' | 'related' | 'invalid' | 'untracked'

/** A packet as rules see it. */
export interface Packet {
  readonly family: Family
  /** IP protocol number of the transport header. */
  readonly protocol: number
  readonly source: PacketEnd
  readonly destination: PacketEnd
  /** Of ICMP and ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number } | undefined
}

/** Protocols whose header begins with a source and a destination port: TCP, UDP, SCTP, UDP-Lite. */
export const PORT_PROTOCOLS: readonly number[] = [6, 17, 132, 136]

/** The ICMP of each family. */
export const ICMP_PROTOCOLS: Readonly<Record<Family, number>> = { 4: 1, 6: 58 }
