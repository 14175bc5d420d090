import { nearest } from '../model/issues.ts'
import { isObject } from '../model/shape.ts'
import { UsageError } from './context.ts'
import { type Operand, type Part, type Pipe, parseTemplate } from './template-parse.ts'

/**
 * Writes values through a template of Go's text/template (see template-parse.ts for what is known of it). Members are found by their
 * JSON names (`.spec.cidr`) and by those of Calico's Go types (`.Spec.CIDR`, `.ObjectMeta.Name`, `.Name`); one that is absent is empty.
 *
 * @throws {UsageError} naming what is wrong with the template
 */
export function renderTemplate(source: string, root: unknown, constants: Readonly<Record<string, string>>): string {
  const functions = { ...FUNCTIONS, config: (name: unknown) => constants[String(name).toLowerCase()] ?? '' }
  const scope: Scope = { dot: root, variables: new Map([['$', root]]), functions }
  return renderParts(parseTemplate(source), scope)
}

type Fn = (...args: readonly unknown[]) => unknown

interface Scope {
  readonly dot: unknown
  readonly variables: Map<string, unknown>
  readonly functions: Readonly<Record<string, Fn>>
}

function renderParts(parts: readonly Part[], scope: Scope): string {
  return parts.map((part) => renderPart(part, scope)).join('')
}

function renderPart(part: Part, scope: Scope): string {
  if (part.is === 'text') return part.text
  if (part.is === 'range') return renderRange(part, scope)
  const inner = { ...scope, variables: part.is === 'write' ? scope.variables : new Map(scope.variables) }
  const value = evaluate(part.pipe, inner)
  for (const name of part.pipe.sets) inner.variables.set(name, value)
  if (part.is === 'write') return part.pipe.sets.length > 0 ? '' : show(value)
  if (!isTrue(value)) return renderParts(part.otherwise, inner)
  return renderParts(part.body, part.is === 'with' ? { ...inner, dot: value } : inner)
}

function renderRange({ pipe, body, otherwise }: Extract<Part, { is: 'range' }>, scope: Scope): string {
  const value = evaluate(pipe, scope)
  const items = Array.isArray(value) ? [...value.entries()] : isObject(value) ? Object.entries(value).sort() : []
  if (items.length === 0) return renderParts(otherwise, scope)
  return items
    .map(([key, item]) => {
      const variables = new Map(scope.variables)
      const [first, second] = pipe.sets
      if (second !== undefined) variables.set(first ?? '', key).set(second, item)
      else if (first !== undefined) variables.set(first, item)
      return renderParts(body, { ...scope, dot: item, variables })
    })
    .join('')
}

function evaluate({ commands }: Pipe, scope: Scope): unknown {
  return commands.reduce<unknown>((before, command, index) => runCommand(command, scope, index === 0 ? [] : [before]), undefined)
}

function runCommand([first, ...rest]: readonly Operand[], scope: Scope, last: readonly unknown[]): unknown {
  if (first === undefined) return undefined
  const args = () => [...rest.map((operand) => operandValue(operand, scope)), ...last]
  if (first.is === 'function') return functionOf(first.name, scope)(...args())
  if (rest.length > 0 || last.length > 0) throw new UsageError('the template gives arguments to what is no function')
  return operandValue(first, scope)
}

function functionOf(name: string, { functions }: Scope): Fn {
  const found = Object.hasOwn(functions, name) ? functions[name] : undefined
  if (found !== undefined) return found
  const near = nearest(name, Object.keys(functions))
  throw new UsageError(
    `the template calls ${name}, which is not known${near === undefined ? `: there are ${Object.keys(functions).join(', ')}` : `: did you mean ${near}?`}`,
  )
}

function operandValue(operand: Operand, scope: Scope): unknown {
  switch (operand.is) {
    case 'literal':
      return operand.value
    case 'dot':
      return follow(scope.dot, operand.path)
    case 'pipe':
      return follow(evaluate(operand.pipe, scope), operand.path)
    case 'function':
      return functionOf(operand.name, scope)()
    case 'variable':
      if (!scope.variables.has(operand.name)) throw new UsageError(`the template uses ${operand.name}, which is not set`)
      return follow(scope.variables.get(operand.name), operand.path)
  }
}

function follow(value: unknown, path: readonly string[]): unknown {
  return path.reduce(memberOf, value)
}

/** Go's types hold these inside others, by names that JSON does not have. */
const EMBEDDED: Readonly<Record<string, string>> = { ObjectMeta: 'metadata', ListMeta: 'metadata' }

function memberOf(value: unknown, name: string): unknown {
  // All that was found is a list to calicoctl's templates, and an object with items to kubectl's.
  if (Array.isArray(value)) return name.toLowerCase() === 'items' ? value.flatMap((each) => memberOf(each, name) ?? [each]) : undefined
  if (!isObject(value) || name === 'TypeMeta') return isObject(value) ? value : undefined
  if (Object.hasOwn(value, name)) return value[name]
  const embedded = EMBEDDED[name]
  if (embedded !== undefined) return value[embedded]
  const key = Object.keys(value).find((each) => each.toLowerCase() === name.toLowerCase())
  if (key !== undefined) return value[key]
  return isObject(value['metadata']) && /^[A-Z]/.test(name) ? memberOf(value['metadata'], name) : undefined
}

function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  return isObject(value) ? Object.keys(value).length > 0 : Boolean(value)
}

/** As Go prints it: lists in brackets, maps by their sorted keys. */
function show(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`
  if (!isObject(value)) return String(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `map[${members.map(([key, each]) => `${key}:${show(each)}`).join(' ')}]`
}

const FUNCTIONS: Readonly<Record<string, Fn>> = {
  and: (...args) => args.find((arg) => !isTrue(arg)) ?? args.at(-1),
  or: (...args) => args.find(isTrue) ?? args.at(-1),
  not: (arg) => !isTrue(arg),
  eq: (first, ...others) => others.some((other) => compare(first, other) === 0),
  ne: (a, b) => compare(a, b) !== 0,
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  len: (arg) => (typeof arg === 'string' || Array.isArray(arg) ? arg.length : isObject(arg) ? Object.keys(arg).length : 0),
  index: (value, ...keys) => keys.reduce(at, value),
  print: (...args) => args.map(show).join(''),
  println: (...args) => `${args.map(show).join(' ')}\n`,
  printf: (format, ...args) => formatWith(String(format), args),
  join: (items, separator) => joinItems(items, String(separator), 0),
  joinAndTruncate: (items, separator, most) => joinItems(items, String(separator), Number(most)),
}

/** An absent member is equal to the empty value of what it is compared with, as a member of a Go struct is. */
function compare(a: unknown, b: unknown): number {
  if (a === undefined || b === undefined) return isTrue(a) || isTrue(b) ? (isTrue(a) ? 1 : -1) : 0
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [show(a), show(b)]
  return left === right ? 0 : left < right ? -1 : 1
}

function at(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) return value[Number(key)]
  return isObject(value) && Object.hasOwn(value, String(key)) ? value[String(key)] : undefined
}

function formatWith(format: string, args: readonly unknown[]): string {
  const rest = [...args]
  return format.replace(/%(-?\d+)?([%svdqt])/g, (_, width: string | undefined, verb: string) => {
    if (verb === '%') return '%'
    const text = verb === 'q' ? JSON.stringify(show(rest.shift())) : show(rest.shift())
    const size = Math.abs(Number(width ?? 0))
    return width?.startsWith('-') ? text.padEnd(size) : text.padStart(size)
  })
}

/** Items of a list, or `key=value` of a map, between separators; cut at so many characters, 0 for never. */
function joinItems(items: unknown, separator: string, most: number): string {
  if (items === undefined || items === null) return ''
  const list = Array.isArray(items) ? items.map(show) : isObject(items) ? labelsOf(items) : [show(items)]
  const joined = list.join(separator)
  return most > 0 && joined.length > most ? `${joined.slice(0, most - 3)}...` : joined
}

function labelsOf(map: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${show(value)}`)
    .sort()
}
