import { parse, stringify } from 'lossless-json'
import { ValidationError } from '../errors.ts'

/**
 * Parses JSON so that no digit is lost: an integer that a JavaScript number can't hold becomes a bigint.
 *
 * @throws {ValidationError} saying where the text is not JSON
 */
export function parseJson(text: string): unknown {
  try {
    // The common case: nothing that could be too long, and the built-in parser is 20 times as fast.
    return hasLongNumber(text) ? parse(text, undefined, parseNumber) : JSON.parse(text)
  } catch (cause) {
    throw new ValidationError('the value is not JSON', [], { cause })
  }
}

/** Writes compact JSON as Go's encoder does, which escapes `<`, `>` and `&` in strings. Members that are undefined are left out. */
export function stringifyJson(value: unknown): string {
  const text = stringify(value)
  if (text === undefined) throw new ValidationError('nothing to write as JSON')
  return text.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON for a file that people read too: two blanks, a newline at the end; no digit of a bigint is lost. */
export function indentJson(value: unknown): string {
  return `${stringify(value, undefined, 2)}\n`
}

/** Only a text with so many digits in a row can hold an integer that a number can't. */
const LONG = 16

/** Looks at each sixteenth character, for one of them is in any row of sixteen digits: listings have a hundred thousand texts. */
function hasLongNumber(text: string): boolean {
  for (let i = LONG - 1; i < text.length; i += LONG) {
    if (!isDigit(text, i)) continue
    let [first, last] = [i, i]
    while (isDigit(text, first - 1)) first--
    while (isDigit(text, last + 1)) last++
    if (last - first + 1 >= LONG) return true
  }
  return false
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return code >= 48 && code <= 57
}

function parseNumber(text: string): number | bigint {
  const value = Number(text)
  return Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(text) ? BigInt(text) : value
}
