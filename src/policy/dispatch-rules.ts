import type { NftMatch, NftRule } from '../kernel/objects.ts'
import { HOST_DISCOVERY, HOST_MULTICAST } from './evaluate-path.ts'
import type { Failsafe, Failsafes } from './failsafes.ts'
import { ICMP_PROTOCOLS } from './packet.ts'
import type { Direction } from './policies.ts'
import { contentName } from './set-names.ts'

/** Lets through what matches: it is asked about at the next base chain. */
export function accept(...matches: readonly NftMatch[]): NftRule {
  return { matches, verdict: { do: 'accept' } }
}

/** Lets ICMPv6 of these types through. */
export function icmpv6(types: readonly number[], more: readonly NftMatch[]): readonly NftRule[] {
  return types.map((value) =>
    accept({ on: 'family', value: 6 }, { on: 'protocol', value: ICMP_PROTOCOLS[6] }, { on: 'icmp-type', value }, ...more),
  )
}

/** Neighbour discovery is good with the hop limit that no router lets through. */
export const DISCOVERY: readonly NftRule[] = [...icmpv6(HOST_MULTICAST, []), ...icmpv6(HOST_DISCOVERY, [{ on: 'hop-limit', value: 255 }])]

/** The chain of an interface's host endpoint, or of all others, at one of the base chains. A name of the kernel's may be no word for nft. */
export function endpointChain(from: string, name: string | undefined): string {
  if (name === undefined) return `${from}-other`
  return /^[\w.-]+$/.test(name) ? `${from}.${name}` : contentName(`${from}.`, name)
}

/**
 * Lets failsafe ports through. Both directions of a connection must be tracked, or none: before tracking answers of failsafe ports are
 * left alone, too.
 */
export function failsafeRules({ inbound, outbound }: Failsafes, direction: Direction, isUntracked: boolean): readonly NftRule[] {
  const other = otherEnd(direction)
  const [own, answered] = direction === 'ingress' ? [inbound, outbound] : [outbound, inbound]
  const answers = isUntracked ? answered.map((one) => failsafeRule(one, 'sport', other)) : []
  return [...own.map((one) => failsafeRule(one, 'dport', other)), ...answers]
}

/** Of the addresses of a packet the one that is not the endpoint's. */
function otherEnd(direction: Direction): 'saddr' | 'daddr' {
  return direction === 'ingress' ? 'saddr' : 'daddr'
}

function failsafeRule({ protocol, port, net }: Failsafe, on: 'sport' | 'dport', other: 'saddr' | 'daddr'): NftRule {
  return accept(
    { on: 'protocol', value: protocol },
    { on, value: port },
    ...(net === undefined ? [] : [{ on: other, value: net } as const]),
  )
}
