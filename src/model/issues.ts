import type * as z from 'zod'
import { type Issue, ValidationError } from '../errors.ts'

/** A field path as people write it: `spec.ports[0].port`. */
export function showPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}

/** What is wrong with a value in a person's words: the value as given, and what would be right. */
export function describeFault(fault: z.core.$ZodIssue): string {
  switch (fault.code) {
    case 'invalid_type':
      if (fault.expected === 'string' && ['number', 'boolean'].includes(typeof fault.input)) {
        return `must be a string, not ${showValue(fault.input)}: put it in quotes`
      }
      return fault.input === undefined
        ? `is required (${withArticle(fault.expected)})`
        : `must be ${withArticle(fault.expected)}, not ${showValue(fault.input)}`
    case 'invalid_value':
      if (fault.input === undefined) return `is required (one of ${fault.values.join(', ')})`
      return `${showValue(fault.input)} is not one of ${fault.values.join(', ')}${didYouMean(String(fault.input), fault.values.map(String))}`
    case 'invalid_union':
      return fault.input === undefined
        ? 'is required (a number or a string)'
        : `must be a number or a string, not ${showValue(fault.input)}`
    case 'too_big':
      return `has more than ${fault.maximum} items`
    default:
      return fault.message
  }
}

/**
 * The value as the schema gives it.
 *
 * @throws {ValidationError} `not <what>: …` with every issue
 */
export function parseAs<S extends z.ZodType>(what: string, schema: S, value: unknown): z.infer<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = faultsOf(schema, value)
  throw new ValidationError(`not ${what}: ${describeIssues(issues)}`, issues)
}

/** Everything that is wrong. Parses once more: faults hold what was given only when asked, and asking makes every parse slower. */
export function faultsOf(schema: z.ZodType, value: unknown): readonly Issue[] {
  const { error } = schema.safeParse(value, { reportInput: true })
  return (error?.issues ?? []).map((fault) => ({ path: showPath(fault.path), message: describeFault(fault) }))
}

/** `: did you mean "X"?` with the candidate that is nearest to what was given, or nothing if none is near. */
export function didYouMean(given: string, candidates: readonly string[]): string {
  const near = nearest(given, candidates)
  return near === undefined ? '' : `: did you mean ${JSON.stringify(near)}?`
}

/** The candidate that differs from the text by the fewest edits (case counts least), if by no more than a third of its letters. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const lower = text.slice(0, 100).toLowerCase()
  const ranked = candidates
    .map((name) => ({ name, distance: editDistance(lower, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  const longest = Math.max(best?.name.length ?? 0, lower.length)
  return best && best.distance < longest && best.distance <= Math.max(1, Math.floor(longest / 3)) ? best.name : undefined
}

/** One line for a list of issues: each with its path. */
export function describeIssues(issues: readonly Issue[]): string {
  return issues.map((issue) => (issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`)).join('; ')
}

const NAMES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object of strings',
}

function withArticle(type: string): string {
  return NAMES[type] ?? type
}

/** A value as a person may have given it, cut where it is long. JSON that this version reads may hold integers beyond a number's. */
export function showValue(value: unknown): string {
  const text = JSON.stringify(value, (_, member: unknown) => (typeof member === 'bigint' ? Number(member) : member)) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let [older, old]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1]
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (older?.[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min((old?.[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (old?.[j - 1] ?? 0) + (isSame ? 0 : 1), swapped))
    }
    ;[older, old] = [old ?? [], row]
  }
  return old?.[b.length] ?? 0
}
