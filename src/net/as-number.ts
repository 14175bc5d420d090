import { ValidationError } from '../errors.ts'

/** An autonomous system's number (RFC 6793): 0 to 4294967295. */
export type AsNumber = number & { readonly __brand: 'AsNumber' }

/**
 * Parses an AS number in asplain or asdot notation (RFC 5396): `65546` or `1.10`, 0 to 4294967295.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parseAsNumber(text: string): AsNumber {
  const match = /^(?:(0|[1-9]\d{0,4})\.)?(0|[1-9]\d{0,9})$/.exec(text)
  const [high, low] = [Number(match?.[1] ?? 0), Number(match?.[2])]
  const limit = match?.[1] === undefined ? 0xffff_ffff : 0xffff
  if (!match || high > 0xffff || low > limit) {
    throw new ValidationError(`not an AS number (0 to 4294967295, or 1.10): ${JSON.stringify(text)}`)
  }
  return (high * 0x1_0000 + low) as AsNumber
}
