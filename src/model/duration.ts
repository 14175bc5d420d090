import { ValidationError } from '../errors.ts'

const UNIT_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** The form of a duration, as a regular expression. */
export const DURATION_PATTERN = '^(0|[+-]?((\\d+(\\.\\d*)?|\\.\\d+)(ns|us|µs|μs|ms|s|m|h))+)$'

const FORM = new RegExp(DURATION_PATTERN)

/**
 * Parses a Go duration (`time.ParseDuration`) such as `90s`, `1m30s` or `0`, and gives milliseconds.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parseDuration(text: string): number {
  if (text === '0') return 0
  if (!FORM.test(text)) {
    throw new ValidationError(`not a duration such as 90s or 1m30s: ${JSON.stringify(text)}`)
  }
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    ms += Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
  }
  return text.startsWith('-') ? -ms : ms
}
