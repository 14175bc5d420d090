import { MessageWriter } from '../netlink/message.ts'
import * as nft from './protocol.ts'

/** One nf_tables transaction while it is written, then sent whole: the kernel takes all of it or nothing. */
export class NftBatch {
  private readonly writer: MessageWriter
  private readonly owners = new Map<number, string>()
  private readonly nextSequence: () => number
  private count = 0

  /**
   * `generation` is the state of the rule set on which the changes rest (NFNL_BATCH_GENID): if anybody has changed any table since,
   * the kernel refuses the batch with ERESTART. There is room for `bytes` at once, and for more.
   */
  constructor(nextSequence: () => number, generation: number, bytes = 4096) {
    this.writer = new MessageWriter(bytes)
    this.nextSequence = nextSequence
    this.begin('', nft.BATCH_BEGIN, 0, nft.SUBSYSTEM)
    this.writer.u32be(nft.BATCH_GENERATION, generation)
    this.writer.finish()
  }

  /** How many changes are in it. */
  get size(): number {
    return this.count
  }

  /** Adds one message for the object with this key. */
  add(owner: string, type: number, flags: number, content: (writer: MessageWriter) => void): void {
    this.begin(owner, (nft.SUBSYSTEM << 8) | type, flags, 0)
    content(this.writer)
    this.writer.finish()
    this.count++
  }

  /** The bytes to send in one piece. Only the last change asks for an acknowledgement; the kernel reports errors of all. */
  finish(): Buffer {
    this.writer.acknowledgeLast()
    this.begin('', nft.BATCH_END, 0, nft.SUBSYSTEM)
    this.writer.finish()
    return this.writer.bytes()
  }

  /** The bytes without an end: the kernel looks at all of them, says what is wrong, and does nothing (nfnetlink_rcv_batch). */
  unfinished(): Buffer {
    return this.writer.bytes()
  }

  /** The key of the object whose message has this sequence number; empty for the table or the batch as a whole. */
  ownerOf(sequence: number): string {
    return this.owners.get(sequence) ?? ''
  }

  private begin(owner: string, type: number, flags: number, resource: number): void {
    const sequence = this.nextSequence()
    this.owners.set(sequence, owner)
    const { buffer, at } = this.writer.begin(type, flags, sequence, nft.NFGENMSG_BYTES)
    buffer[at] = resource === 0 ? nft.NFPROTO.inet : 0
    buffer.writeUInt16BE(resource, at + 2)
  }
}

/** A single request outside of a transaction: a dump or a question. The socket sets the sequence number of a dump. */
export function writeRequest(type: number, flags: number, content: (writer: MessageWriter) => void): Buffer {
  const writer = new MessageWriter(256)
  const { buffer, at } = writer.begin((nft.SUBSYSTEM << 8) | type, flags, 0, nft.NFGENMSG_BYTES)
  buffer[at] = nft.NFPROTO.inet
  content(writer)
  writer.finish()
  return writer.bytes()
}
