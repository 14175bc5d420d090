import { addressBits, type Family, formatIp, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { eachAttribute, type MessageWriter, readAttributes, readNested } from '../netlink/message.ts'
import * as nft from './protocol.ts'

/** What of a set decides how its elements are written. */
export interface ElementType {
  readonly family: Family
  readonly isInterval: boolean
}

/**
 * How many elements one message may carry: an attribute's length has 16 bits, and the largest element (an IPv6 prefix: start and end)
 * takes 64 bytes.
 */
export const ELEMENTS_PER_MESSAGE = 1000

/**
 * Writes elements for NFTA_SET_ELEM_LIST_ELEMENTS. In an interval set a prefix is two entries: its first address, and the first one
 * behind it marked as an end. A prefix that reaches the last address there is has no end.
 */
export function writeElements(writer: MessageWriter, type: ElementType, elements: Iterable<string>): void {
  for (const element of elements) {
    const { first, end } = type.isInterval ? elementRange(type.family, element) : { first: ipToBytes(element as Ip), end: undefined }
    writeElement(writer, first, false)
    if (end) writeElement(writer, end, true)
  }
}

function writeElement(writer: MessageWriter, key: Uint8Array, isEnd: boolean): void {
  writer.nested(nft.LIST_ELEMENT, () => {
    if (isEnd) writer.u32be(nft.ELEMENT.flags, nft.ELEMENT_INTERVAL_END)
    writer.nested(nft.ELEMENT.key, () => writer.bytesOf(nft.DATA.value, key))
  })
}

/** An address or a prefix, or `first-last` where somebody else put in what is no prefix. `end` is the first address behind it. */
function elementRange(family: Family, element: string): { readonly first: Buffer; readonly end: Buffer | undefined } {
  const dash = element.indexOf('-')
  if (dash > 0)
    return { first: ipToBytes(element.slice(0, dash) as Ip), end: addBit(ipToBytes(element.slice(dash + 1) as Ip), addressBits(family)) }
  const slash = element.indexOf('/')
  const first = ipToBytes((slash < 0 ? element : element.slice(0, slash)) as Ip)
  return { first, end: addBit(first, slash < 0 ? addressBits(family) : Number(element.slice(slash + 1))) }
}

/** The address that is higher by the last bit of a prefix of this length; undefined behind the last address there is. */
function addBit(address: Buffer, length: number): Buffer | undefined {
  if (length === 0) return undefined
  const sum = Buffer.from(address)
  let carry = 0x80 >> ((length - 1) & 7)
  for (let i = (length - 1) >> 3; i >= 0 && carry > 0; i--) {
    const byte = (sum[i] ?? 0) + carry
    sum[i] = byte & 255
    carry = byte >> 8
  }
  return carry > 0 ? undefined : sum
}

/** One entry of a set as the kernel lists it. */
export interface RawElement {
  readonly key: Buffer
  readonly isEnd: boolean
}

/** The entries in one message of a set's dump, copied. */
export function readElements(elements: Buffer | undefined): RawElement[] {
  const entries: RawElement[] = []
  if (elements === undefined) return entries
  eachAttribute(elements, (value) => {
    const attributes = readAttributes(value)
    const key = readNested(attributes.get(nft.ELEMENT.key)).get(nft.DATA.value)
    const flags = attributes.get(nft.ELEMENT.flags)?.readUInt32BE(0) ?? 0
    if (key) entries.push({ key: Buffer.from(key), isEnd: (flags & nft.ELEMENT_INTERVAL_END) !== 0 })
  })
  return entries
}

/** The members of a set from all its listed entries: addresses, or prefixes of an interval set. */
export function elementsFrom(type: ElementType, entries: readonly RawElement[]): Set<string> {
  if (!type.isInterval) return new Set(entries.map(({ key }) => ipFromBytes(key)))
  // Kernels list their tree in either order; an end comes before the start of the interval that adjoins it.
  const sorted = entries.toSorted((a, b) => Buffer.compare(a.key, b.key) || Number(b.isEnd) - Number(a.isEnd))
  const members = new Set<string>()
  let start: Buffer | undefined
  for (const { key, isEnd } of sorted) {
    if (start) members.add(rangeText(type.family, start, key))
    start = isEnd ? undefined : key
  }
  if (start) members.add(rangeText(type.family, start, undefined))
  return members
}

/** The prefix between two addresses (the second is outside; absent: to the last there is), or `first-last` if it is none. */
function rangeText(family: Family, start: Buffer, end: Buffer | undefined): string {
  const shortest = addressBits(family) - trailingZeros(start)
  for (let length = shortest; length <= addressBits(family); length++) {
    const behind = addBit(start, length)
    if (behind === end || (behind && end?.equals(behind))) return `${ipFromBytes(start)}/${length}`
  }
  const last = end ? numberOf(end) - 1n : (1n << BigInt(addressBits(family))) - 1n
  return `${ipFromBytes(start)}-${formatIp(family, last)}`
}

function trailingZeros(address: Buffer): number {
  for (let i = address.length - 1; i >= 0; i--) {
    const byte = address[i] ?? 0
    if (byte !== 0) return (address.length - 1 - i) * 8 + (31 - Math.clz32(byte & -byte))
  }
  return address.length * 8
}

function numberOf(key: Buffer): bigint {
  return BigInt(`0x${key.toString('hex')}`)
}
