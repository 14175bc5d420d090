import { createHash } from 'node:crypto'
import type { Selector } from './selector-parse.ts'

/** Gives the value of a label, or undefined where the object does not have it. */
export type LabelLookup = (label: string) => string | undefined

/** Whether an object with these labels is selected. A label that is missing is "not equal" and "not in" everything. */
export function matchesSelector(selector: Selector, lookup: LabelLookup): boolean {
  switch (selector.op) {
    case 'all':
    case 'global':
      return true
    case 'not':
      return !matchesSelector(selector.operand, lookup)
    case 'and':
      return selector.operands.every((operand) => matchesSelector(operand, lookup))
    case 'or':
      return selector.operands.some((operand) => matchesSelector(operand, lookup))
    default:
      return matchesLabel(selector, lookup(selector.label))
  }
}

/** The lookup in a plain record of labels. */
export function lookupIn(labels: Readonly<Record<string, string>> | undefined): LabelLookup {
  return (label) => (labels !== undefined && Object.hasOwn(labels, label) ? labels[label] : undefined)
}

/** The one text of all selectors that were written differently but mean the same tree; Calico's form, from which ids are made. */
export function formatSelector(selector: Selector): string {
  switch (selector.op) {
    case 'all':
    case 'global':
      return `${selector.op}()`
    case 'has':
      return `has(${selector.label})`
    case 'not':
      return `!${formatSelector(selector.operand)}`
    case 'and':
    case 'or':
      return `(${selector.operands.map(formatSelector).join(selector.op === 'and' ? ' && ' : ' || ')})`
    case 'in':
    case 'not-in':
      return `${selector.label} ${OPERATORS[selector.op]} {${[...selector.values].sort(compareBytes).map(quote).join(', ')}}`
    default:
      return `${selector.label} ${OPERATORS[selector.op]} ${quote(selector.value)}`
  }
}

/** A short name for a selector: `s:` and the SHA-224 of its canonical text in base64url, as Calico's agents compute it. */
export function selectorId(selector: Selector): string {
  return `s:${createHash('sha224')
    .update(`s:${formatSelector(selector)}`)
    .digest('base64url')}`
}

const OPERATORS = {
  equal: '==',
  'not-equal': '!=',
  in: 'in',
  'not-in': 'not in',
  contains: 'contains',
  'starts-with': 'starts with',
  'ends-with': 'ends with',
} as const

type LabelSelector = Exclude<Selector, { readonly op: 'all' | 'global' | 'not' | 'and' | 'or' }>

function matchesLabel(selector: LabelSelector, value: string | undefined): boolean {
  if (value === undefined) return selector.op === 'not-equal' || selector.op === 'not-in'
  switch (selector.op) {
    case 'has':
      return true
    case 'equal':
      return value === selector.value
    case 'not-equal':
      return value !== selector.value
    case 'in':
      return selector.values.has(value)
    case 'not-in':
      return !selector.values.has(value)
    case 'contains':
      return value.includes(selector.value)
    case 'starts-with':
      return value.startsWith(selector.value)
    case 'ends-with':
      return value.endsWith(selector.value)
  }
}

function quote(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`
}

/** Go sorts strings by their UTF-8 bytes; JavaScript's order by UTF-16 units differs beyond the basic plane. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
