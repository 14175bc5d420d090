import { type Cidr, cidrOf, cidrsOverlap, parseCidr } from '../net/cidr.ts'
import { formatIp } from '../net/ip.ts'

/**
 * A /16 for the default IPv4 pool that overlaps nothing this host knows: 10.65.0.0/16, then upwards, then 172.16.0.0/12.
 * Undefined when all of them are taken.
 */
export function chooseV4Pool(taken: readonly Cidr[]): Cidr | undefined {
  const candidates = [
    ...Array.from({ length: 190 }, (_, i) => `10.${65 + i}.0.0/16`),
    ...Array.from({ length: 16 }, (_, i) => `172.${16 + i}.0.0/16`),
  ].map(parseCidr)
  const used = taken.filter((cidr) => !cidr.endsWith('/0'))
  return candidates.find((candidate) => !used.some((cidr) => cidrsOverlap(candidate, cidr)))
}

/** A /48 of unique local addresses (RFC 4193, section 3.1) from 40 random bits. */
export function chooseV6Pool(random: Uint8Array): Cidr {
  const bits = BigInt(`0x${Buffer.from(random.subarray(0, 5)).toString('hex')}`)
  return cidrOf(formatIp(6, ((0xfdn << 40n) | bits) << 80n), 48)
}
