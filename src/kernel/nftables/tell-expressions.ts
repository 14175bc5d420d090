import type { MessageWriter } from '../netlink/message.ts'
import type { NftLimit, NftRule } from '../objects.ts'
import { writeExpression } from './expression.ts'
import * as nft from './protocol.ts'

/** Counts, for this rule alone. */
export function writeCounter(writer: MessageWriter): void {
  writeExpression(writer, 'counter', () => {
    writer.u64be(nft.COUNTER.bytes, 0n)
    writer.u64be(nft.COUNTER.packets, 0n)
  })
}

/** Counts with a counter that others may count with, too. */
export function writeCounterReference(writer: MessageWriter, name: string): void {
  writeExpression(writer, 'objref', () => {
    writer.u32be(nft.OBJECT_REFERENCE.type, nft.OBJECT_COUNTER)
    writer.text(nft.OBJECT_REFERENCE.name, name)
  })
}

/** What comes faster matches no more. */
export function writeLimit(writer: MessageWriter, { rate, seconds, burst }: NftLimit): void {
  writeExpression(writer, 'limit', () => {
    writer.u64be(nft.LIMIT.rate, BigInt(rate))
    writer.u64be(nft.LIMIT.seconds, BigInt(seconds))
    writer.u32be(nft.LIMIT.burst, burst)
  })
}

/** Tells a group of NFLOG of the packet. */
export function writeLog(writer: MessageWriter, { group, prefix }: NonNullable<NftRule['log']>): void {
  writeExpression(writer, 'log', () => {
    writer.u16be(nft.LOG.group, group)
    writer.text(nft.LOG.prefix, prefix)
  })
}
