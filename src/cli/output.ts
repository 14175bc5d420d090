import { type AnyResource, kindInfo } from '../model/kinds.ts'
import { API_VERSION } from '../model/resource.ts'
import { getResource } from '../store/resource-store.ts'
import { type ColumnFacts, tableOf } from './columns.ts'
import { type Context, type Program, UsageError } from './context.ts'
import { readText } from './files.ts'
import type { Found } from './find.ts'
import { renderJson, renderTable, renderYaml } from './format.ts'
import { nameOf } from './kind.ts'
import type { Session } from './session.ts'
import { renderTemplate } from './template.ts'

/** How resources are written. */
export type Output =
  | { readonly is: 'table'; readonly columns: 'ps' | 'wide' | readonly string[] }
  | { readonly is: 'yaml' | 'json' | 'name' }
  | { readonly is: 'template'; readonly source: string }

/** What `-o` takes; what ends with `=` goes on with what is to be shown. */
export const FORMATS = ['ps', 'wide', 'yaml', 'json', 'name', 'custom-columns=', 'go-template=', 'go-template-file='] as const

/**
 * What `-o` means.
 *
 * @throws {UsageError} naming the formats
 */
export function parseOutput(text: string): Output {
  if (text === 'ps' || text === 'wide') return { is: 'table', columns: text }
  if (text === 'yaml' || text === 'yml') return { is: 'yaml' }
  if (text === 'json' || text === 'name') return { is: text }
  const [format = '', value = ''] = text.split(/=(.*)/s)
  if (value === '' && ['custom-columns', 'go-template', 'go-template-file'].includes(format)) {
    throw new UsageError(`-o ${format} needs what to show, as in -o ${format}=${EXAMPLES[format]}`)
  }
  if (format === 'custom-columns') return { is: 'table', columns: value.split(',').map((title) => title.trim()) }
  if (format === 'go-template') return { is: 'template', source: value }
  if (format === 'go-template-file') return { is: 'template', source: readText(value, 'the template ') }
  throw new UsageError(`-o ${JSON.stringify(text)} is not a format, give ${FORMATS.join(', ').replaceAll('=', '=…')}`)
}

const EXAMPLES: Readonly<Record<string, string>> = {
  'custom-columns': 'NAME,CIDR',
  'go-template': "'{{range .items}}{{.metadata.name}} {{end}}'",
  'go-template-file': 'names.tmpl',
}

/** How what was found is to be shown. */
export interface Rendering {
  readonly output: Output
  /** Whether a table of a namespaced kind has the column NAMESPACE. */
  readonly withNamespace: boolean
  readonly isExport: boolean
  readonly session: Session
  readonly context: Context
}

/** The AS number of a cluster that states none (RFC 6996). */
const DEFAULT_AS_NUMBER = 64512

/** What was found, as `-o` wants it. */
export async function renderFound(all: readonly Found[], rendering: Rendering): Promise<string> {
  const { output, withNamespace } = rendering
  const found = rendering.isExport ? all.map((each) => exported(each, rendering.context.program)) : all
  if (output.is === 'table')
    return renderTables(rendering.context.program === 'calicoctl' ? found.flatMap(apart) : mergeKinds(found), output.columns, rendering)
  if (output.is === 'name')
    return found.flatMap(({ resources }) => resources.map((resource) => renderName(resource, withNamespace))).join('')
  const documents = found.flatMap(documentsOf)
  if (output.is === 'template') {
    const { asNumber } = await readFacts(rendering)
    return renderTemplate(output.source, documents, { asnumber: String(asNumber) })
  }
  // Members in the order of their names, as calicoctl writes YAML. One stands by itself, several are a list of them, as calicoctl writes them and as both read them.
  const shown = documents.length === 1 ? documents[0] : documents
  return output.is === 'json' ? renderJson(shown) : renderYaml(shown, true)
}

function documentsOf({ kind, resources, revision }: Found): readonly unknown[] {
  if (revision === undefined) return resources
  return [{ apiVersion: API_VERSION, items: resources, kind: `${kind}List`, metadata: { resourceVersion: String(revision) } }]
}

/** calicoctl shows each that was named in a table of its own. */
function apart(found: Found): readonly Found[] {
  return found.revision === undefined ? found.resources.map((resource) => ({ ...found, resources: [resource] })) : [found]
}

/** Names of one kind that were found one by one are one table. */
function mergeKinds(found: readonly Found[]): readonly Found[] {
  const merged = new Map<string, Found>()
  for (const each of found) {
    const resources = [...(merged.get(each.kind)?.resources ?? []), ...each.resources]
    merged.set(each.kind, { ...each, resources })
  }
  return [...merged.values()]
}

async function renderTables(found: readonly Found[], columns: 'ps' | 'wide' | readonly string[], rendering: Rendering): Promise<string> {
  const facts = await readFacts(rendering)
  const tables = found.map(({ kind, resources }) => {
    const { header, rows } = tableOf({ kind, resources, columns, facts, withNamespace: rendering.withNamespace })
    return renderTable(header, rows, facts.isCalicoctl)
  })
  // calicoctl ends each table with an empty line.
  return facts.isCalicoctl ? tables.map((table) => `${table}\n`).join('') : tables.join('\n')
}

/** Only tables of nodes, and templates, show the cluster's AS number. */
async function readFacts({ output, session, context }: Rendering): Promise<ColumnFacts> {
  const isCalicoctl = context.program === 'calicoctl'
  if (output.is === 'table' && output.columns === 'ps') return { asNumber: DEFAULT_AS_NUMBER, isCalicoctl }
  const stored = await getResource(session.store, { kind: 'BGPConfiguration', name: 'default' }, context.signal).catch(() => undefined)
  return { asNumber: Number(stored?.spec.asNumber ?? DEFAULT_AS_NUMBER), isCalicoctl }
}

function renderName({ kind, metadata }: AnyResource, withNamespace: boolean): string {
  const namespace = withNamespace && kindInfo(kind).isNamespaced ? metadata.namespace : undefined
  return `${nameOf(kind, metadata.name, namespace)}\n`
}

/** calicoctl leaves lists as they are, and a member of what is named that says that there is no time. */
function exported(found: Found, program: Program): Found {
  const isNamed = found.revision === undefined
  if (program === 'calicoctl' && !isNamed) return found
  const bare = found.resources.map((resource) => withoutCluster(resource, isNamed))
  const timeless = (resource: AnyResource) =>
    ({ ...resource, metadata: { ...resource.metadata, creationTimestamp: null } }) as unknown as AnyResource
  return { ...found, resources: program === 'calicoctl' ? bare.map(timeless) : bare }
}

/** Named ones lose their namespace too, as with calicoctl: they are to be applied elsewhere. */
function withoutCluster(resource: AnyResource, isNamed: boolean): AnyResource {
  const { uid: _, resourceVersion: __, creationTimestamp: ___, namespace, ...rest } = resource.metadata
  const metadata = isNamed || namespace === undefined ? rest : { ...rest, namespace }
  return { ...resource, metadata } as AnyResource
}
