import { ConflictError, describeError, MargayError, StoreError, ValidationError } from '../errors.ts'
import { type Context, type ExitCode, type Program, UnknownKindError } from './context.ts'

/**
 * Does one thing after the other, reports each (a failure with its place, where there is one), and goes on after a failure.
 * Gives the exit code: all, none or a part was done.
 */
export async function reportEach<T>(
  context: Context,
  items: readonly T[],
  act: (item: T) => Promise<string>,
  placeOf?: (item: T) => string | undefined,
): Promise<ExitCode> {
  const tell = {
    done: (text: string) => context.out(`${text}\n`),
    failed: (error: unknown, item: T) => context.err(renderError(context.program, error, placeOf?.(item))),
  }
  return exitCode(items, await doEach(context, items, act, tell))
}

/** Does one thing after the other, and goes on after a failure unless that would befall every other as well; gives how many were done. */
export async function doEach<T>(
  context: Context,
  items: readonly T[],
  act: (item: T) => Promise<string>,
  tell: { done(text: string): void; failed(error: unknown, item: T): void },
): Promise<number> {
  let done = 0
  for (const item of items) {
    try {
      tell.done(await act(item))
      done++
    } catch (error) {
      if (done === 0 && isHopeless(error)) throw error
      tell.failed(error, item)
      if (context.signal.aborted || isHopeless(error)) break
    }
  }
  return done
}

/** Of so many items so many were done. */
export function exitCode(items: readonly unknown[], done: number): ExitCode {
  return done === items.length ? 0 : done === 0 ? 1 : 3
}

/** What would befall every other thing as well: nobody answers. */
function isHopeless(error: unknown): boolean {
  return error instanceof StoreError || (error instanceof MargayError && ['daemon-away', 'permission', 'timeout'].includes(error.code))
}

/** What calicoctl begins such an error with, and scripts look for. */
const CALICO_WORDS: Readonly<Record<string, string>> = {
  exists: 'resource already exists: ',
  'not-found': 'resource does not exist: ',
  conflict: 'update conflict: ',
}

/** The message of an error, with its causes, under either name of ours. */
export function messageOf(program: Program, error: unknown): string {
  const said = describeError(error)
  if (program === 'margay') return said
  if (error instanceof UnknownKindError) return `resource type '${error.word}' is not supported: ${said}`
  return error instanceof ConflictError ? `${CALICO_WORDS[error.code] ?? ''}${said}` : said
}

/** An error for a person: one line, then one a line for each issue that the message does not hold already. */
export function renderError(program: Program, error: unknown, place?: string): string {
  const message = messageOf(program, error)
  const issues = error instanceof ValidationError ? error.issues : []
  const details = issues
    .map(({ path, message: text }) => (path === '' ? text : `${path}: ${text}`))
    .filter((text) => !message.includes(text))
    .map((text) => `  ${text}\n`)
  const stack = error instanceof Error && !(error instanceof MargayError) ? `${error.stack?.replace(/^.*\n/, '') ?? ''}\n` : ''
  // calicoctl says what is wrong without its name, and scripts compare that.
  return `${program === 'margay' ? 'margay: ' : ''}${place === undefined ? '' : `${place}: `}${message}\n${details.join('')}${stack}`
}
