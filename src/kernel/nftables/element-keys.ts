import { addressBits, type Family, type Ip, ipFromBytes, putIp } from '../../net/ip.ts'
import { type Mac, macFromBytes, macToBytes } from '../../net/mac.ts'
import type { NftKey } from '../objects.ts'
import * as nft from './protocol.ts'

/** What of a set decides how its elements are written. */
export interface ElementType {
  /** Absent: addresses. */
  readonly key?: NftKey
  readonly family: Family
  readonly isInterval: boolean
  /** Each element leads on to a chain. */
  readonly isMap?: boolean
  /** Elements have timeouts. */
  readonly isTimed?: boolean
}

/** One part of a key, as it stands in the text of an element and in the kernel's registers. */
type KeyPart = 'address' | 'port' | 'protocol' | 'interface' | 'mac' | 'family'

/** What each kind of key is made of, in this order. */
export const KEY_PARTS: Readonly<Record<NftKey, readonly KeyPart[]>> = {
  address: ['address'],
  port: ['port'],
  interface: ['interface'],
  'address-port': ['address', 'protocol', 'port'],
  'interface-mac-address': ['interface', 'mac', 'address'],
  'interface-address': ['interface', 'address'],
  'interface-mac': ['interface', 'mac'],
  connection: ['protocol', 'address', 'port', 'address', 'port'],
  family: ['family'],
}

/** IFNAMSIZ. */
const INTERFACE_BYTES = 16
const MAC_BYTES = 6
const WORD = 4
/** Between the parts of a key in its text. */
const SEPARATOR = ','

const ALL_KEYS = Object.keys(KEY_PARTS) as NftKey[]

/** How nft(8) names the type of a key, and how many bytes it has: in a key of several each begins at a word. */
export function keyLayout({ key = 'address', family }: ElementType): { readonly type: number; readonly bytes: number } {
  const parts = KEY_PARTS[key]
  return {
    type: parts.reduce((sum, part) => (sum << nft.KEY_TYPE_BITS) | typeOf(part, family), 0),
    bytes: parts.length === 1 ? bytesOf(parts[0] ?? 'address', family) : parts.reduce((sum, part) => sum + paddedBytes(part, family), 0),
  }
}

/** The kind of key that the kernel lists under this type; undefined for one that we never write. */
export function keyOfType(type: number | undefined): Pick<ElementType, 'key' | 'family'> | undefined {
  const all = ALL_KEYS.flatMap((key) => ([4, 6] as const).map((family) => (key === 'address' ? { family } : { key, family })))
  return all.find((one) => keyLayout({ ...one, isInterval: false }).type === type)
}

/** The texts of the parts of a key. The name of an interface may have a separator in it; it is always the first part. */
export function splitKey(key: NftKey, text: string): readonly string[] {
  const texts = text.split(SEPARATOR)
  const more = texts.length - KEY_PARTS[key].length
  return more <= 0 ? texts : [texts.slice(0, more + 1).join(SEPARATOR), ...texts.slice(more + 1)]
}

/** The key of an element that is no prefix and no range. */
export function keyToBytes(type: ElementType, text: string): Buffer {
  const bytes = Buffer.alloc(keyLayout(type).bytes)
  putKey(type, text, bytes, 0)
  return bytes
}

/** A key as its text, or, where there are tens of thousands at once, as what stands between the commas of its text. */
export type KeyText = string | readonly (string | number)[]

/** Writes such a key, for which there are as many bytes as `keyLayout` says, all zero. */
export function putKey(type: ElementType, text: KeyText, bytes: Buffer, at: number): void {
  const { key = 'address', family } = type
  const parts = KEY_PARTS[key]
  const texts = typeof text !== 'string' ? text : parts.length === 1 ? [text] : splitKey(key, text)
  let to = at
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? 'address'
    putPart(part, texts[i] ?? '', bytes, to)
    to += paddedBytes(part, family)
  }
}

/** The text of such a key. */
export function keyFromBytes({ key = 'address', family }: ElementType, bytes: Buffer): string {
  let at = 0
  const texts = KEY_PARTS[key].map((part) => {
    const text = partFromBytes(part, bytes.subarray(at, at + bytesOf(part, family)))
    at += paddedBytes(part, family)
    return text
  })
  return texts.join(SEPARATOR)
}

function typeOf(part: KeyPart, family: Family): number {
  switch (part) {
    case 'address':
      return family === 4 ? nft.KEY_TYPE.ipv4 : nft.KEY_TYPE.ipv6
    case 'port':
      return nft.KEY_TYPE.port
    case 'protocol':
      return nft.KEY_TYPE.protocol
    case 'interface':
      return nft.KEY_TYPE.interfaceName
    case 'mac':
      return nft.KEY_TYPE.mac
    case 'family':
      return nft.KEY_TYPE.family
  }
}

function bytesOf(part: KeyPart, family: Family): number {
  return part === 'address' ? addressBits(family) / 8 : FIXED_BYTES[part]
}

const FIXED_BYTES = { port: 2, protocol: 1, interface: INTERFACE_BYTES, mac: MAC_BYTES, family: 1 } as const

function paddedBytes(part: KeyPart, family: Family): number {
  return (bytesOf(part, family) + WORD - 1) & -WORD
}

/** Words that the parts of a key before this one take in the registers. */
export function wordsBefore(key: NftKey, index: number, family: Family): number {
  return KEY_PARTS[key].slice(0, index).reduce((sum, part) => sum + paddedBytes(part, family) / WORD, 0)
}

function putPart(part: KeyPart, text: string | number, bytes: Buffer, at: number): void {
  switch (part) {
    case 'address':
      putIp(text as Ip, bytes, at)
      return
    case 'port':
      bytes.writeUInt16BE(Number(text), at)
      return
    case 'protocol':
      bytes[at] = Number(text)
      return
    case 'interface':
      bytes.write(String(text), at, INTERFACE_BYTES - 1)
      return
    case 'mac':
      bytes.set(macToBytes(text as Mac), at)
      return
    case 'family':
      bytes[at] = String(text) === '4' ? nft.NFPROTO.ipv4 : nft.NFPROTO.ipv6
  }
}

function partFromBytes(part: KeyPart, bytes: Buffer): string {
  switch (part) {
    case 'address':
      return ipFromBytes(bytes)
    case 'port':
      return String(bytes.readUInt16BE(0))
    case 'protocol':
      return String(bytes.readUInt8(0))
    case 'interface':
      return bytes.toString('utf8', 0, Math.max(0, bytes.indexOf(0)))
    case 'mac':
      return macFromBytes(bytes)
    case 'family':
      return bytes[0] === nft.NFPROTO.ipv4 ? '4' : '6'
  }
}
