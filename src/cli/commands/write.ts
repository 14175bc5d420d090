import type { Command } from 'commander'
import { kindInfo } from '../../model/kinds.ts'
import type { ResourceRef } from '../../store/resource-store.ts'
import { type AddCommand, type Context, type Outcome, UsageError } from '../context.ts'
import type { GivenResource } from '../documents.ts'
import { addFileOptions, type FileOptions, readGiven } from '../file-options.ts'
import { ensureInitialized } from '../initialize.ts'
import { kindFor, nameOf } from '../kind.ts'
import { namespaceRef, withStoredRules } from '../namespace-steps.ts'
import { createNamespace, deleteNamespace, meansNamespaces } from '../namespaces.ts'
import { addDryRunOption, addStoreOptions, checkNames, collect, parseLabels } from '../options.ts'
import { addForceOption, preflight } from '../preflight.ts'
import { doEach } from '../report.ts'
import { reportWrites } from '../report-writes.ts'
import { type Session, withSession } from '../session.ts'
import { doTogether } from '../together.ts'
import { addConfirmOption, tryOut } from '../trial.ts'
import { checkGiven } from '../validate.ts'
import { addWaitOption, checkWait, waitAfter } from '../wait.ts'
import { deleteResource, type Verb, writeResource } from '../write.ts'

const VERBS: Readonly<Record<Verb, { readonly about: string; readonly examples: readonly string[] }>> = {
  apply: {
    about: 'create resources, or update those that exist',
    examples: ['-f pools.yaml', '-f ./resources -R', '-f - < pools.yaml', '-f policies.yaml --confirm 60s'],
  },
  create: {
    about: 'create resources that do not exist',
    examples: ['-f pools.yaml', '-f pools.yaml --skip-exists', 'namespace shop --label stage=test'],
  },
  replace: { about: 'update resources that exist', examples: ['-f pools.yaml'] },
}

/** `margay apply|create|replace -f …`. */
export const addWriteCommands: AddCommand = (parent, context, outcome) => {
  for (const verb of ['apply', 'create', 'replace'] as const) {
    const command = addFileOptions(parent.command(verb).description(VERBS[verb].about))
    if (verb === 'create') addCreateOptions(command)
    addConfirmOption(addForceOption(addWaitOption(addDryRunOption(command)), context), context)
    addStoreOptions(command)
      .addHelpText('after', `\nExamples:\n${VERBS[verb].examples.map((example) => `  margay ${verb} ${example}`).join('\n')}`)
      .action(async (...words: readonly unknown[]) => {
        const [kind, name] = words
        if (verb !== 'create' || typeof kind !== 'string') return await writeGiven(command, context, outcome, verb)
        await createNamed(command, context, kind, typeof name === 'string' ? name : undefined)
      })
  }
}

function addCreateOptions(command: Command): void {
  command
    .argument('[kind]', 'namespace; everything else is created from files')
    .argument('[name]', 'name of the namespace')
    .option('--label <key=value>', 'label of the namespace; may be repeated', collect)
    .option('--skip-exists', 'pass over what exists already, and count it as done')
}

/** `margay create namespace NAME`: the only thing that has nothing but a name. */
async function createNamed(command: Command, context: Context, kind: string, name: string | undefined): Promise<void> {
  const options = command.opts<FileOptions>()
  if (!meansNamespaces(kind)) throw new UsageError(`only a namespace is created by name, give -f with the ${kindFor(kind)}`)
  if (options.filename !== undefined) throw new UsageError('give either a namespace and its name, or -f')
  if (options.confirm !== undefined) throw new UsageError('a namespace is created at once: --confirm is for -f')
  if (name === undefined) throw new UsageError('give the name of the namespace, as in "margay create namespace NAME"')
  checkNames([name])
  const labels = parseLabels(options.label ?? [])
  const how = { skipExists: options.skipExists === true, signal: context.signal }
  await withSession(command, context, async (session) => {
    context.out(`${said(options, await createNamespace(session, { name, labels }, how))}\n`)
  })
}

async function writeGiven(command: Command, context: Context, outcome: Outcome, verb: Verb): Promise<void> {
  const items = await readGiven(command, context)
  if (items.length === 0) return context.out('No resources specified\n')
  const options = command.opts<FileOptions>()
  const writing = { verb, skipExists: options.skipExists === true }
  checkWait(command)
  outcome.code = await withSession(command, context, async (session) => {
    const isOfCluster = items.every(({ resource }) => resource.kind === 'ClusterInformation')
    if (context.program === 'calicoctl' && !isOfCluster) await ensureInitialized(session.store, context.signal)
    const write = async (to: Session, { resource, isNamespace }: GivenResource) => {
      const isKept = isNamespace && resource.kind === 'Profile' && verb !== 'create'
      const whole = isKept ? await withStoredRules(to.store, resource, context.signal) : resource
      return said(options, await writeResource(to, context, writing, whole))
    }
    const doing = { items, refOf, act: write }
    await preflight(command, context, session, doing)
    const trying = tryOut(
      command,
      context,
      session,
      items.map(({ resource: { kind, metadata } }) => ({ kind, name: metadata.name })),
    )
    const done = doTogether(trying?.session ?? session, doing)
    const code = await reportWrites(context, { verb, items, refOf, placeOf, done })
    const written = { code, resources: items.map(({ resource }) => resource) }
    return trying ? trying.start(written) : waitAfter(command, context, session, written)
  })
}

const DELETE_EXAMPLES = `
Examples:
  margay delete pool old-pool
  margay delete node h7
  margay delete -f pools.yaml

Deleting a pool disables it first, and gives its blocks back. Deleting a node removes its endpoints, addresses and blocks too;
stop margayd there first.`

/** `margay delete KIND NAME…` and `margay delete -f …`. */
export const addDeleteCommand: AddCommand = (parent, context, outcome) => {
  const command = addFileOptions(parent.command('delete').description('delete resources'))
  command.option('-s, --skip-not-exists', 'pass over what does not exist, and count it as done')
  addConfirmOption(addForceOption(addWaitOption(addDryRunOption(command)), context), context)
  addStoreOptions(command)
    .argument('[kind]', 'kind, its plural or its short name')
    .argument('[name...]', 'names of resources')
    .addHelpText('after', DELETE_EXAMPLES)
    .action(async (kind: string | undefined, names: readonly string[]) => {
      const refs = kind === undefined ? await refsGiven(command, context) : refsNamed(command, kind, names)
      if (refs.length === 0) return context.out('No resources specified\n')
      await deleteAll(command, context, outcome, refs)
    })
}

/** One resource that is to be deleted, and where a person named it. */
interface Doomed {
  readonly ref: ResourceRef
  /** The version that a document names. */
  readonly version?: string | undefined
  readonly place?: string
  /** Where a namespace was meant by its name. */
  readonly namespace?: string
}

async function deleteAll(command: Command, context: Context, outcome: Outcome, items: readonly Doomed[]): Promise<void> {
  const options = command.opts<FileOptions>()
  const skipMissing = options.skipNotExists === true
  checkWait(command)
  outcome.code = await withSession(command, context, async (session) => {
    const remove = async (from: Session, { ref, namespace, version }: Doomed) =>
      said(
        options,
        namespace === undefined
          ? await deleteResource(from, context, { ref, skipMissing, version })
          : await deleteNamespace(from, context, namespace, skipMissing),
      )
    const doing = { items, refOf: ({ ref }: Doomed) => ref, act: remove }
    await preflight(command, context, session, doing)
    const trying = tryOut(
      command,
      context,
      session,
      items.map(({ ref }) => ref),
    )
    const done = doTogether(trying?.session ?? session, doing)
    const code = await reportWrites(context, { verb: 'delete', items, refOf: doing.refOf, placeOf: ({ place }) => place, done })
    const written = { code, resources: items.map(({ ref }) => ({ kind: ref.kind, metadata: ref })) }
    return trying ? trying.start(written) : waitAfter(command, context, session, written)
  })
}

async function refsGiven(command: Command, context: Context): Promise<readonly Doomed[]> {
  return (await readGiven(command, context)).map(({ resource, place }) => ({
    ...{ ref: refOf({ resource }), place },
    version: resource.metadata.resourceVersion,
  }))
}

function refsNamed(command: Command, text: string, names: readonly string[]): readonly Doomed[] {
  const { filename, namespace } = command.opts<FileOptions>()
  if (filename !== undefined) throw new UsageError('give either a kind and names, or -f')
  if (names.length === 0) throw new UsageError(`give the names of what to delete, as in "margay delete ${text} NAME"`)
  checkNames(names)
  if (meansNamespaces(text)) return names.map((name) => ({ ref: namespaceRef(name), namespace: name }))
  const kind = kindFor(text)
  return names.map((name) => ({ ref: { kind, name, namespace: kindInfo(kind).isNamespaced ? (namespace ?? 'default') : undefined } }))
}

const VALIDATE_EXAMPLES = `
Examples:
  margay validate -f pools.yaml
  margay validate -f ./resources -R && margay apply -f ./resources -R

Nothing is read from etcd: "margay apply --dry-run" also compares with what is there.`

/** `margay validate -f …`. */
export const addValidateCommand: AddCommand = (parent, context, outcome) => {
  const command = addFileOptions(parent.command('validate').description('check resources in files, without etcd'))
  command
    // Taken because all of calicoctl's commands take it; what it names is not looked at.
    .option('-c, --config <file>', 'not used: no etcd is needed')
    .addHelpText('after', VALIDATE_EXAMPLES)
    .action(async () => {
      const items = await readGiven(command, context)
      if (items.length === 0) return context.out('No resources specified\n')
      const done = doEach(items, async ({ resource }) => {
        checkGiven(resource, context.now())
        const { name, namespace } = resource.metadata
        return `${nameOf(resource.kind, name, namespace)} is valid`
      })
      outcome.code = await reportWrites(context, { verb: 'validate', items, refOf, placeOf, done })
    })
}

function said({ dryRun, confirm }: FileOptions, text: string): string {
  return dryRun === true ? `${text} (dry run)` : confirm === undefined ? text : `${text} (to be tried)`
}

function placeOf({ place }: GivenResource): string {
  return place
}

function refOf({ resource: { kind, metadata } }: Pick<GivenResource, 'resource'>): ResourceRef {
  return { kind, name: metadata.name, namespace: metadata.namespace }
}
