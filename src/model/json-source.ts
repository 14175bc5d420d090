import { ValidationError } from '../errors.ts'
import { parseJson } from './json.ts'

/** A text that is JSON: its value, and where each part of it stands (offsets in the text). */
export interface JsonSource {
  readonly value: unknown
  /** The offset of a member's name, or of a list's item; of the nearest part around it, if it is not there. */
  readonly offsetOf: (path: readonly PropertyKey[]) => number
}

/**
 * Reads a text as JSON, many times as fast as the YAML that it is too: what programs write is JSON, and long. Undefined if it is not
 * JSON, if more than `most` objects and lists stand in each other, or if a name stands in one object twice (JSON's parser would take the
 * last): YAML's reader says what is wrong with it.
 */
export function readJsonSource(text: string, most: number): JsonSource | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  const scanner = new Scanner(text, most)
  if (!scanner.isJson()) return undefined
  try {
    const root = new Part(text, scanner.start, scanner.start)
    return { value: parseJson(text), offsetOf: (path) => root.find(path) }
  } catch (error) {
    // The scan looks at brackets, names and strings only; the parser has the last word.
    if (error instanceof ValidationError) return undefined
    throw error
  }
}

/** One pass over a text that may be JSON, for what JSON's parser does not tell: depth, and names that stand twice. */
class Scanner {
  readonly start: number
  private readonly text: string
  private readonly most: number
  private at: number

  constructor(text: string, most: number) {
    this.text = text
    this.most = most
    this.at = skipBlanks(text, 0)
    this.start = this.at
  }

  isJson(): boolean {
    return this.scan(1) && skipBlanks(this.text, this.at) === this.text.length
  }

  private scan(depth: number): boolean {
    const code = this.text.charCodeAt(this.at)
    if (code !== OBJECT && code !== LIST) {
      const end = endOfScalar(this.text, this.at)
      const isThere = end > this.at
      this.at = end
      return isThere
    }
    return depth <= this.most && this.scanMembers(code === OBJECT, depth)
  }

  private scanMembers(isObject: boolean, depth: number): boolean {
    const { text } = this
    const names = new Set<string>()
    const close = isObject ? OBJECT_END : LIST_END
    this.at = skipBlanks(text, this.at + 1)
    if (text.charCodeAt(this.at) === close) {
      this.at++
      return true
    }
    for (;;) {
      if (isObject && !this.scanName(names)) return false
      if (!this.scan(depth + 1)) return false
      this.at = skipBlanks(text, this.at)
      const code = text.charCodeAt(this.at++)
      if (code === close) return true
      if (code !== COMMA) return false
      this.at = skipBlanks(text, this.at)
    }
  }

  /** A name and its colon. */
  private scanName(names: Set<string>): boolean {
    const { text, at } = this
    if (text.charCodeAt(at) !== QUOTE) return false
    const end = endOfScalar(text, at)
    const name = text.slice(at + 1, end - 1)
    // Two spellings of one name would not be seen to be one.
    if (end === at || names.has(name) || name.includes('\\')) return false
    names.add(name)
    this.at = skipBlanks(text, end)
    if (text.charCodeAt(this.at) !== COLON) return false
    this.at = skipBlanks(text, this.at + 1)
    return true
  }
}

/** A value in a text that is JSON. Its parts are looked for when somebody asks where one is: mostly nobody does. */
class Part {
  /** Where a person finds it: at its name, if it is a member. */
  private readonly offset: number
  private readonly text: string
  private readonly start: number
  private parts: ReadonlyMap<string, Part> | undefined

  constructor(text: string, offset: number, start: number) {
    this.text = text
    this.offset = offset
    this.start = start
  }

  find(path: readonly PropertyKey[]): number {
    let part: Part = this
    for (const name of path) {
      part.parts ??= part.readParts()
      const inner = part.parts.get(String(name))
      if (inner === undefined) break
      part = inner
    }
    return part.offset
  }

  private readParts(): ReadonlyMap<string, Part> {
    const { text } = this
    const parts = new Map<string, Part>()
    const code = text.charCodeAt(this.start)
    if (code !== OBJECT && code !== LIST) return parts
    let at = skipBlanks(text, this.start + 1)
    while (text.charCodeAt(at) !== OBJECT_END && text.charCodeAt(at) !== LIST_END) {
      const offset = at
      const nameEnd = code === OBJECT ? endOfScalar(text, at) : at
      if (code === OBJECT) at = skipBlanks(text, skipBlanks(text, nameEnd) + 1)
      const name = code === OBJECT ? text.slice(offset + 1, nameEnd - 1) : String(parts.size)
      parts.set(name, new Part(text, offset, at))
      at = skipBlanks(text, endOfValue(text, at))
      if (text.charCodeAt(at) === COMMA) at = skipBlanks(text, at + 1)
    }
    return parts
  }
}

const [OBJECT, OBJECT_END, LIST, LIST_END, QUOTE, COMMA, COLON, BACKSLASH] = [0x7b, 0x7d, 0x5b, 0x5d, 0x22, 0x2c, 0x3a, 0x5c]

function skipBlanks(text: string, from: number): number {
  let at = from
  while (at < text.length && isBlank(text.charCodeAt(at))) at++
  return at
}

/** Blanks, tabs and ends of lines (RFC 8259, section 2). */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}

/** The end of a value in a text that is JSON. */
function endOfValue(text: string, from: number): number {
  let depth = 0
  let at = from
  do {
    const code = text.charCodeAt(at)
    if (code === OBJECT || code === LIST) depth++
    if (code === OBJECT_END || code === LIST_END) depth--
    at = code === QUOTE || depth === 0 ? Math.max(endOfScalar(text, at), at + 1) : at + 1
  } while (depth > 0)
  return at
}

/** The end of a string, a number or a word; the same place, if there is none. */
function endOfScalar(text: string, from: number): number {
  if (text.charCodeAt(from) !== QUOTE) {
    let at = from
    while (at < text.length && !ENDS.has(text.charCodeAt(at))) at++
    return at
  }
  let at = from + 1
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1
  return at < text.length ? at + 1 : from
}

/** What ends a number or a word. */
const ENDS: ReadonlySet<number> = new Set([0x20, 0x0a, 0x0d, 0x09, OBJECT_END, LIST_END, COMMA, COLON, QUOTE, OBJECT, LIST])
