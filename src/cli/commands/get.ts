import type { Command } from 'commander'
import { ConflictError } from '../../errors.ts'
import { type AnyResource, kindInfo, type ResourceKind } from '../../model/kinds.ts'
import { API_VERSION } from '../../model/resource.ts'
import { getResource, listResources } from '../../store/resource-store.ts'
import { type ColumnFacts, tableOf } from '../columns.ts'
import { type AddCommand, type Context, type Outcome, UsageError } from '../context.ts'
import { renderJson, renderTable, renderYaml } from '../format.ts'
import { kindFor, nameOf } from '../kind.ts'
import { addOutputOption, addStoreOptions, checkNames, parseName } from '../options.ts'
import { renderError } from '../report.ts'
import { type Session, withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay get nodes
  margay get pools -o wide
  margay get pool default-ipv4-ippool -o yaml
  margay get wep -A
  margay get nodes -o name`

/** The AS number of a cluster that states none (RFC 6996). */
const DEFAULT_AS_NUMBER = 64512

interface GetOptions {
  readonly namespace?: string
  readonly allNamespaces?: true
  readonly output: string
}

/** `margay get KIND [NAME…]`. */
export const addGetCommand: AddCommand = (parent, context, outcome) => {
  const get = parent.command('get').description('show resources')
  get.argument('<kind>', 'kind, its plural or its short name: nodes, pools, wep, …').argument('[name...]', 'only these')
  addStoreOptions(addOutputOption(get, ['ps', 'wide', 'yaml', 'json', 'name']))
    .option('-n, --namespace <namespace>', 'namespace of namespaced kinds ("default" unless given)', parseName)
    .option('-A, --all-namespaces', 'resources of all namespaces')
    .addHelpText('after', EXAMPLES)
    .action((text: string, names: readonly string[]) => getResources(get, context, outcome, { kind: kindFor(text), names }))
}

async function getResources(
  command: Command,
  context: Context,
  outcome: Outcome,
  { kind, names }: { readonly kind: ResourceKind; readonly names: readonly string[] },
): Promise<void> {
  const options = command.opts<GetOptions>()
  checkNames(names)
  checkScope(kind, names, options)
  const namespace = kindInfo(kind).isNamespaced && !options.allNamespaces ? (options.namespace ?? 'default') : undefined
  await withSession(command, context, async (session) => {
    const found =
      names.length === 0 ? await listAll(session, kind, namespace, context) : await findEach(session, kind, { names, namespace }, context)
    const facts =
      options.output === 'wide' && kind === 'Node' ? await readFacts(session, context) : { asNumber: DEFAULT_AS_NUMBER, isCalicoctl: false }
    const shown = render(kind, found, { options, isOne: names.length === 1, facts })
    if (found.length > 0 || names.length === 0) context.out(shown)
    if (names.length > found.length) outcome.code = found.length > 0 ? 3 : 1
  })
}

function checkScope(kind: ResourceKind, names: readonly string[], { namespace, allNamespaces }: GetOptions): void {
  if (allNamespaces && namespace !== undefined) throw new UsageError('give one of -n and -A')
  if (!kindInfo(kind).isNamespaced && (allNamespaces || namespace !== undefined))
    throw new UsageError(`${kind} is not namespaced, leave -n and -A away`)
  if (allNamespaces && names.length > 0) throw new UsageError('a name is searched in one namespace, give -n instead of -A')
}

/** What does not parse is named and left out: the others are still worth seeing. */
async function listAll(
  { store }: Session,
  kind: ResourceKind,
  namespace: string | undefined,
  context: Context,
): Promise<readonly AnyResource[]> {
  const { resources, broken } = await listResources(store, { kind, namespace }, context.signal)
  for (const { id, reason } of broken) context.err(`margay: ${kind.toLowerCase()}/${id} cannot be read: ${reason}\n`)
  return resources
}

async function findEach(
  { store }: Session,
  kind: ResourceKind,
  { names, namespace }: { readonly names: readonly string[]; readonly namespace: string | undefined },
  context: Context,
): Promise<readonly AnyResource[]> {
  const found: AnyResource[] = []
  for (const name of names) {
    const resource = await getResource(store, { kind, name, namespace }, context.signal)
    if (resource !== undefined) found.push(resource)
    else context.err(renderError(context.program, new ConflictError('not-found', `there is no ${nameOf(kind, name, namespace)}`)))
  }
  return found
}

async function readFacts({ store }: Session, context: Context): Promise<ColumnFacts> {
  const found = await getResource(store, { kind: 'BGPConfiguration', name: 'default' }, context.signal)
  return { asNumber: Number(found?.spec.asNumber ?? DEFAULT_AS_NUMBER), isCalicoctl: false }
}

interface Rendering {
  readonly options: GetOptions
  /** One was asked for by name: shown by itself, not in a list. */
  readonly isOne: boolean
  readonly facts: ColumnFacts
}

function render(kind: ResourceKind, resources: readonly AnyResource[], { options, isOne, facts }: Rendering): string {
  const { output, allNamespaces } = options
  if (output === 'name')
    return resources.map(({ metadata }) => `${nameOf(kind, metadata.name, allNamespaces ? metadata.namespace : undefined)}\n`).join('')
  if (output === 'json' || output === 'yaml') {
    const [first] = resources
    const shown = isOne && first !== undefined ? first : { apiVersion: API_VERSION, items: resources, kind: `${kind}List`, metadata: {} }
    return output === 'json' ? renderJson(shown) : renderYaml(shown)
  }
  const withNamespace = allNamespaces === true && kindInfo(kind).isNamespaced
  const { header, rows } = tableOf({ kind, resources, columns: output === 'wide' ? 'wide' : 'ps', withNamespace, facts })
  return renderTable(header, rows)
}
