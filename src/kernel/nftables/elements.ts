import { type Cidr, ipOf, lengthOf } from '../../net/cidr.ts'
import { addressBits, type Family, formatIp, type Ip, ipFromBytes, ipToBytes, ipToNumber } from '../../net/ip.ts'
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
    if (!type.isInterval) {
      writeElement(writer, ipToBytes(element as Ip), false)
      continue
    }
    const { first, last } = elementRange(type.family, element)
    writeElement(writer, ipToBytes(formatIp(type.family, first)), false)
    const isOpen = last === lastAddress(type.family)
    if (!isOpen) writeElement(writer, ipToBytes(formatIp(type.family, last + 1n)), true)
  }
}

function writeElement(writer: MessageWriter, key: Uint8Array, isEnd: boolean): void {
  writer.nested(nft.LIST_ELEMENT, () => {
    if (isEnd) writer.u32be(nft.ELEMENT.flags, nft.ELEMENT_INTERVAL_END)
    writer.nested(nft.ELEMENT.key, () => writer.bytesOf(nft.DATA.value, key))
  })
}

/** An address or a prefix, or `first-last` where somebody else put in what is no prefix. */
function elementRange(family: Family, element: string): { readonly first: bigint; readonly last: bigint } {
  const dash = element.indexOf('-')
  if (dash > 0) return { first: ipToNumber(element.slice(0, dash) as Ip), last: ipToNumber(element.slice(dash + 1) as Ip) }
  if (!element.includes('/')) return { first: ipToNumber(element as Ip), last: ipToNumber(element as Ip) }
  const first = ipToNumber(ipOf(element as Cidr))
  return { first, last: first + (1n << BigInt(addressBits(family) - lengthOf(element as Cidr))) - 1n }
}

function lastAddress(family: Family): bigint {
  return (1n << BigInt(addressBits(family))) - 1n
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
    if (start) members.add(rangeText(type.family, start, numberOf(key) - 1n))
    start = isEnd ? undefined : key
  }
  if (start) members.add(rangeText(type.family, start, lastAddress(type.family)))
  return members
}

function rangeText(family: Family, start: Buffer, last: bigint): string {
  const first = numberOf(start)
  const bits = (last - first).toString(2).length
  const hostBits = last === first ? 0 : bits
  const isPrefix = last - first + 1n === 1n << BigInt(hostBits) && first % (1n << BigInt(hostBits)) === 0n
  if (isPrefix) return `${ipFromBytes(start)}/${addressBits(family) - hostBits}`
  return `${ipFromBytes(start)}-${formatIp(family, last)}`
}

function numberOf(key: Buffer): bigint {
  return BigInt(`0x${key.toString('hex')}`)
}
