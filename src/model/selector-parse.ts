import { ValidationError } from '../errors.ts'

/** A parsed selector. `!!x` is `x`; one operand of `&&` or `||` stands for itself. */
export type Selector =
  | { readonly op: 'all' | 'global' }
  | { readonly op: 'has'; readonly label: string }
  | { readonly op: 'equal' | 'not-equal' | 'contains' | 'starts-with' | 'ends-with'; readonly label: string; readonly value: string }
  | { readonly op: 'in' | 'not-in'; readonly label: string; readonly values: ReadonlySet<string> }
  | { readonly op: 'not'; readonly operand: Selector }
  | { readonly op: 'and' | 'or'; readonly operands: readonly Selector[] }

/** Parentheses in parentheses. Every selector that fits a resource's field (1024 characters) stays below it. */
const MAX_DEPTH = 512
const MAX_LABEL_LENGTH = 512

/** Longest first where one begins another. */
const WORD_OPERATORS = [
  ['not in', 'not-in'],
  ['notin', 'not-in'],
  ['in', 'in'],
  ['contains', 'contains'],
  ['starts with', 'starts-with'],
  ['startswith', 'starts-with'],
  ['ends with', 'ends-with'],
  ['endswith', 'ends-with'],
] as const

/**
 * Parses a selector in Calico's language; empty is `all()`.
 *
 * ```
 * or      = and { "||" and }            and = not { "&&" not }         not = { "!" } primary
 * primary = "(" or ")" | "all()" | "global()" | "has(label)"
 *         | label ( "==" | "!=" | "contains" | "starts with" | "ends with" ) string | label ( "in" | "not in" ) "{" strings "}"
 * ```
 * Blanks and tabs may stand between all of these, newlines nowhere; none may stand before the parenthesis of `has(`, `all(`, `global(`.
 *
 * @throws {ValidationError} with the column (from 1) and what was expected there
 */
export function parseSelector(text: string, maxLength?: number): Selector {
  if (maxLength !== undefined && text.length > maxLength) {
    throw new ValidationError(`the selector has ${text.length} characters, ${maxLength} are allowed`)
  }
  const input = new Input(text)
  if (input.isAtEnd()) return { op: 'all' }
  const selector = parseOr(input, 0)
  if (!input.isAtEnd()) throw input.expected('"&&", "||" or the end')
  return selector
}

/** The text with the place that is read next; every method first skips blanks. */
class Input {
  readonly text: string
  private next = 0

  constructor(text: string) {
    this.text = text
  }

  isAtEnd(): boolean {
    this.skipBlanks()
    return this.next === this.text.length
  }

  /** Reads the literal if it is what comes next. */
  take(literal: string): boolean {
    this.skipBlanks()
    if (!this.text.startsWith(literal, this.next)) return false
    this.next += literal.length
    return true
  }

  /** Reads a label, if one comes next. */
  takeLabel(): string | undefined {
    this.skipBlanks()
    const label = matchAt(/[A-Za-z0-9_./-]+/y, this.text, this.next)
    if (label === undefined) return undefined
    if (label.length > MAX_LABEL_LENGTH)
      throw this.expected(`a label of up to ${MAX_LABEL_LENGTH} characters, this one has ${label.length}`)
    this.next += label.length
    return label
  }

  /** Reads a string in single or double quotes; there are no escapes. */
  string(): string {
    this.skipBlanks()
    const quote = this.text[this.next]
    if (quote !== '"' && quote !== "'") throw this.expected('a string in quotes')
    const end = this.text.indexOf(quote, this.next + 1)
    if (end < 0) throw new ValidationError(`${this.describe()}: the string that begins at column ${this.next + 1} has no end`)
    const value = this.text.slice(this.next + 1, end)
    this.next = end + 1
    return value
  }

  expected(what: string): ValidationError {
    this.skipBlanks()
    const found = this.text[this.next]
    const where = found === undefined ? 'the end' : JSON.stringify(found)
    return new ValidationError(`${this.describe()}: at column ${this.next + 1} expected ${what}, found ${where}`)
  }

  describe(): string {
    const shown = this.text.length > 80 ? `${this.text.slice(0, 80)}…` : this.text
    return `not a selector: ${JSON.stringify(shown)}`
  }

  private skipBlanks(): void {
    while (this.text[this.next] === ' ' || this.text[this.next] === '\t') this.next++
  }
}

function matchAt(sticky: RegExp, text: string, at: number): string | undefined {
  sticky.lastIndex = at
  return sticky.exec(text)?.[0]
}

function parseOr(input: Input, depth: number): Selector {
  return parseList(input, '||', 'or', () => parseList(input, '&&', 'and', () => parseNot(input, depth)))
}

function parseList(input: Input, separator: string, op: 'and' | 'or', parseOne: () => Selector): Selector {
  const first = parseOne()
  const operands = [first]
  while (input.take(separator)) operands.push(parseOne())
  return operands.length === 1 ? first : { op, operands }
}

function parseNot(input: Input, depth: number): Selector {
  let isNegated = false
  while (input.take('!')) isNegated = !isNegated
  const operand = parsePrimary(input, depth)
  return isNegated ? { op: 'not', operand } : operand
}

function parsePrimary(input: Input, depth: number): Selector {
  if (input.take('(')) {
    if (depth >= MAX_DEPTH) throw new ValidationError(`${input.describe()}: more than ${MAX_DEPTH} parentheses in each other`)
    return closed(input, parseOr(input, depth + 1))
  }
  if (input.take('all(')) return closed(input, { op: 'all' })
  if (input.take('global(')) return closed(input, { op: 'global' })
  if (input.take('has(')) {
    const label = input.takeLabel()
    if (label === undefined) throw input.expected('a label')
    return closed(input, { op: 'has', label })
  }
  const label = input.takeLabel()
  if (label === undefined) throw input.expected('a label, "(", "!", has(…) or all()')
  return parseComparison(input, label)
}

function closed(input: Input, selector: Selector): Selector {
  if (!input.take(')')) throw input.expected('")"')
  return selector
}

function parseComparison(input: Input, label: string): Selector {
  if (input.take('==')) return { op: 'equal', label, value: input.string() }
  if (input.take('!=')) return { op: 'not-equal', label, value: input.string() }
  for (const [word, op] of WORD_OPERATORS) {
    if (!input.take(word)) continue
    if (op === 'in' || op === 'not-in') return { op, label, values: parseSet(input) }
    return { op, label, value: input.string() }
  }
  throw input.expected('an operator (==, !=, in, not in, contains, starts with, ends with)')
}

function parseSet(input: Input): ReadonlySet<string> {
  if (!input.take('{')) throw input.expected('"{"')
  const values = new Set<string>()
  while (!input.take('}')) {
    values.add(input.string())
    if (input.take(',')) continue
    if (input.take('}')) break
    throw input.expected('"," or "}"')
  }
  return values
}
