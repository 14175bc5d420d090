import { ConflictError, describeError, MargayError, StoreError, ValidationError } from '../errors.ts'
import { type Context, type ExitCode, type Program, UnknownKindError } from './context.ts'

/** What became of one thing: what it gave, or why it failed. */
export type Settled<T, R> = { readonly item: T; readonly given: R } | { readonly item: T; readonly error: unknown }

/** Does something and gives what became of it; never fails. */
export async function settle<T, R>(item: T, act: () => Promise<R>): Promise<Settled<T, R>> {
  try {
    return { item, given: await act() }
  } catch (error) {
    return { item, error }
  }
}

/** Does one thing after the other, each when it is asked for. */
export async function* doEach<T, R>(items: readonly T[], act: (item: T) => Promise<R>): AsyncGenerator<readonly Settled<T, R>[]> {
  for (const item of items) yield [await settle(item, () => act(item))]
}

/**
 * Reports each of the things that are done (a failure with its place, where there is one), and goes on after a failure.
 * Gives the exit code: all, none or a part was done.
 */
export async function reportEach<T>(
  context: Context,
  { items, done }: { readonly items: readonly T[]; readonly done: AsyncIterable<readonly Settled<T, string>[]> },
  placeOf?: (item: T) => string | undefined,
): Promise<ExitCode> {
  const tell = {
    done: (text: string) => context.out(`${text}\n`),
    failed: (error: unknown, item: T) => context.err(renderError(context.program, error, placeOf?.(item))),
  }
  return exitCode(items, await tellEach(context, { items, done }, tell))
}

/**
 * Tells of each thing that is done, in order, and goes on after a failure unless that would befall every other as well: it is told once.
 * Gives how many were done.
 */
export async function tellEach<T>(
  context: Context,
  { items, done }: { readonly items: readonly T[]; readonly done: AsyncIterable<readonly Settled<T, string>[]> },
  tell: { done(text: string): void; failed(error: unknown, item: T): void },
): Promise<number> {
  let count = 0
  for await (const group of done) {
    count += group.filter((one) => 'given' in one).length
    const faults = group.filter((one) => 'error' in one)
    const hopeless = context.signal.aborted ? undefined : faults.find(({ error }) => isHopeless(error))
    if (count === 0 && hopeless !== undefined) throw hopeless.error
    for (const one of group) {
      if ('given' in one) tell.done(one.given)
      else if (one === hopeless || !(context.signal.aborted || isHopeless(one.error))) tell.failed(one.error, one.item)
    }
    if (context.signal.aborted || hopeless !== undefined) break
  }
  if (context.signal.aborted && count < items.length)
    context.err(`${context.program}: interrupted: ${count} of ${items.length} were done\n`)
  return count
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
