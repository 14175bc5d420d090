import { type Command, Option } from 'commander'
import { kindInfo, type ResourceKind } from '../../model/kinds.ts'
import { type AddCommand, type Context, type Outcome, type Program, UsageError } from '../context.ts'
import { readDocuments } from '../documents.ts'
import { type Asked, findAll } from '../find.ts'
import { kindFor } from '../kind.ts'
import { meansNamespaces, showNamespaces } from '../namespaces.ts'
import { addKindNamespaceOption, addStoreOptions, checkNames, collect } from '../options.ts'
import { FORMATS, parseOutput, renderFound } from '../output.ts'
import { withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay get nodes
  margay get pools -o wide
  margay get pool default-ipv4-ippool -o yaml
  margay get nodes,pools
  margay get wep -A --selector "app == 'web'"
  margay get namespaces
  margay get pools -o custom-columns=NAME,CIDR,SIZE:.spec.blockSize
  margay get nodes -o go-template='{{range .items}}{{.metadata.name}}{{"\\n"}}{{end}}'`

interface GetOptions {
  readonly namespace?: string
  readonly allNamespaces?: true
  readonly output: string
  readonly selector?: string
  readonly export?: true
  readonly filename?: readonly string[]
  readonly recursive?: true
  readonly skipEmpty?: true
}

type ScopeOptions = GetOptions & { readonly program: Program }

/** `margay get KIND[,KIND…] [NAME…]` and `margay get -f …`. */
export const addGetCommand: AddCommand = (parent, context, outcome) => {
  const get = parent.command('get').description('show resources')
  get
    .argument('[kind]', 'kind, its plural or its short name (nodes, pools, wep, …), or several between commas')
    .argument('[name...]', 'only these')
    .addOption(outputOption())
    .option('-A, --all-namespaces', 'resources of all namespaces')
    .option(selectorFlag(context), 'only resources whose labels this selector takes')
    .option('--export', 'without what belongs to this cluster: uid, resourceVersion, creationTimestamp, and of named ones the namespace')
    .option('-f, --filename <path>', 'those that a file, folder, or - for standard input names; may be repeated', collect)
    .option('-R, --recursive', 'also the folders below')
    .option('--skip-empty', 'pass over files and folders without resources')
  addKindNamespaceOption(get)
  addStoreOptions(get)
    .addHelpText('after', EXAMPLES)
    .action((kinds: string | undefined, names: readonly string[]) => show(get, context, outcome, { kinds, names }))
}

/** Its choices are what help and completion show; some of them are only the beginning of a value. */
function outputOption(): Option {
  const option = new Option('-o, --output <format>', 'output format').default('ps')
  option.argChoices = [...FORMATS]
  return option
}

/** To calicoctl `-l` is the log level. */
function selectorFlag({ program }: Context): string {
  return program === 'calicoctl' ? '--selector <selector>' : '-l, --selector <selector>'
}

async function show(
  command: Command,
  context: Context,
  outcome: Outcome,
  words: { readonly kinds: string | undefined; readonly names: readonly string[] },
): Promise<void> {
  const options = command.opts<GetOptions>()
  const output = parseOutput(options.output)
  if (meansNamespaces(words.kinds)) return showAsNamespaces(command, context, outcome, words.names)
  const { program } = context
  const asked =
    words.kinds === undefined ? await askedInFiles(options, context) : askedInWords(words.kinds, words.names, { ...options, program })
  if (asked.length === 0) return context.out('No resources specified\n')
  await withSession(command, context, async (session) => {
    const { found, missing } = await findAll(session, context, asked, options.selector)
    if (missing.length > 0) outcome.code = found.some(({ resources }) => resources.length > 0) ? 3 : 1
    const withNamespace = options.allNamespaces === true || options.namespace !== undefined
    if (outcome.code !== 1)
      context.out(await renderFound(found, { output, withNamespace, isExport: options.export === true, session, context }))
    for (const text of missing) context.err(text)
  })
}

async function showAsNamespaces(command: Command, context: Context, outcome: Outcome, names: readonly string[]): Promise<void> {
  const options = command.opts<GetOptions>()
  if (options.filename !== undefined) throw new UsageError('give either a kind, or -f')
  if (options.namespace !== undefined || options.allNamespaces) throw new UsageError('a namespace is in no namespace, leave -n and -A away')
  checkNames(names)
  await withSession(command, context, async (session) => {
    const asked = { names, selector: options.selector, output: parseOutput(options.output), isExport: options.export === true }
    const { text, isWhole, isNone } = await showNamespaces(session, context, asked)
    if (!isWhole) outcome.code = isNone ? 1 : 3
    if (isWhole || !isNone) context.out(text)
  })
}

function askedInWords(kinds: string, names: readonly string[], options: ScopeOptions): readonly Asked[] {
  if (options.filename !== undefined) throw new UsageError('give either a kind, or -f')
  const wanted = kinds.split(',').filter((text) => text !== '')
  if (kinds.includes('/')) return [kinds, ...names].map((word) => askedAsOne(word, options))
  if (wanted.length > 1 && names.length > 0) throw new UsageError('give names of one kind only')
  checkNames(names)
  return wanted.map((text) => {
    const kind = kindFor(text)
    checkScope(kind, names, options, wanted.length > 1)
    return { kind, names: names.length === 0 ? undefined : names, namespace: namespaceFor(kind, options) }
  })
}

/** `node/h1`. */
function askedAsOne(word: string, options: ScopeOptions): Asked {
  const [text = '', name = '', ...more] = word.split('/')
  if (name === '' || more.length > 0) throw new UsageError(`${JSON.stringify(word)} is not KIND/NAME, as the words beside it are`)
  const kind = kindFor(text)
  checkNames([name])
  checkScope(kind, [name], options, false)
  return { kind, names: [name], namespace: namespaceFor(kind, options) }
}

function namespaceFor(kind: ResourceKind, { namespace, allNamespaces }: GetOptions): string | undefined {
  return kindInfo(kind).isNamespaced && !allNamespaces ? (namespace ?? 'default') : undefined
}

/** Of several kinds some may have namespaces and others not; of one alone a namespace that means nothing is a mistake. */
function checkScope(kind: ResourceKind, names: readonly string[], options: ScopeOptions, isOneOfMany: boolean): void {
  const { namespace, allNamespaces, program } = options
  if (allNamespaces && namespace !== undefined) throw new UsageError('give one of -n and -A')
  if (!kindInfo(kind).isNamespaced && (allNamespaces || namespace !== undefined) && !isOneOfMany)
    throw new UsageError(`${kind} is not namespaced${program === 'margay' ? ', leave -n and -A away' : ''}`)
  if (allNamespaces && names.length > 0) throw new UsageError('a name is searched in one namespace, give -n instead of -A')
}

async function askedInFiles({ filename, recursive, skipEmpty, namespace }: GetOptions, context: Context): Promise<readonly Asked[]> {
  if (filename === undefined) throw new UsageError('missing required argument \'kind\': say what to show, as in "margay get nodes"')
  const options = { namespace, isRecursive: recursive === true, isEmptyFine: skipEmpty === true, verb: 'get' }
  const given = await readDocuments(filename, options, context)
  return given.map(({ resource: { kind, metadata } }) => ({ kind, names: [metadata.name], namespace: metadata.namespace }))
}
