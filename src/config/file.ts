import { getNodeValue, type Node, type ParseError, type ParseErrorCode, parseTree, printParseErrorCode } from 'jsonc-parser'
import { didYouMean, nearest } from '../model/issues.ts'
import { quote } from './formats.ts'
import { isGroup, SETTINGS, settingAt } from './schema.ts'

/** One value as it was given, with the place where a person finds it. */
export interface Given {
  readonly path: string
  readonly raw: unknown
  /** `/etc/margay/config.json:5:3`, `MARGAY_MODE` or `--mode`. */
  readonly source: string
}

/** What is wrong at one place. */
export interface Wrong {
  readonly source: string
  /** The key, or empty where the fault has none. */
  readonly path: string
  readonly message: string
}

/** What one source gave: values that are still to be checked, and what is wrong with the source itself. */
export interface Layer {
  readonly given: readonly Given[]
  readonly wrong: readonly Wrong[]
}

/** Reads a configuration file: JSON with comments and trailing commas. Faults carry line and column, counted from 1. */
export function readFileLayer(file: string, text: string): Layer {
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: true })
  const at = (offset: number) => `${file}:${position(text, offset)}`
  if (errors.length > 0) return { given: [], wrong: syntaxFaults(errors, at) }
  if (root === undefined) return { given: [], wrong: [] }
  if (root.type !== 'object') return { given: [], wrong: [{ source: at(root.offset), path: '', message: 'not a JSON object, give { … }' }] }
  const layer = { given: [] as Given[], wrong: [] as Wrong[] }
  walk(root, '', at, layer)
  return layer
}

/** One for each place: a brace that is missing at the end is missing in every group. */
function syntaxFaults(errors: readonly ParseError[], at: (offset: number) => string): readonly Wrong[] {
  const first = errors.filter(({ offset }, index) => errors.findIndex((other) => other.offset === offset) === index)
  return first.slice(0, 5).map((error) => ({ source: at(error.offset), path: '', message: describe(error) }))
}

type Collected = { readonly given: Given[]; readonly wrong: Wrong[] }

function walk(node: Node, parent: string, at: (offset: number) => string, into: Collected): void {
  const seen = new Map<string, number>()
  for (const property of node.children ?? []) {
    const [key, value] = property.children ?? []
    if (key === undefined || value === undefined) continue
    const name = String(key.value)
    const path = parent === '' ? name : `${parent}.${name}`
    const source = at(key.offset)
    const first = seen.get(name)
    seen.set(name, key.offset)
    if (first !== undefined)
      into.wrong.push({ source, path, message: `given twice, first at ${at(first).replace(/^.*?:(?=\d+:\d+$)/, 'line ')}` })
    else if (settingAt(path)) into.given.push({ path, raw: getNodeValue(value), source })
    else if (!isGroup(path)) into.wrong.push({ source, path, message: `unknown key${meant(path, parent)}` })
    else if (value.type !== 'object')
      into.wrong.push({ source, path, message: `${quote(getNodeValue(value))} is not a group of keys, give { … }` })
    else walk(value, path, at, into)
  }
}

/** Among the keys of the same group first; a key in the wrong group is found by its last name. */
function meant(path: string, parent: string): string {
  const name = path.slice(parent === '' ? 0 : parent.length + 1)
  const full = (last: string) => (parent === '' ? last : `${parent}.${last}`)
  const siblings = PATHS.filter((each) => each === full(each.slice(each.lastIndexOf('.') + 1))).map((each) =>
    each.slice(each.lastIndexOf('.') + 1),
  )
  const sibling = nearest(name, siblings)
  const found = sibling === undefined ? PATHS.find((each) => each.endsWith(`.${name}`)) : full(sibling)
  return found === undefined ? didYouMean(path, PATHS) : `: did you mean ${quote(found)}?`
}

/** Keys and groups of keys. */
const PATHS: readonly string[] = [
  ...new Set(SETTINGS.flatMap(({ path }) => path.split('.').map((_, i, parts) => parts.slice(0, i + 1).join('.')))),
]

function position(text: string, offset: number): string {
  const before = text.slice(0, offset)
  return `${before.split('\n').length}:${offset - before.lastIndexOf('\n')}`
}

/** `ColonExpected` becomes `not JSON: colon expected`. */
function describe(error: ParseError): string {
  const words = printParseErrorCode(error.error as ParseErrorCode).replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
  return `not JSON: ${words.toLowerCase()}`
}
