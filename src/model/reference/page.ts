import { type FieldRow, fieldRows } from '../field-rows.ts'
import { kindInfo, RESOURCE_KINDS, type ResourceKind } from '../kinds.ts'
import type { FieldTag } from '../tags.ts'
import { ABOUT } from './about.ts'
import { schemaFile } from './json-schema.ts'

/** Where the package puts the schemas. */
const SCHEMAS = '/usr/share/margay/schemas'

/** What the tags of fields mean. */
const LEGEND = `- **enforced**: margay acts on it.
- **stored**: Calico acts on it and margay does not; it is kept, and whoever sets it is warned.
- **later**: this version keeps it, and whoever sets it is told; a later one will act on it.
`

/** The page of a kind, below docs/resources/. */
export function pageFile(kind: ResourceKind): string {
  return `${kind.toLowerCase()}.md`
}

/** What is made of the definitions on a kind's page: its names, its schema and the table of its fields. */
export function renderPage(kind: ResourceKind): string {
  const { plural, aliases, isNamespaced, apiVersion } = kindInfo(kind)
  const names = [plural, ...aliases].map((name) => `\`${name}\``).join(', ')
  const specs = fieldRows(kindInfo(kind).specSchema, 'spec')
  const status = fieldRows(kindInfo(kind).statusSchema, 'status')
  const parts = [
    `| | |\n|---|---|\n| API version | \`${apiVersion}\` |\n| other names | ${names} |\n| in a namespace | ${isNamespaced ? 'yes' : 'no'} |\n`,
    `For editors that read YAML with schemas, as the first line of a file:\n\n\`\`\`yaml\n# yaml-language-server: $schema=${SCHEMAS}/${schemaFile(kind)}\n\`\`\`\n`,
    `## Fields\n\n${table(specs)}`,
    ...(status.length === 0 ? [] : [`## Status\n\nHosts and controllers write it.\n\n${table(status)}`]),
    LEGEND,
  ]
  return parts.join('\n')
}

/** The table of all kinds, with what margay does with their fields. test/kinds.test.ts proves each row. */
export function renderKinds(): string {
  const rows = RESOURCE_KINDS.map((kind) => {
    const { specSchema, statusSchema, aliases } = kindInfo(kind)
    const fields = [...fieldRows(specSchema, 'spec'), ...fieldRows(statusSchema, 'status')]
    const count = (tag: FieldTag) => String(fields.filter((field) => field.tag === tag).length)
    const names = aliases.map((name) => `\`${name}\``).join(', ')
    const tagged = (['enforced', 'stored', 'later'] as const).map((tag) => `${count(tag)} ${tag}`).join(', ')
    // The first host of a cluster makes it, and it stays.
    const verbs = kind === 'ClusterInformation' ? 'get, replace, patch' : 'get, apply, patch, delete'
    const schema = `[schema](../schemas/${schemaFile(kind)})`
    return [`[${kind}](resources/${pageFile(kind)})`, names, ABOUT[kind] ?? '', schema, tagged, 'yes', verbs]
  })
  const head =
    '| kind, with its page | other names | what it is | schema | tagged fields | validated | round trip |\n|---|---|---|---|---|---|---|\n'
  return `${head}${rows.map(rowOf).join('')}\n${LEGEND}`
}

function table(rows: readonly FieldRow[]): string {
  return `| field | value | default | margay | meaning |\n|---|---|---|---|---|\n${rows.map(fieldRow).join('')}`
}

function fieldRow({ path, type, isRequired, default: absent, tag, description }: FieldRow): string {
  const value =
    absent === undefined ? (isRequired ? 'required' : '') : `\`${typeof absent === 'string' ? absent : JSON.stringify(absent)}\``
  return rowOf([`\`${path}\``, type, value, tag ?? '', description ?? ''])
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
}
