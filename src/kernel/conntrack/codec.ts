import type { Family } from '../../net/ip.ts'
import { ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { type Attributes, type Message, type MessageWriter, NLM_F_ACK, NLM_F_DUMP, readAttributes, readNested } from '../netlink/message.ts'
import type { Connection, Tuple } from './connection.ts'

// Linux, include/uapi/linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. Attributes of ctnetlink are in network order.
const SUBSYSTEM = 1 << 8
const GET = SUBSYSTEM | 1
const DELETE = SUBSYSTEM | 2
const AF_UNSPEC = 0
const AF_INET = 2
const AF_INET6 = 10
/** struct nfgenmsg: family, version, resource id. */
const BODY_BYTES = 4

const CTA = { original: 1, reply: 2, status: 3, protocolInfo: 4, mark: 8, id: 12, zone: 18 } as const
const CTA_TUPLE = { ip: 1, protocol: 2 } as const
const CTA_IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const
const CTA_PROTO = { number: 1, sourcePort: 2, destinationPort: 3 } as const
/** CTA_PROTOINFO_TCP, and in it CTA_PROTOINFO_TCP_STATE. */
const CTA_TCP = { info: 1, state: 1 } as const
/** Identifier, type and code of ICMP's tuples, by family. */
const CTA_ICMP = { 4: { id: 4, type: 5, code: 6 }, 6: { id: 7, type: 8, code: 9 } } as const

/** Writes the request for all connections of both families; the sequence number is the sender's. */
export function writeList(writer: MessageWriter): void {
  begin(writer, GET, NLM_F_DUMP, 0, undefined)
  writer.finish()
}

/** Writes the request to forget a connection. The number spares most later connections with the same tuple (not all: `Connection.id`). */
export function writeDelete(writer: MessageWriter, connection: Connection, sequence: number): void {
  begin(writer, DELETE, NLM_F_ACK, sequence, connection.family)
  writeTuple(writer, CTA.original, connection.original, connection.family)
  writer.u32be(CTA.id, connection.id)
  if (connection.zone !== 0) writer.u16be(CTA.zone, connection.zone)
  writer.finish()
}

/** The connection in an answer to `writeList`; undefined for what is not IP or lacks a tuple. */
export function readConnection({ payload }: Message): Connection | undefined {
  const family = payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 6 : undefined
  if (family === undefined) return undefined
  const attributes = readAttributes(payload, BODY_BYTES)
  const original = readTuple(attributes.get(CTA.original), family)
  const reply = readTuple(attributes.get(CTA.reply), family)
  if (original === undefined || reply === undefined) return undefined
  return {
    family,
    original,
    reply,
    status: readBig(attributes, CTA.status) ?? 0,
    mark: readBig(attributes, CTA.mark) ?? 0,
    zone: readBig(attributes, CTA.zone) ?? 0,
    id: readBig(attributes, CTA.id) ?? 0,
    ...readTcpState(attributes.get(CTA.protocolInfo)),
  }
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

function readTuple(value: Buffer | undefined, family: Family): Tuple | undefined {
  const parts = readNested(value)
  const addresses = readNested(parts.get(CTA_TUPLE.ip))
  const source = addresses.get(CTA_IP[family].source)
  const destination = addresses.get(CTA_IP[family].destination)
  const transport = readNested(parts.get(CTA_TUPLE.protocol))
  const protocol = readBig(transport, CTA_PROTO.number)
  if (source === undefined || destination === undefined || protocol === undefined) return undefined
  return {
    source: ipFromBytes(source),
    destination: ipFromBytes(destination),
    protocol,
    ...readPorts(transport),
    ...readIcmp(transport, family),
  }
}

function readTcpState(info: Buffer | undefined): Pick<Connection, 'tcpState'> {
  const tcpState = readBig(readNested(readNested(info).get(CTA_TCP.info)), CTA_TCP.state)
  return tcpState === undefined ? {} : { tcpState }
}

function readPorts(transport: Attributes): Pick<Tuple, 'sourcePort' | 'destinationPort'> {
  const sourcePort = readBig(transport, CTA_PROTO.sourcePort)
  const destinationPort = readBig(transport, CTA_PROTO.destinationPort)
  return sourcePort === undefined || destinationPort === undefined ? {} : { sourcePort, destinationPort }
}

function readIcmp(transport: Attributes, family: Family): Pick<Tuple, 'icmp'> {
  const numbers = CTA_ICMP[family]
  const type = readBig(transport, numbers.type)
  if (type === undefined) return {}
  return { icmp: { type, code: readBig(transport, numbers.code) ?? 0, id: readBig(transport, numbers.id) ?? 0 } }
}

/** A number of 1, 2 or 4 bytes in network order. */
function readBig(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type)
  return value === undefined || value.length === 0 ? undefined : value.readUIntBE(0, Math.min(value.length, 4))
}
