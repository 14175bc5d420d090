import {
  type Alias,
  Composer,
  type CST,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  Parser,
  type Document as YamlDocument,
} from 'yaml'
import { ValidationError } from '../errors.ts'
import { type JsonSource, readJsonSource } from './json-source.ts'
import { isObject } from './shape.ts'

/** Where something stands in a text; both count from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** One document of a file: its value, and where each part of it stands. */
export interface SourceDocument {
  readonly value: unknown
  /** The place of a member's name, or of a list's item; of the nearest part around it, if it is not there. */
  readonly placeOf: (path: readonly PropertyKey[]) => Place
  /** What was read in a way that its writer may not have meant. */
  readonly warnings: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]
}

/** Characters of one text. */
const MAX_LENGTH = 8 << 20
/** Objects and lists in each other. */
const MAX_DEPTH = 64
/** Values that aliases stand for in one text: a few lines of aliases of aliases would be billions. */
const MAX_ALIASED = 20_000
/** Lines and items of YAML in one text: each takes 20 times the time and memory of a character. JSON has no such limit. */
const MAX_PARTS = 250_000
/** So many things that may not have been meant are told of one text. */
const MAX_WARNINGS = 1000

/**
 * Reads YAML or JSON text with any number of documents. A list, or an object whose kind ends in `List`, is taken as its items.
 *
 * @throws {ValidationError} if the text is not YAML, with line and column; nothing of it is given then
 */
export function readSource(text: string): readonly SourceDocument[] {
  if (text.length > MAX_LENGTH) throw new ValidationError(`the text has ${text.length} characters, at most ${MAX_LENGTH} are read`)
  const json = readJsonSource(text, MAX_DEPTH)
  if (json !== undefined) return splitLists(jsonDocument(text, json))
  const lines = new LineCounter()
  const documents = parseYaml(text, lines)
  const budget = { left: MAX_ALIASED }
  return documents.flatMap((document) => splitLists(new Reader(document, text, lines, budget).read()))
}

function jsonDocument(text: string, { value, offsetOf }: JsonSource): SourceDocument {
  const lines = new LineCounter()
  for (let at = -1; at < text.length; at = nextLine(text, at)) lines.addNewLine(at + 1)
  return { value, warnings: [], placeOf: (path) => placeAt(lines, offsetOf(path)) }
}

/** Where the line ends in which this place is. */
function nextLine(text: string, at: number): number {
  const end = text.indexOf('\n', at + 1)
  return end < 0 ? text.length : end
}

function parseYaml(text: string, lines: LineCounter): readonly YamlDocument.Parsed[] {
  if (looksDeep(text)) throw tooDeep()
  checkParts(text)
  // The composer compares each key of an object with all others; the reader finds doubled ones by their names.
  const composer = new Composer({ intAsBigInt: true, prettyErrors: false, logLevel: 'silent', uniqueKeys: false })
  const documents = [...composer.compose(shallow(new Parser(lines.addNewLine).parse(text)))]
  const issues = documents.flatMap((document) =>
    document.errors.map((error) => ({
      path: '',
      message: `${error.message} (${showPlace(placeAt(lines, error.pos[0]))})${hintAt(text, error.pos[0])}`,
    })),
  )
  const [first] = issues
  if (first === undefined) return documents
  throw new ValidationError(`not YAML: ${first.message}`, issues)
}

/** Tutorials write selectors such as `!has(a) && !has(b)` without quotes, of which YAML makes two tags. */
function hintAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  const meant = /^[^#'"]*?(?:^|[:,[{-])[ \t]+(![^!\s].*?)\s*$/.exec(
    text.slice(start, Math.min(nextLine(text, offset - 1), start + 500)),
  )?.[1]
  return meant === undefined ? '' : `: a text that begins with "!" needs quotes, as in ${JSON.stringify(meant)}`
}

/** `line 5, column 3`. */
export function showPlace({ line, column }: Place): string {
  return `line ${line}, column ${column}`
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}

/** Counts where a line or an item begins or ends, as far as that can be told without reading the text. */
function checkParts(text: string): void {
  let parts = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x0a || code === 0x2c || code === 0x5b || code === 0x7b) parts++
  }
  if (parts <= MAX_PARTS) return
  throw new ValidationError(`the text has ${parts} lines and items of YAML, at most ${MAX_PARTS} are read: split it, or give it as JSON`)
}

/** More brackets than this are never open in a text that means something, also if those in strings are counted; nor lists in one line. */
const MOST_OPEN = 5000
const MOST_IN_LINE = /^[ \t]*(?:[-?][ \t]+){200}/m

/** Whether the text is so deep that already taking it apart would need memory without end. */
function looksDeep(text: string): boolean {
  let open = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5b || code === 0x7b) open++
    else if ((code === 0x5d || code === 0x7d) && open > 0) open--
    if (open > MOST_OPEN) return true
  }
  return MOST_IN_LINE.test(text)
}

/** Depth that a text may have as it stands, keys and values counted apart; what it means may have MAX_DEPTH. */
const MAX_NESTED = 4 * MAX_DEPTH

/**
 * The parts of a text, if they are not too deep. Looked at before they are composed, and without recursion: the composer calls itself for
 * each level, and Node 20 ends the process where the stack ends within a regular expression.
 */
function* shallow(tokens: Iterable<CST.Token>): Generator<CST.Token> {
  for (const token of tokens) {
    let level = innerTokens(token)
    for (let depth = 1; level.length > 0; depth++) {
      if (depth > MAX_NESTED) throw tooDeep()
      level = level.flatMap(innerTokens)
    }
    yield token
  }
}

/** The parts that stand in a part. */
function innerTokens(token: CST.Token): readonly CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value]
  if (!('items' in token)) return []
  return token.items.flatMap(({ key, value }) => [key ?? [], value ?? []].flat())
}

function tooDeep(): ValidationError {
  return new ValidationError(`not read: more than ${MAX_DEPTH} objects and lists in each other`)
}

/** Turns one document's nodes into plain values, and notes where each stands. */
class Reader {
  private readonly document: YamlDocument.Parsed
  private readonly text: string
  private readonly lines: LineCounter
  private readonly budget: { left: number }
  private aliasDepth = 0
  /** By name, the node that an alias at this place of the text stands for. The parser's own look-up goes through the text each time. */
  private readonly anchors = new Map<string, unknown>()
  private readonly offsets = new Map<string, number>()
  private readonly warnings: { path: readonly PropertyKey[]; message: string }[] = []

  constructor(document: YamlDocument.Parsed, text: string, lines: LineCounter, budget: { left: number }) {
    this.document = document
    this.text = text
    this.lines = lines
    this.budget = budget
  }

  read(): SourceDocument {
    const value = this.toPlain(this.document.contents, [])
    return { value, warnings: this.warnings, placeOf: (path) => this.placeOf(path) }
  }

  private toPlain(node: unknown, path: readonly PropertyKey[]): unknown {
    if (path.length > MAX_DEPTH) throw tooDeep()
    if (isAlias(node)) return this.aliasToPlain(node, path)
    if (this.aliasDepth > 0 && this.budget.left-- <= 0) {
      throw new ValidationError(`not read: aliases stand for more than ${MAX_ALIASED} values`)
    }
    this.note(path, offsetOf(node))
    if (this.aliasDepth === 0 && isNode(node) && !isAlias(node) && node.anchor !== undefined) this.anchors.set(node.anchor, node)
    if (isMap(node)) return this.mapToPlain(node.items, path)
    if (isSeq(node)) return node.items.map((item, index) => this.toPlain(item, [...path, index]))
    return isScalar(node) ? this.scalarToPlain(node, path) : undefined
  }

  private aliasToPlain(alias: Alias, path: readonly PropertyKey[]): unknown {
    const node = this.anchors.get(alias.source)
    if (node === undefined) throw new ValidationError(`not YAML: the alias *${alias.source} has no anchor`)
    this.aliasDepth++
    const plain = this.toPlain(node, path)
    this.aliasDepth--
    return plain
  }

  private mapToPlain(items: readonly { readonly key: unknown; readonly value: unknown }[], path: readonly PropertyKey[]): unknown {
    const names = new Set<string>()
    const members = items.map(({ key, value }): [string, unknown] => {
      const name = isScalar(key) ? String(key.value) : '?'
      if (names.has(name))
        throw new ValidationError(`not YAML: Map keys must be unique (${showPlace(placeAt(this.lines, offsetOf(key) ?? 0))})`)
      names.add(name)
      const plain = this.toPlain(value, [...path, name])
      this.offsets.set(keyOf([...path, name]), offsetOf(key) ?? 0)
      return [name, plain ?? null]
    })
    return names.has('<<') ? withMerged(Object.fromEntries(members)) : Object.fromEntries(members)
  }

  /** An unquoted `!all()` is a YAML tag without a value; tutorials mean the string. */
  private scalarToPlain(
    node: { readonly value: unknown; readonly tag?: string; readonly range?: readonly number[] | null },
    path: readonly PropertyKey[],
  ): unknown {
    const end = node.range?.[1]
    if (node.tag?.startsWith('!') && end !== undefined) {
      const start = this.text.lastIndexOf(node.tag, node.range?.[0])
      const meant = this.text.slice(start, end).trim()
      if (this.warnings.length < MAX_WARNINGS)
        this.warnings.push({ path, message: `${meant} is a YAML tag without quotes; it is taken as the string ${JSON.stringify(meant)}` })
      return meant
    }
    if (typeof node.value !== 'bigint') return node.value
    const number = Number(node.value)
    return Number.isSafeInteger(number) ? number : node.value
  }

  private note(path: readonly PropertyKey[], offset: number | undefined): void {
    if (offset !== undefined) this.offsets.set(keyOf(path), offset)
  }

  private placeOf(path: readonly PropertyKey[]): Place {
    for (let length = path.length; length >= 0; length--) {
      const offset = this.offsets.get(keyOf(path.slice(0, length)))
      if (offset !== undefined) return placeAt(this.lines, offset)
    }
    return { line: 1, column: 1 }
  }
}

/** `<<` brings the members of an object, or of several, that do not stand beside it: YAML 1.1, as Calico reads it. */
function withMerged({ '<<': merged, ...own }: Record<string, unknown>): Record<string, unknown> {
  const sources = Array.isArray(merged) ? merged : [merged]
  if (!sources.every(isObject)) return { '<<': merged, ...own }
  return Object.fromEntries([...sources.toReversed(), own].flatMap((source) => Object.entries(source)))
}

function keyOf(path: readonly PropertyKey[]): string {
  return JSON.stringify(path)
}

function offsetOf(node: unknown): number | undefined {
  const range = isObject(node) ? node['range'] : undefined
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined
}

/** A list's items as documents of their own; nothing for an empty document. */
function splitLists(document: SourceDocument): readonly SourceDocument[] {
  const { value } = document
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.flatMap((_, index) => splitLists(partOf(document, [index])))
  if (!isObject(value) || !Array.isArray(value['items']) || !String(value['kind']).endsWith('List')) return [document]
  return value['items'].flatMap((_, index) => splitLists(partOf(document, ['items', index])))
}

function partOf(document: SourceDocument, at: readonly PropertyKey[]): SourceDocument {
  const value = at.reduce<unknown>((whole, part) => (whole as Record<PropertyKey, unknown>)[part], document.value)
  const isBelow = (path: readonly PropertyKey[]) => at.every((part, index) => path[index] === part)
  const warnings = document.warnings
    .filter(({ path }) => isBelow(path))
    .map(({ path, message }) => ({ path: path.slice(at.length), message }))
  return { value, warnings, placeOf: (path) => document.placeOf([...at, ...path]) }
}
