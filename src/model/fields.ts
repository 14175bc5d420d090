import * as z from 'zod'
import { describeError, ValidationError } from '../errors.ts'
import { parseAsNumber } from '../net/as-number.ts'
import { parseCidr, parseInterfaceAddress } from '../net/cidr.ts'
import { type Family, familyOf, type Ip, parseIp } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'
import { PROTOCOL_NUMBERS, parsePortRange, parseProtocol } from '../net/port.ts'
import { DURATION_PATTERN, parseDuration } from './duration.ts'
import { didYouMean, showValue } from './issues.ts'
import type { SchemaMeta } from './schema-meta.ts'
import { parseSelector } from './selector-parse.ts'

/** A value all of whose members, however deep, are read-only. */
export type DeepReadonly<T> = T extends string | number | boolean | bigint | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : { readonly [Key in keyof T]: DeepReadonly<T[Key]> }

/** A string field that is kept as the parser gives it, in canonical form; what the parser throws becomes the field's issue. */
export function parsedText<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      const parsed = parse(text)
      // The given string where it is canonical already: one that was put together takes several times its memory.
      return parsed === text ? (text as T) : parsed
    } catch (error) {
      context.addIssue({ code: 'custom', message: describeError(error), input: text })
      return z.NEVER
    }
  })
}

/** A string field that is kept as it was given; the check throws where it is wrong. */
export function checkedText(check: (text: string) => unknown) {
  return parsedText((text) => {
    check(text)
    return text
  })
}

/** A field with a name for what may stand in it, and more of that in the words of JSON Schema. */
export function shownAs<S extends z.ZodType>(shown: string, json: SchemaMeta['json'], schema: S): S {
  return schema.meta({ shown, ...(json === undefined ? {} : { json }) })
}

/** A value field of Go's (`omitempty` without a pointer): 0 and false are the same as absent and are not written. */
export function zeroIsAbsent<S extends z.ZodType>(schema: S): S {
  return schema.meta({ zero: 'omit' })
}

/** A pointer field of Go's: an empty list means something else than none and is written. */
export function emptyIsKept<S extends z.ZodType>(schema: S): S {
  return schema.meta({ empty: 'keep' })
}

/** A field that means this value where it is absent; a writer that gives the value says nothing new. */
export function defaultsTo<S extends z.ZodType>(value: z.output<S>, schema: S): S {
  return schema.meta({ default: value })
}

/** An integer between two bounds, both allowed. */
export function integerField(low: number, high: number) {
  const message = `must be an integer from ${low} to ${high}`
  const schema = z
    .number({ error: (issue) => `${message}, not ${showValue(issue.input)}` })
    .refine((value) => Number.isInteger(value) && value >= low && value <= high, {
      error: (issue) => `${message}, not ${String(issue.input)}`,
    })
  return shownAs(`${low} to ${high}`, { type: 'integer', minimum: low, maximum: high }, schema)
}

const ADDRESS = '[0-9a-fA-F:.]+'
const LENGTH = '/[0-9]{1,3}'
const NET = 'address or prefix'
const NET_PATTERN = `^${ADDRESS}(${LENGTH})?$`

export const ipField = shownAs('IP address', { anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] }, parsedText(parseIp))
export const ipv4Field = shownAs(
  'IPv4 address',
  { format: 'ipv4' },
  parsedText((text) => parseIpOf(4, text)),
)
export const ipv6Field = shownAs(
  'IPv6 address',
  { format: 'ipv6' },
  parsedText((text) => parseIpOf(6, text)),
)
export const macField = shownAs('MAC address', { pattern: '^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$' }, parsedText(parseMac))
/** A prefix without host bits. */
export const cidrField = shownAs('prefix', { pattern: `^${ADDRESS}${LENGTH}$` }, parsedText(parseCidr))
/** An address with or without the prefix length of its subnet; host bits are kept. */
export const interfaceAddressField = shownAs(NET, { pattern: NET_PATTERN }, parsedText(parseInterfaceAddress))
/** An address or a prefix, kept as it was given; host bits are allowed. */
export const netField = shownAs(NET, { pattern: NET_PATTERN }, checkedText(parseInterfaceAddress))
/** An address or a prefix without host bits, kept as it was given. */
export const strictNetField = shownAs(
  NET,
  { pattern: NET_PATTERN },
  checkedText((text) => (text.includes('/') ? parseCidr(text) : parseIp(text))),
)
/** A selector of resources by their labels; `global()` is for rules' namespaces only. */
export const selectorField = shownAs(
  'selector',
  { maxLength: 1024 },
  checkedText((text) => {
    parseSelector(text, 1024)
    if (text.includes('global(')) {
      throw new ValidationError(`${JSON.stringify(text)} can't be used here: global() selects no resource by its labels`)
    }
  }),
)
/** A Go duration such as `1m30s`, kept as it was given. */
export const durationField = shownAs('duration', { pattern: DURATION_PATTERN }, checkedText(parseDuration))
const AS_NUMBER = [
  { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
  { type: 'string', pattern: '^([0-9]{1,5}\\.)?[0-9]{1,10}$' },
]
/** A JSON number, or a string in asplain or asdot; kept as a number. */
export const asNumberField = shownAs(
  'AS number',
  { anyOf: AS_NUMBER },
  z.union([z.number(), z.string()]).transform((given, context) => {
    try {
      return parseAsNumber(String(given))
    } catch (error) {
      context.addIssue({ code: 'custom', message: describeError(error), input: given })
      return z.NEVER
    }
  }),
)
/** A protocol's name as Calico writes it, or its number; a number in a string is allowed. */
export const protocolField = shownAs(
  'protocol',
  {
    anyOf: [
      { enum: Object.keys(PROTOCOL_NUMBERS) },
      { type: 'integer', minimum: 1, maximum: 255 },
      { type: 'string', pattern: '^[0-9]{1,3}$' },
    ],
  },
  numberOrText(parseProtocol),
)
/** A port, or a range `low:high`. */
export const portRangeField = shownAs(
  'port or range',
  {
    anyOf: [
      { type: 'integer', minimum: 0, maximum: 65_535 },
      { type: 'string', pattern: '^[0-9]{1,5}(:[0-9]{1,5})?$' },
    ],
  },
  numberOrText(parsePortRange),
)

/** A field that is a number or a string, kept as it was given if the parser takes its text. */
export function numberOrText(check: (text: string) => unknown) {
  return z.union([z.number(), z.string()]).superRefine((given, context) => {
    try {
      check(String(given))
    } catch (error) {
      context.addIssue({ code: 'custom', message: describeError(error), input: given })
    }
  })
}

/** An interface's address of one family. */
export function interfaceAddressOf(family: Family) {
  const schema = parsedText((text) => {
    const address = parseInterfaceAddress(text)
    if (familyOf(address) !== family) throw new ValidationError(`not an IPv${family} address: ${JSON.stringify(text)}`)
    return address
  })
  return shownAs(`IPv${family} address or prefix`, { pattern: NET_PATTERN }, schema)
}

/** One of some words; in any case, kept as the word is spelt. */
export function wordField<const Word extends string>(words: readonly Word[]) {
  const schema = parsedText((text) => {
    const word = words.find((each) => each.toLowerCase() === text.toLowerCase())
    if (word === undefined) throw new ValidationError(`${JSON.stringify(text)} is not one of ${words.join(', ')}${didYouMean(text, words)}`)
    return word
  })
  const pattern = words.join('|').replace(/[a-z]/gi, (letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`)
  return shownAs(words.map((word) => `\`${word}\``).join(', '), { anyOf: [{ enum: words }, { pattern: `^(${pattern})$` }] }, schema)
}

/** A regular expression; Calico reads Go's, whose common parts JavaScript reads too. */
export const patternField = shownAs(
  'regular expression',
  { format: 'regex' },
  checkedText((text) => {
    try {
      new RegExp(text.replace(/^\(\?[ims]+\)/, ''))
    } catch (error) {
      const reason = describeError(error).split(': ').at(-1)
      throw new ValidationError(`${JSON.stringify(text)} is not a regular expression (${reason})`)
    }
  }),
)

function parseIpOf(family: Family, text: string): Ip {
  const ip = parseIp(text)
  if (familyOf(ip) !== family) throw new ValidationError(`not an IPv${family} address: ${JSON.stringify(text)}`)
  return ip
}
