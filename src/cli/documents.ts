import { ValidationError } from '../errors.ts'
import { describeIssue, documentsError, type ParsedDocument, parseDocuments } from '../model/document.ts'
import type { AnyResource } from '../model/kinds.ts'
import { showPlace } from '../model/yaml-source.ts'
import { type Context, UsageError } from './context.ts'
import { readSources, type SourceText } from './files.ts'
import { renderError } from './report.ts'

/** A resource that a person gave, and where. */
export interface GivenResource {
  readonly resource: AnyResource
  /** `pools.yaml (line 7, column 1)`. */
  readonly place: string
  /** Whether it was a Namespace of Kubernetes. */
  readonly isNamespace: boolean
}

/** How files with documents are read. */
export interface DocumentOptions {
  /** Of namespaced resources that name none; of all of them, if it was given. */
  readonly namespace: string | undefined
  readonly isRecursive: boolean
  /** Whether files without resources are passed over. */
  readonly isEmptyFine: boolean
  /** The command, for what is said of it. */
  readonly verb: string
}

/**
 * Reads all documents that `-f` names. Nothing is written when one of them is wrong: a typing error in the last document must not
 * leave the others half applied.
 *
 * @throws {ValidationError} with every issue of every document
 */
export async function readDocuments(
  names: readonly string[],
  options: DocumentOptions,
  context: Context,
): Promise<readonly GivenResource[]> {
  if (names.length === 0) throw new UsageError('give -f FILE, -f FOLDER or -f -')
  const faults: string[] = []
  const given: GivenResource[] = []
  for (const source of await readSources(names, options, context)) {
    const file = source.file === '-' ? 'standard input' : source.file
    const documents = tryParse(source, file, options.namespace ?? 'default', faults)
    for (const document of documents) {
      const say = (what: string, text: string) => context.err(`${context.program}: ${what}: ${file}: ${document.title}: ${text}\n`)
      for (const warning of document.warnings) say('warning', describeIssue(warning))
      for (const field of WRITES.has(options.verb) ? document.unheeded : [])
        say(field.tag === 'stored' ? 'warning' : 'note', describeIssue(field))
      if (document.note !== undefined) say('note', document.note)
      const { resource, place, isNamespace = false } = document
      if (resource !== undefined) given.push({ resource, place: `${file} (${showPlace(place)})`, isNamespace })
    }
    faults.push(...documents.flatMap((document) => namespaceFault(document, file, options.namespace)))
    const wrong = documents.filter((document) => document.issues.length > 0)
    if (wrong.length > 0) faults.push(documentsError(file, wrong).message)
  }
  if (faults.length > 0)
    throw new ValidationError(`${SAID[options.verb] ?? 'nothing was written'}, because of errors in documents:\n${indent(faults)}`)
  if (given.length === 0 && !options.isEmptyFine)
    throw new ValidationError(`no resources in ${names.map((name) => (name === '-' ? 'standard input' : name)).join(', ')}`)
  return given
}

/** Commands whose user wants to know which fields nobody will act on. */
const WRITES: ReadonlySet<string> = new Set(['apply', 'create', 'replace', 'validate', 'plan'])

/** Two namespaces for one resource: one of them is a mistake. */
function namespaceFault({ resource, place, title }: ParsedDocument, file: string, asked: string | undefined): readonly string[] {
  const { namespace } = resource?.metadata ?? {}
  if (asked === undefined || namespace === undefined || namespace === asked) return []
  const said = `metadata.namespace is ${JSON.stringify(namespace)}, -n says ${JSON.stringify(asked)}: give one of them`
  return [`${file}: ${title}: ${said} (${showPlace(place)})`]
}

/** What did not happen, by the command; for the others nothing was written. */
const SAID: Readonly<Record<string, string>> = {
  validate: 'not valid',
  get: 'nothing was read',
  delete: 'nothing was deleted',
  plan: 'nothing was planned',
}

/** A text that is no YAML at all is a fault like others: the other files are still looked at. */
function tryParse(source: SourceText, file: string, namespace: string, faults: string[]): readonly ParsedDocument[] {
  try {
    return parseDocuments(source.text, namespace)
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error
    faults.push(
      `${file}: ${renderError('margay', error)
        .replace(/^margay: /, '')
        .trimEnd()}`,
    )
    return []
  }
}

function indent(faults: readonly string[]): string {
  return faults
    .flatMap((fault) => fault.split('\n'))
    .map((line) => `  ${line}`)
    .join('\n')
}
