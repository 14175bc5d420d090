import { isIPv4, isIPv6 } from 'node:net'
import { ValidationError } from '../errors.ts'

/** The two IP versions, as the kernel, etcd's keys and people number them. */
export type Family = 4 | 6

/** Both families, in the order in which things are done for each. */
export const FAMILIES: readonly Family[] = [4, 6]

/** One address in canonical form: dotted decimal, or RFC 5952 for IPv6. Equal addresses are equal strings. */
export type Ip = string & { readonly __brand: 'Ip' }

/** The bits of an address of this family. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/** The family of an address or a CIDR. */
export function familyOf(value: string): Family {
  return value.includes(':') ? 6 : 4
}

/**
 * Parses one address and gives it in canonical form. Leading zeros, zone identifiers and blanks are refused.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parseIp(text: string): Ip {
  if (isIPv4(text)) return text as Ip
  if (!isIPv6(text) || text.includes('%')) throw new ValidationError(`not an IP address: ${JSON.stringify(text)}`)
  return compressGroups(groupsOf(text)) as Ip
}

/** Whether the text is one address of either family, in any valid notation. */
export function isIp(text: string): boolean {
  return isIPv4(text) || (isIPv6(text) && !text.includes('%'))
}

/** The address as a number: 0 to 2^32 - 1, or 0 to 2^128 - 1. */
export function ipToNumber(ip: Ip): bigint {
  return familyOf(ip) === 6 ? parseV6(ip) : BigInt(ipv4ToNumber(ip))
}

/**
 * An IPv4 address as a number, 0 to 2^32 - 1; the prefix length after a `/` is not looked at.
 * Digit by digit, because it runs for every route of thousands of peers.
 */
export function ipv4ToNumber(text: string): number {
  let [sum, part] = [0, 0]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === SLASH) break
    if (code === DOT) [sum, part] = [sum * 256 + part, 0]
    else part = part * 10 + code - ZERO
  }
  return sum * 256 + part
}

/** The address with this number, in canonical form. */
export function formatIp(family: Family, value: bigint): Ip {
  if (family === 4) {
    const n = Number(value)
    return `${(n >>> 24) & 255}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}` as Ip
  }
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(16 * (7 - i))) & 0xffffn))
  return compressGroups(groups) as Ip
}

/** Network byte order: 4 or 16 bytes. */
export function ipToBytes(ip: Ip): Buffer {
  const isV4 = familyOf(ip) === 4
  if (isV4) return v4Bytes(ip)
  return Buffer.from(parseV6(ip).toString(16).padStart(32, '0'), 'hex')
}

/** From network byte order: 4 or 16 bytes. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip
  if (bytes.length !== 16) throw new ValidationError(`an address has 4 or 16 bytes, not ${bytes.length}`)
  return formatIp(6, BigInt(`0x${Buffer.from(bytes).toString('hex')}`))
}

/** Orders by family, then by number: what a person expects of a sorted list. */
export function compareIps(a: Ip, b: Ip): number {
  if (familyOf(a) !== familyOf(b)) return familyOf(a) - familyOf(b)
  const [x, y] = [ipToNumber(a), ipToNumber(b)]
  return x < y ? -1 : x > y ? 1 : 0
}

/** Digit by digit: a list of numbers in between costs ten times as much, and there are thousands of addresses in a batch. */
function v4Bytes(ip: Ip): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  let [value, at] = [0, 0]
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i)
    if (code !== DOT) value = value * 10 + code - ZERO
    else {
      bytes[at++] = value
      value = 0
    }
  }
  bytes[at] = value
  return bytes
}

const [DOT, SLASH, ZERO] = [46, 47, 48]

function parseV6(text: string): bigint {
  return groupsOf(text).reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
}

/** The eight groups of 16 bits of an IPv6 address. As numbers: thousands of endpoints have one, and bigints take several times as long. */
function groupsOf(text: string): readonly number[] {
  const tail = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const hexed = tail ? `${text.slice(0, tail.index)}${hexPair(tail[1], tail[2])}:${hexPair(tail[3], tail[4])}` : text
  const [head = '', rest] = hexed.split('::', 2)
  const left = head === '' ? [] : head.split(':')
  const right = rest === undefined || rest === '' ? [] : rest.split(':')
  const middle = rest === undefined ? [] : Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...middle, ...right].map((group) => Number.parseInt(group, 16))
}

function hexPair(high: string | undefined, low: string | undefined): string {
  return (Number(high) * 256 + Number(low)).toString(16)
}

/** RFC 5952, section 4: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`. */
function compressGroups(groups: readonly number[]): string {
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const hex = groups.map((group) => group.toString(16))
  if (best.start < 0) return hex.join(':')
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`
}
