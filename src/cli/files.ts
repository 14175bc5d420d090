import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describeError, MargayError } from '../errors.ts'
import { type Context, UsageError } from './context.ts'
import { MOST_INPUT_BYTES, readFileText, readPipe } from './input.ts'

/** A file with documents, or standard input. */
export interface SourceText {
  /** As the person named it; `-` for standard input. */
  readonly file: string
  readonly text: string
}

/** How folders are read, and for which command. */
export interface FileOptions {
  readonly isRecursive: boolean
  /** Whether a folder without documents is passed over. */
  readonly isEmptyFine: boolean
  readonly verb: string
}

/**
 * Reads what `-f` names, in order: files, folders (their `.yaml .yml .json` files by name, recursively also those below), `-`.
 *
 * @throws {MargayError} naming what cannot be read, or a folder without documents
 */
export async function readSources(names: readonly string[], options: FileOptions, context: Context): Promise<readonly SourceText[]> {
  if (names.filter((name) => name === '-').length > 1) throw new UsageError('-f - is given twice, standard input can be read once')
  const sources: SourceText[] = []
  for (const name of names) {
    if (name === '-') sources.push({ file: '-', text: await context.stdin() })
    else for (const file of filesOf(name, options, context)) sources.push({ file, text: await readAny(file, context.signal) })
  }
  return sources
}

/** Also what a shell makes of `<(…)`, which may take its time. */
async function readAny(file: string, signal: AbortSignal): Promise<string> {
  const stat = statOf(file)
  if (stat.isFile() || stat.isDirectory()) return readText(file)
  try {
    return await readPipe(file, JSON.stringify(file), signal)
  } catch (error) {
    throw signal.aborted || error instanceof MargayError ? error : unreadable(file, '', error)
  }
}

function filesOf(name: string, { isRecursive, isEmptyFine, verb }: FileOptions, { program }: Context): readonly string[] {
  if (/^(https?|ftp):\/\//i.test(name)) {
    throw new MargayError(
      'file',
      `${JSON.stringify(name)} is a URL, which is not fetched: look at it, then curl -fsSL ${quoteWord(name)} | ${program} ${verb} -f -`,
    )
  }
  if (!statOf(name).isDirectory()) return [name]
  const found = walk(name, isRecursive)
  if (found.length > 0 || isEmptyFine) return found
  const hint = isRecursive ? '' : '; -R also looks into the folders below'
  throw new MargayError('file', `the folder ${JSON.stringify(name)} has no .yaml, .yml or .json file${hint}`)
}

function walk(folder: string, isRecursive: boolean): readonly string[] {
  return readable(folder, '', () => readdirSync(folder, { withFileTypes: true }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return isRecursive ? walk(path, isRecursive) : []
      return /\.(ya?ml|json)$/i.test(entry.name) ? [path] : []
    })
}

/**
 * The text of a file that a person named; `what` says in errors what it is, as `the patch `.
 *
 * @throws {MargayError} `file`, naming it and why it cannot be read
 */
export function readText(file: string, what = ''): string {
  const { size } = statOf(file, what)
  if (size > MOST_INPUT_BYTES)
    throw new MargayError('file', `${what}${JSON.stringify(file)} has ${size} bytes, at most ${MOST_INPUT_BYTES} are read`)
  return readable(file, what, () => readFileText(file, `${what}${JSON.stringify(file)}`))
}

function statOf(file: string, what = '') {
  return readable(file, what, () => statSync(file))
}

/** What reading gives, or why it cannot be done in words that a person expects. */
function readable<T>(file: string, what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw cause instanceof MargayError ? cause : unreadable(file, what, cause)
  }
}

function unreadable(file: string, what: string, cause: unknown): MargayError {
  const code = (cause as NodeJS.ErrnoException).code
  const why =
    code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'cannot be read by this user' : `cannot be read: ${describeError(cause)}`
  return new MargayError('file', `${what}${JSON.stringify(file)} ${why}`)
}

/** As one word of a shell. */
function quoteWord(text: string): string {
  return /^[\w:/.,@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
