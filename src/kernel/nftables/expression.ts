import type { MessageWriter } from '../netlink/message.ts'
import * as nft from './protocol.ts'

/** Writes one expression of a rule: its name and what it is told. */
export function writeExpression(writer: MessageWriter, name: string, attributes: () => void): void {
  writer.nested(nft.LIST_ELEMENT, () => {
    writer.text(nft.EXPRESSION.name, name)
    writer.nested(nft.EXPRESSION.attributes, attributes)
  })
}

/** A value that is put into a register. */
export function writeImmediate(writer: MessageWriter, register: number, value: Uint8Array): void {
  writeExpression(writer, 'immediate', () => {
    writer.u32be(nft.IMMEDIATE.register, register)
    writer.nested(nft.IMMEDIATE.value, () => writer.bytesOf(nft.DATA.value, value))
  })
}
