import { addressBits, type Family, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
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
}

/** IFNAMSIZ. */
const INTERFACE_BYTES = 16
const WORD = 4

/** How nft(8) names the type of a key, and how many bytes it has: in a key of several each begins at a word. */
export function keyLayout({ key = 'address', family }: ElementType): { readonly type: number; readonly bytes: number } {
  const address = family === 4 ? nft.KEY_TYPE.ipv4 : nft.KEY_TYPE.ipv6
  const addressBytes = addressBits(family) / 8
  switch (key) {
    case 'address':
      return { type: address, bytes: addressBytes }
    case 'port':
      return { type: nft.KEY_TYPE.port, bytes: 2 }
    case 'interface':
      return { type: nft.KEY_TYPE.interfaceName, bytes: INTERFACE_BYTES }
    case 'address-port':
      return {
        type: [address, nft.KEY_TYPE.protocol, nft.KEY_TYPE.port].reduce((sum, one) => (sum << nft.KEY_TYPE_BITS) | one, 0),
        bytes: addressBytes + 2 * WORD,
      }
  }
}

/** The kind of key that the kernel lists under this type; undefined for one that we never write. */
export function keyOfType(type: number | undefined): Pick<ElementType, 'key' | 'family'> | undefined {
  const all = (['address', 'port', 'interface', 'address-port'] as const).flatMap((key) =>
    ([4, 6] as const).map((family) => (key === 'address' ? { family } : { key, family })),
  )
  return all.find((one) => keyLayout({ ...one, isInterval: false }).type === type)
}

/** The key of an element that is no prefix and no range. */
export function keyToBytes({ key = 'address', family }: ElementType, text: string): Buffer {
  switch (key) {
    case 'address':
      return ipToBytes(text as Ip)
    case 'port':
      return portBytes(Number(text))
    case 'interface': {
      const name = Buffer.alloc(INTERFACE_BYTES)
      name.write(text, 0, INTERFACE_BYTES - 1)
      return name
    }
    case 'address-port': {
      const [address = '', protocol, port] = text.split(',')
      const bytes = Buffer.alloc(keyLayout({ key, family, isInterval: false }).bytes)
      const behind = ipToBytes(address as Ip).copy(bytes)
      bytes.writeUInt8(Number(protocol), behind)
      bytes.writeUInt16BE(Number(port), behind + WORD)
      return bytes
    }
  }
}

/** The text of such a key. */
export function keyFromBytes({ key = 'address', family }: ElementType, bytes: Buffer): string {
  switch (key) {
    case 'address':
      return ipFromBytes(bytes)
    case 'port':
      return String(bytes.readUInt16BE(0))
    case 'interface':
      return bytes.toString('utf8', 0, Math.max(0, bytes.indexOf(0)))
    case 'address-port': {
      const behind = addressBits(family) / 8
      return `${ipFromBytes(bytes.subarray(0, behind))},${bytes.readUInt8(behind)},${bytes.readUInt16BE(behind + WORD)}`
    }
  }
}

function portBytes(port: number): Buffer {
  return Buffer.of(port >> 8, port & 255)
}
