import { familyOf, type Ip, ipToBytes } from '../../net/ip.ts'
import type { MessageWriter } from '../netlink/message.ts'
import { writeExpression, writeImmediate } from './expression.ts'
import * as nft from './protocol.ts'

/** The source becomes the address of the interface that the packet leaves by. */
export function writeMasquerade(writer: MessageWriter, { isRandom, ports }: Translation): void {
  if (ports) writePorts(writer, ports)
  const flags = natFlags(isRandom, ports)
  writeExpression(writer, 'masq', () => {
    if (flags !== 0) writer.u32be(nft.MASQUERADE.flags, flags)
    if (!ports) return
    writer.u32be(nft.MASQUERADE.portMinimum, nft.REGISTER.first)
    writer.u32be(nft.MASQUERADE.portMaximum, nft.REGISTER.second)
  })
}

/** The source becomes this address. */
export function writeSourceNat(writer: MessageWriter, { isRandom, ports }: Translation, address: Ip): void {
  writeImmediate(writer, nft.REGISTER.third, ipToBytes(address))
  if (ports) writePorts(writer, ports)
  const flags = natFlags(isRandom, ports)
  writeExpression(writer, 'nat', () => {
    writer.u32be(nft.NAT.type, 0)
    writer.u32be(nft.NAT.family, familyOf(address) === 4 ? nft.NFPROTO.ipv4 : nft.NFPROTO.ipv6)
    writer.u32be(nft.NAT.addressMinimum, nft.REGISTER.third)
    if (ports) writer.u32be(nft.NAT.portMinimum, nft.REGISTER.first)
    if (ports) writer.u32be(nft.NAT.portMaximum, nft.REGISTER.second)
    if (flags !== 0) writer.u32be(nft.NAT.flags, flags)
  })
}

/** What both kinds of source translation may have. */
export interface Translation {
  readonly isRandom: boolean
  readonly ports?: readonly [number, number]
}

function natFlags(isRandom: boolean, ports: Translation['ports']): number {
  return (isRandom ? nft.NAT_FLAG.randomFully : 0) | (ports ? nft.NAT_FLAG.ports : 0)
}

function writePorts(writer: MessageWriter, [low, high]: readonly [number, number]): void {
  writeImmediate(writer, nft.REGISTER.first, Buffer.of(low >> 8, low & 255))
  writeImmediate(writer, nft.REGISTER.second, Buffer.of(high >> 8, high & 255))
}
