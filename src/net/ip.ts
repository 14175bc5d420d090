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
  if (isCanonicalV6(text) || isIPv4(text)) return text as Ip
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
  const bytes = Buffer.allocUnsafe(familyOf(ip) === 4 ? 4 : 16)
  putIp(ip, bytes, 0)
  return bytes
}

/** Writes the 4 or 16 bytes of `ipToBytes` there. */
export function putIp(ip: Ip, bytes: Buffer, at: number): void {
  if (familyOf(ip) === 4) {
    putV4(ip, bytes, at)
    return
  }
  let to = at
  for (const group of groupsOf(ip)) to = bytes.writeUInt16BE(group, to)
}

/** From network byte order: 4 or 16 bytes. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip
  if (bytes.length !== 16) throw new ValidationError(`an address has 4 or 16 bytes, not ${bytes.length}`)
  return compressGroups(Array.from({ length: 8 }, (_, i) => (bytes[2 * i] ?? 0) * 256 + (bytes[2 * i + 1] ?? 0))) as Ip
}

/** Orders by family, then by number: what a person expects of a sorted list. */
export function compareIps(a: Ip, b: Ip): number {
  if (familyOf(a) !== familyOf(b)) return familyOf(a) - familyOf(b)
  const [x, y] = [ipToNumber(a), ipToNumber(b)]
  return x < y ? -1 : x > y ? 1 : 0
}

/** Digit by digit: a list of numbers in between costs ten times as much, and there are thousands of addresses in a batch. */
function putV4(ip: Ip, bytes: Buffer, start: number): void {
  let [value, at] = [0, start]
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i)
    if (code !== DOT) value = value * 10 + code - ZERO
    else {
      bytes[at++] = value
      value = 0
    }
  }
  bytes[at] = value
}

const [DOT, SLASH, ZERO, NINE, COLON, A, F] = [46, 47, 48, 57, 58, 97, 102]

/**
 * Whether the text is an IPv6 address as `compressGroups` writes it. Nearly all that are read are, and to take one apart and write it anew
 * takes twenty times as long.
 */
function isCanonicalV6(text: string): boolean {
  const { length } = text
  // Groups, where `::` stands among them, and the most zero groups in a row before it and after it.
  let [groups, gap, before, after] = [0, -1, 0, 0]
  let [at, zeros] = [0, 0]
  if (text.startsWith('::')) [gap, at] = [0, 2]
  while (at < length) {
    const start = at
    while (at < length && isLowerHex(text.charCodeAt(at))) at++
    const isZero = text.charCodeAt(start) === ZERO
    if (at === start || at - start > (isZero ? 1 : 4)) return false
    zeros = isZero ? zeros + 1 : 0
    if (gap < 0) before = Math.max(before, zeros)
    else after = Math.max(after, zeros)
    // A zero group beside `::` would be a part of it.
    if (isZero && groups === gap) return false
    groups++
    if (at === length) break
    if (text.charCodeAt(at++) !== COLON || at === length) return false
    if (text.charCodeAt(at) !== COLON) continue
    if (gap >= 0 || isZero) return false
    ;[gap, zeros] = [groups, 0]
    at++
  }
  if (gap < 0) return groups === 8 && before < 2
  return groups < 7 && before < 8 - groups && after <= 8 - groups
}

function isLowerHex(code: number): boolean {
  return (code >= ZERO && code <= NINE) || (code >= A && code <= F)
}

function parseV6(text: string): bigint {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groupsOf(text)
  const [high, middle, low] = [(a * 65_536 + b) * 65_536 + c, (d * 65_536 + e) * 65_536 + f, g * 65_536 + h]
  return (BigInt(high) << 80n) | (BigInt(middle) << 32n) | BigInt(low)
}

/** The eight groups of 16 bits of an IPv6 address. Digit by digit, because thousands of endpoints have one. */
function groupsOf(text: string): readonly number[] {
  const hexed = text.includes('.') ? text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, hexPairs) : text
  const groups = [0, 0, 0, 0, 0, 0, 0, 0]
  let [count, gap, value] = [0, -1, 0]
  for (let i = 0; i < hexed.length; i++) {
    const code = hexed.charCodeAt(i)
    if (code !== COLON) value = value * 16 + (code <= NINE ? code - ZERO : (code | 0x20) - A + 10)
    else if (i === 0 || hexed.charCodeAt(i - 1) === COLON) gap = count
    else [groups[count++], value] = [value, 0]
  }
  if (!hexed.endsWith(':')) groups[count++] = value
  if (gap < 0) return groups
  const end = 8 - (count - gap)
  return groups.copyWithin(end, gap, count).fill(0, gap, end)
}

function hexPairs(_: string, ...digits: readonly string[]): string {
  const [a = 0, b = 0, c = 0, d = 0] = digits.map(Number)
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
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
