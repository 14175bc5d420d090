import { describeError, MargayError, StoreError, ValidationError } from '../errors.ts'
import type { Context, ExitCode } from './context.ts'

/**
 * Does one thing after the other, reports each (a failure with its place, where there is one), and goes on after a failure.
 * Gives the exit code: all, none or a part was done.
 */
export async function reportEach<T>(
  context: Context,
  items: readonly T[],
  act: (item: T) => Promise<string>,
  placeOf?: (item: T) => string,
): Promise<ExitCode> {
  let done = 0
  for (const item of items) {
    try {
      context.out(`${await act(item)}\n`)
      done++
    } catch (error) {
      if (done === 0 && isHopeless(error)) throw error
      context.err(renderError(error, placeOf?.(item)))
      if (context.signal.aborted || isHopeless(error)) break
    }
  }
  return done === items.length ? 0 : done === 0 ? 1 : 3
}

/** What would befall every other thing as well: nobody answers. */
function isHopeless(error: unknown): boolean {
  return error instanceof StoreError || (error instanceof MargayError && ['daemon-away', 'permission', 'timeout'].includes(error.code))
}

/** An error for a person: one line, then one a line for each issue that the message does not hold already. */
export function renderError(error: unknown, place?: string): string {
  const message = describeError(error)
  const issues = error instanceof ValidationError ? error.issues : []
  const details = issues
    .map(({ path, message: text }) => (path === '' ? text : `${path}: ${text}`))
    .filter((text) => !message.includes(text))
    .map((text) => `  ${text}\n`)
  const stack = error instanceof Error && !(error instanceof MargayError) ? `${error.stack?.replace(/^.*\n/, '') ?? ''}\n` : ''
  return `margay: ${place === undefined ? '' : `${place}: `}${message}\n${details.join('')}${stack}`
}
