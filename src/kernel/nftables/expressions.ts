import { type Cidr, ipOf, lengthOf } from '../../net/cidr.ts'
import { addressBits, type Family, familyOf, type Ip, ipToBytes } from '../../net/ip.ts'
import { MessageWriter } from '../netlink/message.ts'
import type { NftMatch, NftRule, NftVerdict } from '../objects.ts'
import { KEY_PARTS, wordsBefore } from './element-keys.ts'
import { writeExpression } from './expression.ts'
import { writeMasquerade, writeSourceNat } from './nat-expressions.ts'
import * as nft from './protocol.ts'
import { writeCounter, writeCounterReference, writeLimit, writeLog } from './tell-expressions.ts'

/** A match on addresses: one prefix or a set. */
type AddressMatch = Extract<NftMatch, { readonly on: 'saddr' | 'daddr' }>

/**
 * The kernel's expressions for a rule: what stands in NFTA_RULE_EXPRESSIONS. The same rule gives the same bytes, so their hash
 * names the rule.
 */
export function encodeRule(rule: NftRule): Buffer {
  const writer = new MessageWriter(512)
  let checkedFamily: Family | undefined
  for (const match of rule.matches) {
    if (match.on === 'family' && 'value' in match && !match.negate) checkedFamily = match.value
    const family = familyOfMatch(match)
    if (family !== undefined) {
      // An inet table sees both families: without this check the bytes of the other family's header would be compared.
      if (family !== checkedFamily) writeFamily(writer, family, false)
      checkedFamily = family
    }
    writeMatch(writer, match)
  }
  if (rule.limit) writeLimit(writer, rule.limit)
  if (rule.isCounted) writeCounter(writer)
  if (rule.counter !== undefined) writeCounterReference(writer, rule.counter)
  if (rule.setMark) writeSetMark(writer, rule.setMark)
  if (rule.log) writeLog(writer, rule.log)
  writeVerdict(writer, rule.verdict)
  return Buffer.from(writer.bytes())
}

function writeMatch(writer: MessageWriter, match: NftMatch): void {
  const isNegated = match.negate === true
  switch (match.on) {
    case 'iifname':
    case 'oifname':
      writeMeta(writer, nft.META_KEY[match.on])
      writeCompare(writer, isNegated, interfaceName(match.value))
      break
    case 'sender':
      writeSender(writer, match, isNegated)
      break
    case 'family':
      if ('value' in match) writeFamily(writer, match.value, isNegated)
      else {
        writeMeta(writer, nft.META_KEY.nfproto)
        writeLookup(writer, match.set, isNegated)
      }
      break
    case 'protocol':
      writeMeta(writer, nft.META_KEY.l4proto)
      writeCompare(writer, isNegated, Buffer.of(match.value))
      break
    case 'sport':
    case 'dport':
      writePort(writer, match.on, nft.REGISTER.first)
      if ('set' in match) writeLookup(writer, match.set, isNegated)
      else writeCompare(writer, isNegated, Buffer.of(match.value >> 8, match.value & 255))
      break
    case 'source':
    case 'destination':
      writeAddressPort(writer, match, isNegated)
      break
    case 'connection':
      writeConnection(writer, match, isNegated)
      break
    case 'icmp-type':
    case 'icmp-code':
      writePayload(writer, nft.PAYLOAD_BASE.transport, match.on === 'icmp-type' ? 0 : 1, 1)
      writeCompare(writer, isNegated, Buffer.of(match.value))
      break
    case 'hop-limit':
      writePayload(writer, nft.PAYLOAD_BASE.network, HOP_LIMIT_OFFSET, 1)
      writeCompare(writer, isNegated, Buffer.of(match.value))
      break
    case 'saddr':
    case 'daddr':
      writeAddress(writer, match, isNegated)
      break
    case 'ct-state':
      writeState(writer, match.value, isNegated)
      break
    case 'translated':
      writeTracking(writer, nft.CT_KEY_STATUS, nft.CT_STATUS_DESTINATION, isNegated)
      break
    case 'origin':
      writeMeta(writer, nft.META_KEY.iif)
      writeCompare(writer, isNegated, hostU32(0))
      break
    case 'saddr-type':
    case 'daddr-type':
      writeFib(writer, match.on === 'saddr-type' ? nft.FIB_FLAG.saddr : nft.FIB_FLAG.daddr)
      writeCompare(writer, isNegated, hostU32(nft.ADDRESS_TYPE_LOCAL))
      break
    case 'mark':
      writeMeta(writer, nft.META_KEY.mark)
      writeMask(writer, hostU32(match.mask))
      writeCompare(writer, isNegated, hostU32(match.value))
      break
  }
}

function writeVerdict(writer: MessageWriter, verdict: NftVerdict): void {
  switch (verdict.do) {
    case 'notrack':
      writeExpression(writer, 'notrack', () => {})
      // It ends nothing by itself: each later rule would be asked too.
      writeVerdictCode(writer, nft.VERDICT_CODE.accept)
      break
    case 'masquerade':
      writeMasquerade(writer, verdict)
      break
    case 'snat':
      writeSourceNat(writer, verdict, verdict.address)
      break
    case 'jump':
    case 'goto':
      writeVerdictCode(writer, nft.VERDICT_CODE[verdict.do], verdict.chain)
      break
    case 'map':
      writeMapVerdict(writer, verdict)
      break
    case 'continue':
      break
    case 'reject':
      writeExpression(writer, 'reject', () => {
        writer.u32be(nft.REJECT.type, verdict.by === 'reset' ? nft.REJECT_TCP_RESET : nft.REJECT_ICMPX)
        if (verdict.by === undefined) writer.u8(nft.REJECT.code, nft.REJECT_PORT_UNREACHABLE)
      })
      break
    default:
      writeVerdictCode(writer, nft.VERDICT_CODE[verdict.do])
      break
  }
}

/** The family whose header a match reads. */
function familyOfMatch(match: NftMatch): Family | undefined {
  if (match.on === 'source' || match.on === 'destination' || match.on === 'connection') return match.family
  if (match.on === 'sender') return KEY_PARTS[match.key].includes('address') ? match.family : undefined
  return match.on === 'saddr' || match.on === 'daddr' ? addressFamily(match) : undefined
}

function addressFamily(match: AddressMatch): Family {
  return 'set' in match ? match.family : familyOf(match.value)
}

/** RFC 8200, section 3. */
const HOP_LIMIT_OFFSET = 7

function loadAddress(writer: MessageWriter, on: 'saddr' | 'daddr', family: Family, register: number = nft.REGISTER.first): void {
  const offsets = family === 4 ? { saddr: 12, daddr: 16 } : { saddr: 8, daddr: 24 } // RFC 791, 3.1; RFC 8200, 3
  writePayload(writer, nft.PAYLOAD_BASE.network, offsets[on], addressBits(family) / 8, register)
}

function writePort(writer: MessageWriter, on: 'sport' | 'dport', register: number): void {
  writePayload(writer, nft.PAYLOAD_BASE.transport, on === 'sport' ? 0 : 2, 2, register)
}

/** Address, protocol and port side by side in the registers, each beginning at a word: the key of one look-up. */
function writeAddressPort(writer: MessageWriter, match: Extract<NftMatch, { on: 'source' | 'destination' }>, isNegated: boolean): void {
  const isSource = match.on === 'source'
  const behind = nft.WORD_REGISTER + addressBits(match.family) / 32
  loadAddress(writer, isSource ? 'saddr' : 'daddr', match.family)
  writeMeta(writer, nft.META_KEY.l4proto, behind)
  writePort(writer, isSource ? 'sport' : 'dport', behind + 1)
  writeLookup(writer, match.set, isNegated)
}

/** Who sent a packet, part by part in the registers. */
function writeSender(writer: MessageWriter, match: Extract<NftMatch, { on: 'sender' }>, isNegated: boolean): void {
  const parts = KEY_PARTS[match.key]
  if (parts.includes('mac')) {
    writeMeta(writer, nft.META_KEY.iiftype)
    writeCompare(writer, false, hostU16(nft.LINK_TYPE_ETHERNET))
  }
  for (const [i, part] of parts.entries()) {
    const register = nft.WORD_REGISTER + wordsBefore(match.key, i, match.family)
    if (part === 'interface') writeMeta(writer, nft.META_KEY.iifname, register)
    else if (part === 'mac') writePayload(writer, nft.PAYLOAD_BASE.link, SOURCE_MAC_OFFSET, 6, register)
    else loadAddress(writer, 'saddr', match.family, register)
  }
  writeLookup(writer, match.set, isNegated)
}

/** IEEE 802.3: behind the destination's. */
const SOURCE_MAC_OFFSET = 6

/** Protocol, source and destination side by side as above. What refreshes the element takes the key from the same registers. */
function writeConnection(writer: MessageWriter, match: Extract<NftMatch, { on: 'connection' }>, isNegated: boolean): void {
  const { family, set, refreshMs } = match
  const words = addressBits(family) / 32
  writeMeta(writer, nft.META_KEY.l4proto)
  loadAddress(writer, 'saddr', family, nft.WORD_REGISTER + 1)
  writePort(writer, 'sport', nft.WORD_REGISTER + 1 + words)
  loadAddress(writer, 'daddr', family, nft.WORD_REGISTER + 2 + words)
  writePort(writer, 'dport', nft.WORD_REGISTER + 2 + 2 * words)
  writeLookup(writer, set, isNegated)
  if (refreshMs === undefined) return
  writeExpression(writer, 'dynset', () => {
    writer.text(nft.DYNAMIC_SET.set, set)
    writer.u32be(nft.DYNAMIC_SET.operation, nft.DYNAMIC_SET_UPDATE)
    writer.u32be(nft.DYNAMIC_SET.key, nft.REGISTER.first)
    writer.u64be(nft.DYNAMIC_SET.timeout, BigInt(refreshMs))
  })
}

function writeAddress(writer: MessageWriter, match: AddressMatch, isNegated: boolean): void {
  const family = addressFamily(match)
  loadAddress(writer, match.on, family)
  if ('set' in match) {
    writeLookup(writer, match.set, isNegated)
    return
  }
  const { ip, length } = splitPrefix(match.value)
  if (length < addressBits(family)) writeMask(writer, prefixMask(family, length))
  writeCompare(writer, isNegated, ipToBytes(ip))
}

function splitPrefix(value: Cidr | Ip): { readonly ip: Ip; readonly length: number } {
  if (!value.includes('/')) return { ip: value as Ip, length: addressBits(familyOf(value)) }
  return { ip: ipOf(value as Cidr), length: lengthOf(value as Cidr) }
}

function prefixMask(family: Family, length: number): Buffer {
  return Buffer.from(Array.from({ length: addressBits(family) / 8 }, (_, i) => 0xff00 >> Math.min(8, Math.max(0, length - 8 * i))))
}

/** IFNAMSIZ bytes padded with zeros; with a trailing `*` only the bytes before it, which compares a prefix. */
function interfaceName(value: string): Buffer {
  if (value.endsWith('*')) return Buffer.from(value.slice(0, -1))
  const name = Buffer.alloc(16)
  name.write(value, 0, 15)
  return name
}

type CtState = keyof typeof nft.CT_STATE_BITS

function writeState(writer: MessageWriter, states: readonly CtState[], isNegated: boolean): void {
  const bits = states.reduce((sum, state) => sum | nft.CT_STATE_BITS[state], 0)
  writeTracking(writer, nft.CT_KEY_STATE, bits, isNegated)
}

/** Any of these bits of what connection tracking knows. */
function writeTracking(writer: MessageWriter, key: number, bits: number, isNegated: boolean): void {
  writeExpression(writer, 'ct', () => {
    writer.u32be(nft.CT.key, key)
    writer.u32be(nft.CT.destination, nft.REGISTER.first)
  })
  writeMask(writer, hostU32(bits))
  // "Any of these" is "some bit is left".
  writeCompare(writer, !isNegated, hostU32(0))
}

function writeFamily(writer: MessageWriter, family: Family, isNegated: boolean): void {
  writeMeta(writer, nft.META_KEY.nfproto)
  writeCompare(writer, isNegated, Buffer.of(family === 4 ? nft.NFPROTO.ipv4 : nft.NFPROTO.ipv6))
}

function writeMeta(writer: MessageWriter, key: number, register: number = nft.REGISTER.first): void {
  writeExpression(writer, 'meta', () => {
    writer.u32be(nft.META.key, key)
    writer.u32be(nft.META.destination, register)
  })
}

/** The bits of the mark that are not in the mask stay. */
function writeSetMark(writer: MessageWriter, { value, mask }: NonNullable<NftRule['setMark']>): void {
  writeMeta(writer, nft.META_KEY.mark)
  writeMask(writer, hostU32(~mask), hostU32(value))
  writeExpression(writer, 'meta', () => {
    writer.u32be(nft.META.key, nft.META_KEY.mark)
    writer.u32be(nft.META.source, nft.REGISTER.first)
  })
}

function writeMapVerdict(writer: MessageWriter, { on, map }: Extract<NftVerdict, { do: 'map' }>): void {
  if (on === 'iifname' || on === 'oifname') writeMeta(writer, nft.META_KEY[on])
  else writePort(writer, on, nft.REGISTER.first)
  writeExpression(writer, 'lookup', () => {
    writer.text(nft.LOOKUP.set, map)
    writer.u32be(nft.LOOKUP.source, nft.REGISTER.first)
    writer.u32be(nft.LOOKUP.destination, nft.REGISTER.verdict)
  })
}

function writePayload(writer: MessageWriter, base: number, offset: number, length: number, register: number = nft.REGISTER.first): void {
  writeExpression(writer, 'payload', () => {
    writer.u32be(nft.PAYLOAD.destination, register)
    writer.u32be(nft.PAYLOAD.base, base)
    writer.u32be(nft.PAYLOAD.offset, offset)
    writer.u32be(nft.PAYLOAD.length, length)
  })
}

function writeCompare(writer: MessageWriter, isNegated: boolean, value: Uint8Array): void {
  writeExpression(writer, 'cmp', () => {
    writer.u32be(nft.COMPARE.source, nft.REGISTER.first)
    writer.u32be(nft.COMPARE.operator, isNegated ? nft.COMPARE_OPERATOR.notEqual : nft.COMPARE_OPERATOR.equal)
    writer.nested(nft.COMPARE.value, () => writer.bytesOf(nft.DATA.value, value))
  })
}

function writeMask(writer: MessageWriter, mask: Uint8Array, xor: Uint8Array = new Uint8Array(mask.length)): void {
  writeExpression(writer, 'bitwise', () => {
    writer.u32be(nft.BITWISE.source, nft.REGISTER.first)
    writer.u32be(nft.BITWISE.destination, nft.REGISTER.first)
    writer.u32be(nft.BITWISE.length, mask.length)
    writer.nested(nft.BITWISE.mask, () => writer.bytesOf(nft.DATA.value, mask))
    writer.nested(nft.BITWISE.xor, () => writer.bytesOf(nft.DATA.value, xor))
  })
}

function writeLookup(writer: MessageWriter, set: string, isNegated: boolean): void {
  writeExpression(writer, 'lookup', () => {
    writer.text(nft.LOOKUP.set, set)
    writer.u32be(nft.LOOKUP.source, nft.REGISTER.first)
    if (isNegated) writer.u32be(nft.LOOKUP.flags, nft.LOOKUP_INVERTED)
  })
}

function writeFib(writer: MessageWriter, flag: number): void {
  writeExpression(writer, 'fib', () => {
    writer.u32be(nft.FIB.flags, flag)
    writer.u32be(nft.FIB.result, nft.FIB_RESULT_ADDRESS_TYPE)
    writer.u32be(nft.FIB.destination, nft.REGISTER.first)
  })
}

function writeVerdictCode(writer: MessageWriter, code: number, chain?: string): void {
  writeExpression(writer, 'immediate', () => {
    writer.u32be(nft.IMMEDIATE.register, nft.REGISTER.verdict)
    writer.nested(nft.IMMEDIATE.value, () =>
      writer.nested(nft.DATA.verdict, () => {
        writer.u32be(nft.VERDICT.code, code)
        if (chain !== undefined) writer.text(nft.VERDICT.chain, chain)
      }),
    )
  })
}

/** Marks, conntrack state, types of links and of addresses are compared as the CPU keeps them: x86-64 and arm64 are little-endian. */
function hostU16(value: number): Buffer {
  return Buffer.of(value & 255, value >> 8)
}

function hostU32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}
