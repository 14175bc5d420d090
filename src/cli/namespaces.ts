import { ConflictError, ValidationError } from '../errors.ts'
import { describeIssues } from '../model/issues.ts'
import { checkNamespace, type Namespace, namespaceOf, namespaceProfile } from '../model/namespace.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import { parseSelector } from '../model/selector-parse.ts'
import { createResource, getResource, listResources } from '../store/resource-store.ts'
import { type Context, UsageError } from './context.ts'
import { renderJson, renderTable, renderYaml } from './format.ts'
import { namespaceRef } from './namespace-steps.ts'
import type { Output } from './output.ts'
import { renderError } from './report.ts'
import type { Session } from './session.ts'
import { renderTemplate } from './template.ts'
import { deleteResource } from './write.ts'

/** Namespaces are kept as profiles, but people call them by their name: `margay get namespaces`, `margay delete ns shop`. */
export function meansNamespaces(kind: string | undefined): boolean {
  return kind !== undefined && ['namespace', 'namespaces', 'ns'].includes(kind.toLowerCase())
}

/** Which namespaces a person wants to see, and how. */
export interface AskedNamespaces {
  /** All, if there are none. */
  readonly names: readonly string[]
  readonly selector: string | undefined
  readonly output: Output
  /** Without what belongs to this cluster. */
  readonly isExport: boolean
}

/** The namespaces as `-o` wants them; one that is not there is said, and makes the answer not whole. */
export async function showNamespaces(
  { store }: Session,
  context: Context,
  { names, selector, output, isExport }: AskedNamespaces,
): Promise<{ readonly text: string; readonly isWhole: boolean; readonly isNone: boolean }> {
  const { resources, revision } = await listResources(store, { kind: 'Profile' }, context.signal)
  const all = new Map(resources.flatMap((profile) => namespaceOf(profile) ?? []).map((namespace) => [namespace.name, namespace]))
  const missing = names.filter((name) => !all.has(name))
  for (const name of missing) context.err(renderError(context.program, new ConflictError('not-found', `there is no namespace ${name}`)))
  const found = (names.length === 0 ? [...all.values()] : names.flatMap((name) => all.get(name) ?? [])).filter(selectedBy(selector))
  const shown = isExport ? found.map(({ name, labels }) => ({ name, labels })) : found
  return {
    text: render(shown, output, names.length === 0 ? revision : undefined),
    isWhole: missing.length === 0,
    isNone: found.length === 0,
  }
}

/**
 * Makes a namespace; gives what was done, in words.
 *
 * @throws {ValidationError} with everything that is wrong with it
 * @throws {ConflictError} `exists`
 */
export async function createNamespace(
  { store }: Session,
  given: Pick<Namespace, 'name' | 'labels'>,
  { skipExists, signal }: { readonly skipExists: boolean; readonly signal: AbortSignal },
): Promise<string> {
  const issues = checkNamespace(given)
  if (issues.length > 0) throw new ValidationError(`namespace ${JSON.stringify(given.name)}: ${describeIssues(issues)}`, issues)
  if (skipExists && (await getResource(store, namespaceRef(given.name), signal)) !== undefined) return `namespace/${given.name} exists`
  try {
    await createResource(store, namespaceProfile(given.name, given.labels), signal)
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error
    throw new ConflictError('exists', `there is a namespace ${given.name} already`)
  }
  return `namespace/${given.name} created`
}

/**
 * Deletes a namespace that nothing is in; gives what was done, in words.
 *
 * @throws {ConflictError} `not-found`, or `conflict` naming what is in it
 */
export async function deleteNamespace(session: Session, context: Context, name: string, skipMissing: boolean): Promise<string> {
  const ref = namespaceRef(name)
  const isThere = (await getResource(session.store, ref, context.signal)) !== undefined
  if (!isThere && !skipMissing) throw new ConflictError('not-found', `there is no namespace ${name}`)
  await deleteResource(session, context, { ref, skipMissing })
  return isThere ? `namespace/${name} deleted` : `namespace/${name} does not exist`
}

function selectedBy(text: string | undefined): (namespace: Namespace) => boolean {
  if (text === undefined) return () => true
  try {
    const selector = parseSelector(text, 1024)
    return ({ name, labels }) => matchesSelector(selector, lookupIn({ name, ...labels }))
  } catch (cause) {
    throw new UsageError(`--selector ${JSON.stringify(text)} is not a selector: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

/** Each column of a table, by its title. */
const COLUMNS: Readonly<Record<string, (namespace: Namespace) => string>> = {
  NAME: ({ name }) => name,
  LABELS: ({ labels }) =>
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  CREATED: ({ creationTimestamp }) => creationTimestamp ?? '',
}

function render(found: readonly Namespace[], output: Output, revision: number | undefined): string {
  if (output.is === 'name') return found.map(({ name }) => `namespace/${name}\n`).join('')
  if (output.is === 'table') {
    const titles = output.columns === 'ps' ? ['NAME', 'LABELS'] : output.columns === 'wide' ? Object.keys(COLUMNS) : output.columns
    const cells = titles.map(columnFor)
    return renderTable(
      titles,
      found.map((namespace) => cells.map((cell) => cell(namespace))),
    )
  }
  const documents = found.map(documentOf)
  const shown =
    revision === undefined
      ? documents
      : [{ apiVersion: 'v1', kind: 'NamespaceList', metadata: { resourceVersion: String(revision) }, items: documents }]
  if (output.is === 'template') return renderTemplate(output.source, shown, {})
  const whole = shown.length === 1 ? shown[0] : shown
  return output.is === 'json' ? renderJson(whole) : renderYaml(whole)
}

function columnFor(title: string): (namespace: Namespace) => string {
  const column = COLUMNS[title.toUpperCase()]
  if (column === undefined)
    throw new UsageError(`${JSON.stringify(title)} is not a column, namespaces have ${Object.keys(COLUMNS).join(', ')}`)
  return column
}

/** As Kubernetes writes it, and as `margay apply` takes it. */
function documentOf({ name, labels, creationTimestamp, resourceVersion }: Namespace): unknown {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, creationTimestamp, resourceVersion, labels } }
}
