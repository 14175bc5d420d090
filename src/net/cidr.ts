import { ValidationError } from '../errors.ts'
import { addressBits, type Family, familyOf, formatIp, type Ip, ipToNumber, ipv4ToNumber, parseIp } from './ip.ts'

/** A prefix with its host bits zero, in canonical form: `10.65.0.0/16`. Equal prefixes are equal strings. */
export type Cidr = string & { readonly __brand: 'Cidr' }

/** An address with the prefix length of its subnet, as an interface has it: `192.0.2.10/24`. Host bits are kept. */
export type InterfaceAddress = string & { readonly __brand: 'InterfaceAddress' }

/**
 * Parses a prefix whose host bits are zero.
 *
 * @throws {ValidationError} naming the text as it was given, and the masked prefix where only host bits are wrong
 */
export function parseCidr(text: string): Cidr {
  const { ip, length } = splitCidr(text)
  const masked = cidrOf(ip, length)
  if (masked !== `${ip}/${length}`) throw new ValidationError(`${JSON.stringify(text)} has host bits set, the prefix is ${masked}`)
  return masked
}

/** Whether the text is a prefix without host bits, in whatever form. */
export function isCidr(text: string | undefined): boolean {
  try {
    return text !== undefined && parseCidr(text).length > 0
  } catch {
    return false
  }
}

/** Parses an address or a prefix and masks host bits: `10.0.0.1` gives `10.0.0.1/32`, `10.0.0.1/8` gives `10.0.0.0/8`. */
export function parseCidrLoosely(text: string): Cidr {
  const { ip, length } = text.includes('/') ? splitCidr(text) : { ip: parseIp(text), length: addressBits(familyOf(text)) }
  return length === addressBits(familyOf(ip)) ? hostPrefix(text, ip) : cidrOf(ip, length)
}

/** Parses an interface's address; without a length it is the host's own (/32, /128). */
export function parseInterfaceAddress(text: string): InterfaceAddress {
  const { ip, length } = text.includes('/') ? splitCidr(text) : { ip: parseIp(text), length: addressBits(familyOf(text)) }
  return (isWritten(text, ip) ? text : `${ip}/${length}`) as InterfaceAddress
}

/** The address part of `address/length`. */
export function ipOf(value: Cidr | InterfaceAddress): Ip {
  return value.slice(0, value.indexOf('/')) as Ip
}

/** The prefix length. */
export function lengthOf(value: Cidr | InterfaceAddress): number {
  return Number(value.slice(value.indexOf('/') + 1))
}

/** The prefix of this length that holds the address. */
export function cidrOf(ip: Ip, length: number): Cidr {
  const family = familyOf(ip)
  if (length === addressBits(family)) return `${ip}/${length}` as Cidr
  if (family === 4) return `${maskV4(ip, length)}/${length}` as Cidr
  const shift = BigInt(addressBits(family) - length)
  return `${formatIp(family, (ipToNumber(ip) >> shift) << shift)}/${length}` as Cidr
}

function maskV4(ip: Ip, length: number): Ip {
  const mask = length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0
  const masked = (ipv4ToNumber(ip) & mask) >>> 0
  return `${masked >>> 24}.${(masked >>> 16) & 255}.${(masked >>> 8) & 255}.${masked & 255}` as Ip
}

/** The subnet of an interface's address. */
export function subnetOf(address: InterfaceAddress): Cidr {
  return cidrOf(ipOf(address), lengthOf(address))
}

/** The prefix of one address: /32 or /128. */
export function hostCidr(ip: Ip): Cidr {
  return `${ip}/${addressBits(familyOf(ip))}` as Cidr
}

/** Whether the prefix is one address. */
export function isHostCidr(cidr: Cidr): boolean {
  return cidr.endsWith(familyOf(cidr) === 4 ? '/32' : '/128')
}

/** How many addresses the prefix holds. */
export function sizeOf(cidr: Cidr): bigint {
  return 1n << BigInt(addressBits(familyOf(cidr)) - lengthOf(cidr))
}

/** The first and the last address as numbers. */
export function rangeOf(cidr: Cidr): { readonly family: Family; readonly first: bigint; readonly last: bigint } {
  const first = ipToNumber(ipOf(cidr))
  return { family: familyOf(cidr), first, last: first + sizeOf(cidr) - 1n }
}

/** Whether the inner address or prefix lies wholly in the outer prefix. */
export function cidrContains(outer: Cidr, inner: Ip | Cidr): boolean {
  const family = familyOf(outer)
  if (family !== familyOf(inner)) return false
  if (family === 4) return containsV4(outer, inner)
  const a = rangeOf(outer)
  const b = inner.includes('/') ? rangeOf(inner as Cidr) : rangeOf(hostCidr(inner as Ip))
  return a.first <= b.first && b.last <= a.last
}

function containsV4(outer: Cidr, inner: Ip | Cidr): boolean {
  const length = lengthOf(outer)
  const slash = inner.indexOf('/')
  if (slash >= 0 && Number(inner.slice(slash + 1)) < length) return false
  // A shift by 32 bits is one by 0 in JavaScript.
  return length === 0 || (ipv4ToNumber(outer) ^ ipv4ToNumber(inner)) >>> (32 - length) === 0
}

/** Whether two prefixes have an address in common. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrContains(a, b) || cidrContains(b, a)
}

function hostPrefix(text: string, ip: Ip): Cidr {
  return isWritten(text, ip) ? (text as Cidr) : hostCidr(ip)
}

/**
 * Whether a prefix begins with its address in canonical form, so that it is as it would be put together; a length is written in one way
 * only. The text as it was given takes less memory then.
 */
function isWritten(text: string, ip: Ip): boolean {
  return text.startsWith(ip) && text[ip.length] === '/'
}

function splitCidr(text: string): { readonly ip: Ip; readonly length: number } {
  const slash = text.indexOf('/')
  const lengthText = text.slice(slash + 1)
  if (slash < 1 || !LENGTH.test(lengthText)) throw new ValidationError(`not a prefix (address/length): ${JSON.stringify(text)}`)
  const ip = parseIp(text.slice(0, slash))
  const length = Number(lengthText)
  const bits = addressBits(familyOf(ip))
  if (length > bits) throw new ValidationError(`the prefix length of ${JSON.stringify(text)} is over ${bits}`)
  return { ip, length }
}

const LENGTH = /^(?:0|[1-9]\d{0,2})$/
