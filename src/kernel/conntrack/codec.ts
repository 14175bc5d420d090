import { type Family, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { endOfAttribute, findAttribute, type Message, type MessageWriter, NLM_F_DUMP } from '../netlink/message.ts'
import type { Connection, Tuple } from './connection.ts'

// Linux, include/uapi/linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. Attributes of ctnetlink are in network order.
const SUBSYSTEM = 1 << 8
const GET = SUBSYSTEM | 1
const DELETE = SUBSYSTEM | 2
/** IPCTNL_MSG_CT_GET_STATS, and CTA_STATS_GLOBAL_ENTRIES in its answer. */
const GET_STATS = SUBSYSTEM | 5
const CTA_STATS_ENTRIES = 1
const AF_UNSPEC = 0
const AF_INET = 2
const AF_INET6 = 10
/** struct nfgenmsg: family, version, resource id. */
const BODY_BYTES = 4

const CTA = { original: 1, reply: 2, status: 3, protocolInfo: 4, mark: 8, id: 12, zone: 18, filter: 25 } as const
/** Which parts of each tuple must be those of the request, as flags in the machine's order (CTA_FILTER_F_CTA_IP_SRC and _DST). */
const CTA_FILTER = { original: 1, reply: 2 } as const
const FILTER_FLAG = { source: 1, destination: 2 } as const
const CTA_TUPLE = { ip: 1, protocol: 2 } as const
const CTA_IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const
const CTA_PROTO = { number: 1, sourcePort: 2, destinationPort: 3 } as const
/** CTA_PROTOINFO_TCP, and in it CTA_PROTOINFO_TCP_STATE. */
const CTA_TCP = { info: 1, state: 1 } as const
/** Identifier, type and code of ICMP's tuples, by family. */
const CTA_ICMP = { 4: { id: 4, type: 5, code: 6 }, 6: { id: 7, type: 8, code: 9 } } as const

/** An IPv4 address in one place of a connection's tuples. */
export interface End {
  readonly tuple: 'original' | 'reply'
  readonly side: 'source' | 'destination'
  readonly address: Ip
}

/** Which connections the kernel tells of. */
export type Listed = 'all' | 'IPv6' | End

/**
 * Writes the request for all connections, for those of IPv6, or for those with this end (CTA_FILTER, Linux 5.8); the sequence number is the
 * sender's. Of IPv6 addresses the kernel tells of all connections but those that it is asked for (ctnetlink_filter_match_tuple, 5.8 to 6.18).
 */
export function writeList(writer: MessageWriter, listed: Listed): void {
  begin(writer, GET, NLM_F_DUMP, 0, listed === 'all' ? undefined : listed === 'IPv6' ? 6 : 4)
  if (typeof listed === 'object') {
    const { tuple, side, address } = listed
    writer.nested(CTA[tuple], () => writer.nested(CTA_TUPLE.ip, () => writer.bytesOf(CTA_IP[4][side], ipToBytes(address))))
    writer.nested(CTA.filter, () => writer.u32(CTA_FILTER[tuple], FILTER_FLAG[side]))
  }
  writer.finish()
}

/** Writes the question how many connections there are. */
export function writeCount(writer: MessageWriter, sequence: number): void {
  begin(writer, GET_STATS, 0, sequence, undefined)
  writer.finish()
}

/** The answer to `writeCount`. */
export function readCount({ datagram, start, end }: Message): number {
  return readNumberAt(datagram, findAttribute(datagram, CTA_STATS_ENTRIES, start + BODY_BYTES, end))
}

/**
 * Writes the request to forget a connection, of which the kernel answers only a failure: acknowledgements take a third of the time. The
 * number spares most later connections with the same tuple (not all: `Connection.id`).
 */
export function writeDelete(writer: MessageWriter, connection: Connection, sequence: number): void {
  begin(writer, DELETE, 0, sequence, connection.family)
  writeTuple(writer, CTA.original, connection.original, connection.family)
  writer.u32be(CTA.id, connection.id)
  if (connection.zone !== 0) writer.u16be(CTA.zone, connection.zone)
  writer.finish()
}

/** The connection in an answer to `writeList`; undefined for what is not IP or lacks a tuple. `texts` keeps the texts of addresses. */
export function readConnection({ datagram, start, end }: Message, texts: AddressTexts): Connection | undefined {
  const family = datagram[start] === AF_INET ? 4 : datagram[start] === AF_INET6 ? 6 : undefined
  if (family === undefined) return undefined
  const find = (type: number) => findAttribute(datagram, type, start + BODY_BYTES, end)
  const original = readTuple(datagram, find(CTA.original), family, texts)
  const reply = readTuple(datagram, find(CTA.reply), family, texts)
  if (original === undefined || reply === undefined) return undefined
  return {
    family,
    original,
    reply,
    status: readNumberAt(datagram, find(CTA.status)),
    tcpState: readTcpState(datagram, find(CTA.protocolInfo)),
    mark: readNumberAt(datagram, find(CTA.mark)),
    zone: readNumberAt(datagram, find(CTA.zone)),
    id: readNumberAt(datagram, find(CTA.id)),
  }
}

/** The texts of addresses by their bytes: in a list most addresses are there many times, and equal texts that are one are found faster, too. */
export class AddressTexts {
  readonly #byNumber = new Map<number, Ip>()
  readonly #byBytes = new Map<string, Ip>()

  textAt(datagram: Buffer, at: number, family: Family): Ip {
    if (family === 6)
      return known(this.#byBytes, datagram.toString('latin1', at, at + 16), () => ipFromBytes(datagram.subarray(at, at + 16)))
    return known(this.#byNumber, datagram.readUInt32BE(at), () => ipFromBytes(datagram.subarray(at, at + 4)))
  }
}

function known<K>(texts: Map<K, Ip>, key: K, read: () => Ip): Ip {
  const text = texts.get(key) ?? read()
  texts.set(key, text)
  return text
}

function begin(writer: MessageWriter, type: number, flags: number, sequence: number, family: Family | undefined): void {
  const { buffer, at } = writer.begin(type, flags, sequence, BODY_BYTES)
  buffer[at] = family === undefined ? AF_UNSPEC : family === 4 ? AF_INET : AF_INET6
}

function writeTuple(writer: MessageWriter, type: number, tuple: Tuple, family: Family): void {
  writer.nested(type, () => {
    writer.nested(CTA_TUPLE.ip, () => {
      writer.bytesOf(CTA_IP[family].source, ipToBytes(tuple.source))
      writer.bytesOf(CTA_IP[family].destination, ipToBytes(tuple.destination))
    })
    writer.nested(CTA_TUPLE.protocol, () => {
      writer.u8(CTA_PROTO.number, tuple.protocol)
      if (tuple.sourcePort !== undefined) writer.u16be(CTA_PROTO.sourcePort, tuple.sourcePort)
      if (tuple.destinationPort !== undefined) writer.u16be(CTA_PROTO.destinationPort, tuple.destinationPort)
      if (tuple.icmp === undefined) return
      writer.u16be(CTA_ICMP[family].id, tuple.icmp.id)
      writer.u8(CTA_ICMP[family].type, tuple.icmp.type)
      writer.u8(CTA_ICMP[family].code, tuple.icmp.code)
    })
  })
}

function readTuple(datagram: Buffer, at: number, family: Family, texts: AddressTexts): Tuple | undefined {
  if (at === 0) return undefined
  const end = endOfAttribute(datagram, at)
  const [ip, transport] = [findAttribute(datagram, CTA_TUPLE.ip, at, end), findAttribute(datagram, CTA_TUPLE.protocol, at, end)]
  if (ip === 0 || transport === 0) return undefined
  const [ipEnd, transportEnd] = [endOfAttribute(datagram, ip), endOfAttribute(datagram, transport)]
  const source = findAttribute(datagram, CTA_IP[family].source, ip, ipEnd)
  const destination = findAttribute(datagram, CTA_IP[family].destination, ip, ipEnd)
  const find = (type: number) => findAttribute(datagram, type, transport, transportEnd)
  const protocol = find(CTA_PROTO.number)
  if (source === 0 || destination === 0 || protocol === 0) return undefined
  const ends = { source: texts.textAt(datagram, source, family), destination: texts.textAt(datagram, destination, family) }
  const [sourcePort, destinationPort] = [find(CTA_PROTO.sourcePort), find(CTA_PROTO.destinationPort)]
  if (sourcePort !== 0 && destinationPort !== 0) {
    const ports = { sourcePort: readNumberAt(datagram, sourcePort), destinationPort: readNumberAt(datagram, destinationPort) }
    return { source: ends.source, destination: ends.destination, protocol: readNumberAt(datagram, protocol), ...ports }
  }
  const icmp = readIcmp(datagram, find, family)
  return { ...ends, protocol: readNumberAt(datagram, protocol), ...(icmp && { icmp }) }
}

function readTcpState(datagram: Buffer, info: number): number | undefined {
  const tcp = info === 0 ? 0 : findAttribute(datagram, CTA_TCP.info, info, endOfAttribute(datagram, info))
  const state = tcp === 0 ? 0 : findAttribute(datagram, CTA_TCP.state, tcp, endOfAttribute(datagram, tcp))
  return state === 0 ? undefined : readNumberAt(datagram, state)
}

function readIcmp(datagram: Buffer, find: (type: number) => number, family: Family): Tuple['icmp'] {
  const numbers = CTA_ICMP[family]
  const type = find(numbers.type)
  if (type === 0) return undefined
  const [code, id] = [find(numbers.code), find(numbers.id)]
  return { type: readNumberAt(datagram, type), code: readNumberAt(datagram, code), id: readNumberAt(datagram, id) }
}

/** A number of 1, 2 or 4 bytes in network order; 0 where there is no such attribute. */
function readNumberAt(datagram: Buffer, at: number): number {
  if (at === 0) return 0
  const length = endOfAttribute(datagram, at) - at
  if (length === 1) return datagram.readUInt8(at)
  return length === 2 ? datagram.readUInt16BE(at) : datagram.readUInt32BE(at)
}
