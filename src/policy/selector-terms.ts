import type { Selector } from '../model/selector-parse.ts'

/** What a selector can see of one label: whether it has this value, whether it is there at all, or all of its value. */
export interface Mention {
  readonly label: string
  readonly sees: 'value' | 'presence' | 'text'
  /** Where it looks for one value. */
  readonly value?: string
}

/** All that a selector looks at. Two sets of labels that are equal in this are the same to it. */
export function mentionsOf(selector: Selector): readonly Mention[] {
  switch (selector.op) {
    case 'all':
    case 'global':
      return []
    case 'has':
      return [{ label: selector.label, sees: 'presence' }]
    case 'equal':
    case 'not-equal':
      return [{ label: selector.label, sees: 'value', value: selector.value }]
    case 'in':
    case 'not-in':
      return [...selector.values].map((value) => ({ label: selector.label, sees: 'value', value }))
    case 'not':
      return mentionsOf(selector.operand)
    case 'and':
    case 'or':
      return selector.operands.flatMap(mentionsOf)
    default:
      return [{ label: selector.label, sees: 'text' }]
  }
}

/** A label with a value, or a label with any: what makes a selector worth asking. */
export type Term = string

/** The term of a label with this value, or of the label being there. */
export function termOf(label: string, value?: string): Term {
  return value === undefined ? label : `${label}${SEPARATOR}${value}`
}

/** In no label and no value that resources may have. */
const SEPARATOR = '\u0001'

/**
 * Terms of which one must hold wherever the selector matches; undefined where it may match without any (`!=`, `!`, `all()`). Of the parts
 * of an `&&` the one whose terms are carried by fewest (`carriers`) is taken.
 */
export function coverOf(selector: Selector, carriers: (term: Term) => number): readonly Term[] | undefined {
  switch (selector.op) {
    case 'equal':
      return [termOf(selector.label, selector.value)]
    case 'in':
      return [...selector.values].map((value) => termOf(selector.label, value))
    case 'has':
    case 'contains':
    case 'starts-with':
    case 'ends-with':
      return [termOf(selector.label)]
    case 'and':
      return fewest(
        selector.operands.flatMap((operand) => [coverOf(operand, carriers) ?? []].filter((terms) => terms.length > 0)),
        carriers,
      )
    case 'or': {
      const covers = selector.operands.map((operand) => coverOf(operand, carriers))
      return covers.every((terms) => terms !== undefined) ? covers.flat() : undefined
    }
    default:
      return undefined
  }
}

function fewest(covers: readonly (readonly Term[])[], carriers: (term: Term) => number): readonly Term[] | undefined {
  const costOf = (terms: readonly Term[]) => terms.reduce((sum, term) => sum + carriers(term), 0)
  let best: { terms: readonly Term[]; cost: number } | undefined
  for (const terms of covers) {
    const cost = costOf(terms)
    if (best === undefined || cost < best.cost) best = { terms, cost }
  }
  return best?.terms
}
