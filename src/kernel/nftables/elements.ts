import { addressBits, type Family, formatIp, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { eachAttribute, type MessageWriter, readAttributes, readNested, readText } from '../netlink/message.ts'
import { type ElementType, type KeyText, keyFromBytes, keyLayout, keyToBytes, putKey } from './element-keys.ts'
import * as nft from './protocol.ts'

/**
 * How many elements one message may carry: an attribute's length has 16 bits, and the largest element (an interface that leads to a chain
 * with a name of 80 characters) takes 144 bytes.
 */
export const ELEMENTS_PER_MESSAGE = 400

/**
 * Writes elements for NFTA_SET_ELEM_LIST_ELEMENTS. In an interval set a prefix is two entries: its first address, and the first one
 * behind it marked as an end. A prefix that reaches the last address there is has no end.
 */
export function writeElements(writer: MessageWriter, type: ElementType, elements: Iterable<string>): void {
  if (!type.isMap && !type.isInterval) {
    writeKeys(writer, type, elements)
    return
  }
  for (const element of elements) {
    const [text = '', chain] = type.isMap ? element.split(LEADS_TO) : [element]
    const { first, end } = rangeOf(type, text)
    writeElement(writer, first, false, chain)
    if (end) writeElement(writer, end, true, undefined)
  }
}

/** Elements that are a key and nothing else: of ended flows there are tens of thousands at once. */
export function writeKeys(writer: MessageWriter, type: ElementType, elements: Iterable<KeyText>, timeoutMs?: number): void {
  const timeout = timeoutMs === undefined ? undefined : BigInt(Math.round(timeoutMs))
  const { bytes } = keyLayout(type)
  for (const element of elements) {
    const at = writer.open(nft.LIST_ELEMENT)
    if (timeout !== undefined) writer.u64be(nft.ELEMENT.timeout, timeout)
    const key = writer.open(nft.ELEMENT.key)
    const room = writer.room(nft.DATA.value, bytes)
    putKey(type, element, room.buffer, room.at)
    writer.close(key)
    writer.close(at)
  }
}

/** Between the key and the chain of a map's element. */
const LEADS_TO = ' goto '

function rangeOf(type: ElementType, text: string): { readonly first: Buffer; readonly end: Buffer | undefined } {
  if (!type.isInterval) return { first: keyToBytes(type, text), end: undefined }
  if (type.key !== 'port') return elementRange(type.family, text)
  const [low = '', high = low] = text.split('-')
  return { first: keyToBytes(type, low), end: Number(high) === LAST_PORT ? undefined : keyToBytes(type, String(Number(high) + 1)) }
}

const LAST_PORT = 65_535

function writeElement(writer: MessageWriter, key: Uint8Array, isEnd: boolean, chain: string | undefined): void {
  writer.nested(nft.LIST_ELEMENT, () => {
    if (isEnd) writer.u32be(nft.ELEMENT.flags, nft.ELEMENT_INTERVAL_END)
    writer.nested(nft.ELEMENT.key, () => writer.bytesOf(nft.DATA.value, key))
    if (chain === undefined) return
    writer.nested(nft.ELEMENT.data, () =>
      writer.nested(nft.DATA.verdict, () => {
        writer.u32be(nft.VERDICT.code, nft.VERDICT_CODE.goto)
        writer.text(nft.VERDICT.chain, chain)
      }),
    )
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
  /** Of a map: where it leads. */
  readonly chain?: string | undefined
  /** Of a set with timeouts: what is left, in milliseconds. */
  readonly leftMs?: number | undefined
}

/** The entries in one message of a set's dump, copied. */
export function readElements(elements: Buffer | undefined): RawElement[] {
  const entries: RawElement[] = []
  if (elements === undefined) return entries
  eachAttribute(elements, (value) => {
    const attributes = readAttributes(value)
    const key = readNested(attributes.get(nft.ELEMENT.key)).get(nft.DATA.value)
    const flags = attributes.get(nft.ELEMENT.flags)?.readUInt32BE(0) ?? 0
    const verdict = readNested(readNested(attributes.get(nft.ELEMENT.data)).get(nft.DATA.verdict))
    const chain = readText(verdict.get(nft.VERDICT.chain))
    const left = attributes.get(nft.ELEMENT.expiration)
    const isEnd = (flags & nft.ELEMENT_INTERVAL_END) !== 0
    if (key) entries.push({ key: Buffer.from(key), isEnd, chain, ...(left && { leftMs: Number(left.readBigUInt64BE(0)) }) })
  })
  return entries
}

/** The members of a set from all its listed entries: keys, prefixes or ranges of an interval set, each with the chain that it leads to. */
export function elementsFrom(type: ElementType, entries: readonly RawElement[]): Set<string> {
  if (!type.isInterval) return new Set(entries.map((entry) => withChain(keyFromBytes(type, entry.key), entry)))
  // Kernels list their tree in either order; an end comes before the start of the interval that adjoins it.
  const sorted = entries.toSorted((a, b) => Buffer.compare(a.key, b.key) || Number(b.isEnd) - Number(a.isEnd))
  const members = new Set<string>()
  let start: RawElement | undefined
  for (const entry of sorted) {
    if (start) members.add(withChain(rangeText(type, start.key, entry.key), start))
    start = entry.isEnd ? undefined : entry
  }
  if (start) members.add(withChain(rangeText(type, start.key, undefined), start))
  return members
}

function withChain(text: string, { chain }: RawElement): string {
  return chain === undefined ? text : `${text}${LEADS_TO}${chain}`
}

/** What lies between two keys (the second is outside; absent: to the last there is). */
function rangeText(type: ElementType, start: Buffer, end: Buffer | undefined): string {
  if (type.key !== 'port') return addressRange(type.family, start, end)
  const [low, high] = [start.readUInt16BE(0), end === undefined ? LAST_PORT : end.readUInt16BE(0) - 1]
  return low === high ? `${low}` : `${low}-${high}`
}

/** The prefix between two addresses (the second is outside; absent: to the last there is), or `first-last` if it is none. */
function addressRange(family: Family, start: Buffer, end: Buffer | undefined): string {
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
