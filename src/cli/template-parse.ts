import { UsageError } from './context.ts'

/** A part of a template: text, a value that is written, or a block with what it repeats or chooses. */
export type Part =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'write'; readonly pipe: Pipe }
  | { readonly is: 'if' | 'with'; readonly pipe: Pipe; readonly body: readonly Part[]; readonly otherwise: readonly Part[] }
  | { readonly is: 'range'; readonly pipe: Pipe; readonly body: readonly Part[]; readonly otherwise: readonly Part[] }

/** Commands of which each gets the value of the one before as its last argument; the names are the variables that it sets. */
export interface Pipe {
  readonly sets: readonly string[]
  readonly commands: readonly (readonly Operand[])[]
}

/** One word of a command; `path` are the members that are taken of it. */
export type Operand =
  | { readonly is: 'dot'; readonly path: readonly string[] }
  | { readonly is: 'variable'; readonly name: string; readonly path: readonly string[] }
  | { readonly is: 'function'; readonly name: string }
  | { readonly is: 'literal'; readonly value: string | number | boolean | undefined }
  | { readonly is: 'pipe'; readonly pipe: Pipe; readonly path: readonly string[] }

/**
 * Parses a template of Go's text/template: text, fields, variables, pipes, `if else range with end`, comments and `{{-` `-}}`.
 * What else Go has (`define`, `template`, `block`, `break`, `continue`) is refused by name.
 *
 * @throws {UsageError} naming what is wrong and where
 */
export function parseTemplate(source: string): readonly Part[] {
  const pieces = splitActions(source)
  const parser = new Parser(pieces)
  return parser.parts([])
}

/** Text, or the inside of `{{ }}`, with where it begins. */
interface Piece {
  readonly isAction: boolean
  readonly text: string
  readonly at: number
}

const ACTION = /\{\{(- )?((?:"(?:\\.|[^"\\])*"|`[^`]*`|\/\*[\s\S]*?\*\/|[^"`}]|\}(?!\}))*?)( -)?\}\}/g

function splitActions(source: string): readonly Piece[] {
  const pieces: Piece[] = []
  let end = 0
  let isTrimmed = false
  const addText = (text: string, at: number) => text !== '' && pieces.push({ isAction: false, text, at })
  for (const match of source.matchAll(ACTION)) {
    const [whole, trimBefore, inside = '', trimAfter] = match
    const before = source.slice(end, match.index)
    const begun = isTrimmed ? before.trimStart() : before
    addText(trimBefore === undefined ? begun : begun.trimEnd(), end)
    pieces.push({ isAction: true, text: inside.trim(), at: match.index })
    end = match.index + whole.length
    isTrimmed = trimAfter !== undefined
  }
  const rest = source.slice(end)
  if (rest.includes('{{')) throw new UsageError(`the template has a "{{" without its "}}" at character ${end + rest.indexOf('{{') + 1}`)
  addText(isTrimmed ? rest.trimStart() : rest, end)
  return pieces
}

const REFUSED: readonly string[] = ['define', 'template', 'block', 'break', 'continue']

class Parser {
  readonly #pieces: readonly Piece[]
  #next = 0

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
  }

  /** Up to one of these words, which is left for the caller; without any, to the end. */
  parts(until: readonly string[]): readonly Part[] {
    const found: Part[] = []
    for (let piece = this.#pieces[this.#next]; piece !== undefined; piece = this.#pieces[this.#next]) {
      const word = piece.isAction ? (/^\w+/.exec(piece.text)?.[0] ?? '') : ''
      if (until.includes(word)) return found
      if (['else', 'end'].includes(word))
        throw new UsageError(`the template has "${word}" without its beginning at character ${piece.at + 1}`)
      if (REFUSED.includes(word)) throw new UsageError(`the template has "${word}", which is not known here`)
      this.#next++
      found.push(...this.#part(piece, word))
    }
    if (until.length > 0) throw new UsageError('the template has a block without its "end"')
    return found
  }

  #part(piece: Piece, word: string): readonly Part[] {
    if (!piece.isAction) return [{ is: 'text', text: piece.text }]
    if (piece.text.startsWith('/*')) return []
    if (word !== 'if' && word !== 'with' && word !== 'range') return [{ is: 'write', pipe: parsePipe(piece.text) }]
    return [this.#block(word, piece.text.slice(word.length))]
  }

  #block(is: 'if' | 'with' | 'range', head: string): Part {
    const pipe = parsePipe(head)
    const body = this.parts(['else', 'end'])
    const ending = this.#pieces[this.#next++]?.text ?? ''
    if (ending === 'end') return { is, pipe, body, otherwise: [] }
    const chained = /^else\s+(if|with)\b(.*)$/s.exec(ending)
    if (chained !== null) return { is, pipe, body, otherwise: [this.#block(chained[1] as 'if' | 'with', chained[2] ?? '')] }
    const otherwise = this.parts(['end'])
    this.#next++
    return { is, pipe, body, otherwise }
  }
}

const TOKEN = /\s+|"(?:\\.|[^"\\])*"|`[^`]*`|-?\d+(?:\.\d+)?|\$?\w*(?:\.\w+)+|\$\w*|\w+|:=|[.()|,=]/gy

function parsePipe(text: string): Pipe {
  const tokens = tokensOf(text)
  const declared = tokens.findIndex((token) => token === ':=' || token === '=')
  const sets = declared < 0 ? [] : tokens.slice(0, declared).filter((token) => token !== ',')
  if (sets.some((name) => !/^\$\w+$/.test(name)) || sets.length > 2)
    throw new UsageError(`the template sets ${sets.join(' ')}, only variables such as $x can be set`)
  const rest = tokens.slice(declared + 1)
  const pipe = readPipe(rest, sets)
  if (rest.length > 0) throw new UsageError(`the template has ${JSON.stringify(rest[0])} where it is not expected: {{${text}}}`)
  return pipe
}

function tokensOf(text: string): string[] {
  const tokens: string[] = []
  let end = 0
  for (const match of text.matchAll(TOKEN)) {
    end = match.index + match[0].length
    if (match[0].trim() !== '') tokens.push(match[0])
  }
  if (end < text.length)
    throw new UsageError(`the template has ${JSON.stringify(text.slice(end, end + 10))} in {{${text}}}, which is not understood`)
  return tokens
}

/** Takes commands off the tokens, up to what belongs to no command. */
function readPipe(tokens: string[], sets: readonly string[]): Pipe {
  const commands: (readonly Operand[])[] = []
  do {
    const operands: Operand[] = []
    while (tokens.length > 0 && tokens[0] !== '|' && tokens[0] !== ')') operands.push(readOperand(tokens))
    if (operands.length === 0) throw new UsageError('the template has an empty command: {{}} and {{a | }} say nothing')
    commands.push(operands)
  } while (tokens[0] === '|' && tokens.shift() !== undefined)
  return { sets, commands }
}

function readOperand(tokens: string[]): Operand {
  const token = tokens.shift() ?? ''
  if (token === '(') {
    const pipe = readPipe(tokens, [])
    if (tokens.shift() !== ')') throw new UsageError('the template has a "(" without its ")"')
    const path = /^(\.\w+)+$/.test(tokens[0] ?? '') ? pathOf(tokens.shift() ?? '') : []
    return { is: 'pipe', pipe, path }
  }
  if (token === '.') return { is: 'dot', path: [] }
  if (token.startsWith('.')) return { is: 'dot', path: pathOf(token) }
  if (token.startsWith('$')) {
    const [name = '', ...path] = token.split('.')
    return { is: 'variable', name, path }
  }
  if (/^["`]/.test(token)) return { is: 'literal', value: token.startsWith('`') ? token.slice(1, -1) : unquote(token) }
  if (/^-?\d/.test(token)) return { is: 'literal', value: Number(token) }
  if (token === 'true' || token === 'false') return { is: 'literal', value: token === 'true' }
  if (token === 'nil') return { is: 'literal', value: undefined }
  if (/^\w+$/.test(token)) return { is: 'function', name: token }
  throw new UsageError(`the template has ${JSON.stringify(token)} where a value is expected`)
}

function pathOf(token: string): readonly string[] {
  return token.split('.').filter((part) => part !== '')
}

/** A string of Go's, whose escapes are those of JSON for all that templates have. */
function unquote(token: string): string {
  try {
    return String(JSON.parse(token))
  } catch (cause) {
    throw new UsageError(`the template has ${token}, which is not a string: ${cause instanceof Error ? cause.message : ''}`)
  }
}
