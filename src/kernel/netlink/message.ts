/**
 * Netlink messages (netlink(7)): a header of 16 bytes, a fixed body that depends on the type, then attributes. All numbers
 * are in the machine's order, which is little-endian on x64 and arm64; only some payloads are in network order.
 *
 *     length(4) type(2) flags(2) sequence(4) port(4) | body | length(2) type(2) payload, padded to 4 | …
 */
export const HEADER_BYTES = 16

/** Types that every netlink protocol has. */
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3

/** Flags of requests. */
export const NLM_F_REQUEST = 1
export const NLM_F_ACK = 4
export const NLM_F_DUMP = 0x300
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400

/** Flags of replies and notices. */
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_APPEND = 0x800

const NLA_F_NESTED = 0x8000
const NLA_TYPE_MASK = 0x3fff

/** Writes messages one after another into one buffer that grows. */
export class MessageWriter {
  private buffer: Buffer
  private end = 0
  private start = 0

  constructor(size = 4096) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  /** How many bytes are written. */
  get length(): number {
    return this.end
  }

  /** What is written; valid until the next write. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.end)
  }

  /** Forgets all that is written, keeps the buffer. */
  reset(): void {
    this.end = 0
  }

  /** Starts a message with a body of this many bytes, which is zero but for what `fill` sets. NLM_F_REQUEST is set always. */
  begin(type: number, flags: number, sequence: number, bodyBytes: number): Body {
    this.reserve(HEADER_BYTES + bodyBytes)
    this.start = this.end
    this.buffer.writeUInt16LE(type, this.start + 4)
    this.buffer.writeUInt16LE(flags | NLM_F_REQUEST, this.start + 6)
    this.buffer.writeUInt32LE(sequence >>> 0, this.start + 8)
    this.buffer.writeUInt32LE(0, this.start + 12)
    this.buffer.fill(0, this.start + HEADER_BYTES, this.start + HEADER_BYTES + bodyBytes)
    this.end += HEADER_BYTES + bodyBytes
    return { buffer: this.buffer, at: this.start + HEADER_BYTES }
  }

  /** Sets the length of the message; every `begin` needs its `finish`. */
  finish(): void {
    this.buffer.writeUInt32LE(this.end - this.start, this.start)
  }

  /** Asks for an acknowledgement of the message that was finished last. */
  acknowledgeLast(): void {
    const at = this.start + 6
    this.buffer.writeUInt16LE(this.buffer.readUInt16LE(at) | NLM_F_ACK, at)
  }

  u8(type: number, value: number): void {
    const at = this.attribute(type, 1)
    this.buffer[at] = value
  }

  u16(type: number, value: number): void {
    const at = this.attribute(type, 2)
    this.buffer.writeUInt16LE(value, at)
  }

  /** In network order. */
  u16be(type: number, value: number): void {
    const at = this.attribute(type, 2)
    this.buffer.writeUInt16BE(value, at)
  }

  u32(type: number, value: number): void {
    const at = this.attribute(type, 4)
    this.buffer.writeUInt32LE(value >>> 0, at)
  }

  /** In network order. */
  u32be(type: number, value: number): void {
    const at = this.attribute(type, 4)
    this.buffer.writeUInt32BE(value >>> 0, at)
  }

  /** In network order. */
  u64be(type: number, value: bigint): void {
    const at = this.attribute(type, 8)
    this.buffer.writeBigUInt64BE(value, at)
  }

  bytesOf(type: number, value: Uint8Array): void {
    const at = this.attribute(type, value.length)
    this.buffer.set(value, at)
  }

  /** Attributes that another writer has written. */
  attributes(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.end)
    this.end += bytes.length
  }

  /** Text with its terminating zero. */
  text(type: number, value: string): void {
    const size = Buffer.byteLength(value)
    const at = this.attribute(type, size + 1)
    this.buffer.write(value, at)
    this.buffer[at + size] = 0
  }

  /** An attribute that holds attributes. */
  nested(type: number, write: () => void): void {
    const at = this.open(type)
    write()
    this.close(at)
  }

  /** Begins such an attribute, for those of which there are tens of thousands; gives what `close` is to be told. */
  open(type: number): number {
    return this.attribute(type | NLA_F_NESTED, 0) - 4
  }

  close(at: number): void {
    this.buffer.writeUInt16LE(this.end - at, at)
  }

  /** An attribute of so many bytes, which are zero but for what the caller sets. */
  room(type: number, size: number): Body {
    const at = this.attribute(type, size)
    this.buffer.fill(0, at, at + size)
    return { buffer: this.buffer, at }
  }

  /** Bare bytes within a nested attribute, for the few that begin with a structure (VETH_INFO_PEER). */
  structure(size: number): Body {
    this.reserve(size)
    const at = this.end
    this.buffer.fill(0, at, at + size)
    this.end += size
    return { buffer: this.buffer, at }
  }

  /** Writes an attribute's header, zeroes its padding, gives where its payload goes. Call it before naming `buffer`: it may be another one after. */
  private attribute(type: number, size: number): number {
    const padded = (size + 3) & ~3
    this.reserve(4 + padded)
    const at = this.end
    this.buffer.writeUInt16LE(4 + size, at)
    this.buffer.writeUInt16LE(type, at + 2)
    if (padded > size) this.buffer.writeUInt32LE(0, at + padded)
    this.end = at + 4 + padded
    return at + 4
  }

  private reserve(size: number): void {
    if (this.end + size <= this.buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.end + size))
    this.buffer.copy(grown, 0, 0, this.end)
    this.buffer = grown
  }
}

/** Where a structure's bytes are; valid until the next write. */
export interface Body {
  readonly buffer: Buffer
  readonly at: number
}

/** One received message: a view on the datagram that it came in. */
export class Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  /** Who caused a notice: the port id of the requesting socket, 0 for the kernel itself. */
  readonly portId: number
  readonly datagram: Buffer
  /** Where in the datagram its payload starts and ends. */
  readonly start: number
  readonly end: number

  constructor(datagram: Buffer, at: number, length: number) {
    this.type = datagram.readUInt16LE(at + 4)
    this.flags = datagram.readUInt16LE(at + 6)
    this.sequence = datagram.readUInt32LE(at + 8)
    this.portId = datagram.readUInt32LE(at + 12)
    this.datagram = datagram
    this.start = at + HEADER_BYTES
    this.end = at + length
  }

  /**
   * What follows the header: body and attributes. Made when asked for: a view costs more than all else of a message, and many are only
   * counted.
   */
  get payload(): Buffer {
    return this.datagram.subarray(this.start, this.end)
  }

  /** The same message in a datagram of its own. */
  copy(): Message {
    const at = this.start - HEADER_BYTES
    return new Message(Buffer.from(this.datagram.subarray(at, this.end)), 0, this.end - at)
  }
}

/** Calls back with each message of a datagram. What is cut off is left out. */
export function eachMessage(datagram: Buffer, visit: (message: Message) => void): void {
  let at = 0
  while (at + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(at)
    if (length < HEADER_BYTES || at + length > datagram.length) return
    visit(new Message(datagram, at, length))
    at += (length + 3) & ~3
  }
}

/**
 * Where the value of the first attribute of a type lies between these offsets of a datagram; 0 for none. For lists of tens of thousands of
 * objects, of which `readAttributes` would make maps and views without number.
 */
export function findAttribute(datagram: Buffer, type: number, start: number, end: number): number {
  let at = start
  while (at + 4 <= end) {
    const length = byte(datagram, at) | (byte(datagram, at + 1) << 8)
    if (length < 4 || at + length > end) return 0
    if ((((byte(datagram, at + 3) << 8) | byte(datagram, at + 2)) & NLA_TYPE_MASK) === type) return at + 4
    at += (length + 3) & ~3
  }
  return 0
}

/** The offset behind the value that `findAttribute` found there. */
export function endOfAttribute(datagram: Buffer, at: number): number {
  return at - 4 + (byte(datagram, at - 4) | (byte(datagram, at - 3) << 8))
}

function byte(bytes: Buffer, at: number): number {
  return bytes[at] ?? 0
}

/** The attributes of a message or of a nested attribute, by type; of several with one type the last. */
export type Attributes = ReadonlyMap<number, Buffer>

/** Reads attributes from this offset on; the values are views. */
export function readAttributes(payload: Buffer, offset = 0): Attributes {
  const attributes = new Map<number, Buffer>()
  let at = offset
  while (at + 4 <= payload.length) {
    const length = payload.readUInt16LE(at)
    if (length < 4 || at + length > payload.length) break
    attributes.set(payload.readUInt16LE(at + 2) & NLA_TYPE_MASK, payload.subarray(at + 4, at + length))
    at += (length + 3) & ~3
  }
  return attributes
}

/** Calls back with each attribute in order, for lists whose items have one type. The values are views. */
export function eachAttribute(payload: Buffer, visit: (value: Buffer, type: number) => void): void {
  let at = 0
  while (at + 4 <= payload.length) {
    const length = payload.readUInt16LE(at)
    if (length < 4 || at + length > payload.length) return
    visit(payload.subarray(at + 4, at + length), payload.readUInt16LE(at + 2) & NLA_TYPE_MASK)
    at += (length + 3) & ~3
  }
}

/** An attribute that holds attributes; empty where it is absent. */
export function readNested(value: Buffer | undefined): Attributes {
  return value === undefined ? new Map() : readAttributes(value)
}

/** Text without its terminating zero. */
export function readText(value: Buffer | undefined): string | undefined {
  if (value === undefined) return undefined
  const zero = value.indexOf(0)
  return value.toString('utf8', 0, zero < 0 ? value.length : zero)
}

/** A number of 1, 2 or 4 bytes in the machine's order. */
export function readNumber(value: Buffer | undefined): number | undefined {
  if (value === undefined || value.length === 0) return undefined
  return value.readUIntLE(0, Math.min(value.length, 4))
}
