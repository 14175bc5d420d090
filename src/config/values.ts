import { describeError, ValidationError } from '../errors.ts'
import { parseSelector } from '../model/selector-parse.ts'
import { type Cidr, cidrsOverlap, ipOf, lengthOf, parseCidr, parseInterfaceAddress } from '../net/cidr.ts'
import { type Family, familyOf } from '../net/ip.ts'
import { parseDetectionMethod } from './detection.ts'
import { type Format, orList, parsed, quote, textFormat, type Written } from './formats.ts'
import { MODES, MODES_NOT_BUILT, type Mode } from './types.ts'

/** A node's name: an RFC 1123 subdomain of at most 253 characters, in lower case. Empty stands for the host's name. */
export const nodeName: Format<string> = textFormat('node name', (text) => {
  if (text === '' || isNodeName(text)) return text
  const hint = isNodeName(text.toLowerCase())
    ? `give ${text.toLowerCase()}`
    : 'give lower-case letters, digits, "-" and "." as in host-1.example'
  throw new ValidationError(`${quote(text)} is not a node name (RFC 1123), ${hint}`)
})

/** Whether a text can name a node: labels of letters, digits and inner dashes, with dots between them. */
export function isNodeName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(text)
}

/** A mode of this version; those of the design that are still to come are refused by name. */
export const mode: Format<Mode> = textFormat('mode', (text) => {
  const found = MODES.find((each) => each === text)
  if (found !== undefined) return found
  const what = MODES_NOT_BUILT.includes(text) ? 'is not built in this version' : 'is not a mode'
  throw new ValidationError(`${quote(text)} ${what}, give ${orList(MODES)}`)
})

/**
 * Labels: a JSON object of texts in the file, `key=value,key=value` in flags and the environment.
 * Kept as sorted `key=value` texts, because convict takes a dot in a key of an object for a path.
 */
export const labels: Format<readonly string[]> = {
  name: 'labels',
  parse(raw, written) {
    const pairs = labelPairs(raw, written)
    const twice = pairs.find(([key], i) => pairs.findIndex(([other]) => other === key) !== i)
    if (twice) throw new ValidationError(`the label ${quote(twice[0])} is given twice`)
    for (const [key, value] of pairs) checkLabel(key, value)
    return pairs.map(([key, value]) => `${key}=${value}`).sort()
  },
}

function labelPairs(raw: unknown, written: Written): readonly (readonly [string, string])[] {
  if (typeof raw === 'string' && written === 'text') return raw.trim() === '' ? [] : raw.split(',').map(splitLabel)
  if (Array.isArray(raw) && raw.every((each) => typeof each === 'string')) return raw.map(splitLabel)
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new ValidationError(`${quote(raw)} is not a set of labels, give { "key": "value" }`)
  }
  return Object.entries(raw).map(([key, value]) => {
    if (typeof value !== 'string')
      throw new ValidationError(`the label ${quote(key)} has the value ${quote(value)}, give text in double quotes`)
    return [key, value] as const
  })
}

/** Splits `key=value` at the first equals sign. */
export function splitLabel(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new ValidationError(`${quote(text)} is not a label, give key=value`)
  return [text.slice(0, at).trim(), text.slice(at + 1).trim()]
}

/** Kubernetes' rules for labels: an optional DNS prefix and 63 characters for the name, 63 for the value. */
function checkLabel(key: string, value: string): void {
  const [, prefix, name] = /^(?:([^/]*)\/)?([^/]*)$/.exec(key) ?? []
  const isWord = (text: string) => text.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/.test(text)
  if (name === undefined || !isWord(name) || (prefix !== undefined && !isNodeName(prefix))) {
    throw new ValidationError(
      `${quote(key)} is not a label key, give letters, digits, "-", "_" and "." (at most 63), as in rack or example.com/rack`,
    )
  }
  if (value !== '' && !isWord(value)) {
    throw new ValidationError(
      `${quote(value)} is not a value for the label ${quote(key)}, give letters, digits, "-", "_" and "." (at most 63)`,
    )
  }
}

/** How the address of one family is had: a word, or the address itself. */
export function addressOf(family: Family): Format<string> {
  const example = family === 4 ? '192.0.2.10/24' : '2001:db8::10/64'
  const right = `give autodetect, autodetect-if-present, none or an IPv${family} address such as ${example}`
  return textFormat(`IPv${family} address`, (text) => {
    if (['autodetect', 'autodetect-if-present', 'none'].includes(text)) return text
    const address = parsed('address', parseInterfaceAddress, right).parse(text, 'text')
    if (familyOf(address) !== family) throw new ValidationError(`${quote(text)} is an IPv${familyOf(address)} address, ${right}`)
    const reason = unusable(address)
    if (reason !== undefined) throw new ValidationError(`${quote(text)} is ${reason}, other hosts cannot reach it; ${right}`)
    return text.includes('/') ? address : ipOf(parseInterfaceAddress(text))
  })
}

/** Prefixes whose addresses no other host can send to (RFC 6890). */
const UNUSABLE: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'the unspecified network'],
  ['127.0.0.0/8', 'a loopback address'],
  ['169.254.0.0/16', 'a link-local address'],
  ['224.0.0.0/4', 'a multicast address'],
  ['::/128', 'the unspecified address'],
  ['::1/128', 'a loopback address'],
  ['fe80::/10', 'a link-local address'],
  ['ff00::/8', 'a multicast address'],
]

function unusable(address: string): string | undefined {
  const own = parseCidr(`${address.replace(/\/.*/, '')}/${address.includes(':') ? 128 : 32}`)
  return UNUSABLE.find(([cidr]) => cidrsOverlap(parseCidr(cidr), own))?.[1]
}

/** The prefix of a default pool: `auto`, `none`, or a prefix that is neither link-local nor of the other family. */
export function poolCidr(family: Family): Format<string> {
  const right = `give auto, none or an IPv${family} prefix such as ${family === 4 ? '10.65.0.0/16' : 'fd00:65::/48'}`
  return textFormat(`IPv${family} prefix`, (text) => {
    if (text === 'auto' || text === 'none') return text
    const cidr = parsed('prefix', parseCidr, right).parse(text, 'text') as Cidr
    if (familyOf(cidr) !== family) throw new ValidationError(`${quote(text)} is an IPv${familyOf(cidr)} prefix, ${right}`)
    const bad = UNUSABLE.find(([other]) => cidrsOverlap(parseCidr(other), cidr))
    if (bad) throw new ValidationError(`${quote(text)} overlaps ${bad[0]}, ${right}`)
    return cidr
  })
}

/** Sizes of a pool's blocks as prefix lengths (model: IPPool.spec.blockSize). */
export const BLOCK_SIZES: Readonly<Record<Family, readonly [min: number, max: number]>> = { 4: [20, 32], 6: [116, 128] }

/** Whether a prefix holds at least one block of this size. */
export function holdsBlock(cidr: string, blockSize: number): boolean {
  return lengthOf(parseCidr(cidr)) <= blockSize
}

/** A method of address detection, kept as text. */
export const detection: Format<string> = textFormat('method', (text) => {
  parseDetectionMethod(text)
  return text
})

/** A selector over the labels of nodes. */
export const selector: Format<string> = textFormat('selector', (text) => {
  const right = 'give all() or a selector such as rack == "r1"'
  if (text.trim() === '') throw new ValidationError(`${quote(text)} selects nothing, ${right}`)
  try {
    parseSelector(text, 1024)
  } catch (cause) {
    throw new ValidationError(`${quote(text)} is not a selector: ${describeError(cause)}; ${right}`)
  }
  return text
})
