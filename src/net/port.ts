import { ValidationError } from '../errors.ts'

/** Ports of TCP, UDP or SCTP from `low` to `high`, both included. */
export interface PortRange {
  readonly low: number
  readonly high: number
}

/** The protocols that have a name in Calico's language, with their numbers (IANA, Protocol Numbers). */
export const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, ICMP: 1, ICMPv6: 58, SCTP: 132, UDPLite: 136 } as const

/**
 * Parses one port `80` or a range `8000:8100`; 0 to 65535.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parsePortRange(text: string): PortRange {
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text)
  const low = Number(match?.[1])
  const high = Number(match?.[2] ?? match?.[1])
  if (!match || low > 65_535 || high > 65_535) {
    throw new ValidationError(`not a port (0 to 65535) or a range such as 8000:8100: ${JSON.stringify(text)}`)
  }
  if (low > high) throw new ValidationError(`the range ${JSON.stringify(text)} is the wrong way round: write ${high}:${low}`)
  return { low, high }
}

/**
 * The number of a protocol that is given by name (the case counts, as in Calico) or by number, 1 to 255.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parseProtocol(text: string): number {
  if (Object.hasOwn(PROTOCOL_NUMBERS, text)) return PROTOCOL_NUMBERS[text as keyof typeof PROTOCOL_NUMBERS]
  const value = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= 255) return value
  const names = Object.keys(PROTOCOL_NUMBERS)
  const meant = names.find((name) => name.toLowerCase() === text.toLowerCase())
  const hint = meant === undefined ? '' : `: did you mean ${JSON.stringify(meant)}?`
  throw new ValidationError(`${JSON.stringify(text)} is not a protocol (${names.join(', ')} or 1 to 255)${hint}`)
}
