import type { Command } from 'commander'
import { kindInfo } from '../../model/kinds.ts'
import { type AddCommand, type Context, type Outcome, UsageError } from '../context.ts'
import { type GivenResource, readDocuments } from '../documents.ts'
import { kindFor } from '../kind.ts'
import { addNamespaceOption, addStoreOptions, checkNames, collect } from '../options.ts'
import { reportEach } from '../report.ts'
import { type Session, withSession } from '../session.ts'
import { deleteResource, type Verb, writeResource } from '../write.ts'

const VERBS: Readonly<Record<Verb, { readonly about: string; readonly examples: readonly string[] }>> = {
  apply: { about: 'create resources, or update those that exist', examples: ['-f pools.yaml', '-f ./resources -R', '-f - < pools.yaml'] },
  create: { about: 'create resources that do not exist', examples: ['-f pools.yaml'] },
  replace: { about: 'update resources that exist', examples: ['-f pools.yaml'] },
}

/** `margay apply|create|replace -f …`. */
export const addWriteCommands: AddCommand = (parent, context, outcome) => {
  for (const verb of ['apply', 'create', 'replace'] as const) {
    const command = addFileOptions(parent.command(verb).description(VERBS[verb].about))
    command
      .addHelpText('after', `\nExamples:\n${VERBS[verb].examples.map((example) => `  margay ${verb} ${example}`).join('\n')}`)
      .action(async () => {
        const given = await readGiven(command, context)
        outcome.code = await withSession(command, context, (session) =>
          reportEach(context, given, (each) => writeResource(session, context, verb, each.resource), placeOf),
        )
      })
  }
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
  command
    .argument('[kind]', 'kind, its plural or its short name')
    .argument('[name...]', 'names')
    .addHelpText('after', DELETE_EXAMPLES)
    .action((kind: string | undefined, names: readonly string[]) =>
      kind === undefined ? deleteGiven(command, context, outcome) : deleteNamed(command, context, outcome, { kind, names }),
    )
}

async function deleteGiven(command: Command, context: Context, outcome: Outcome): Promise<void> {
  const given = await readGiven(command, context)
  outcome.code = await withSession(command, context, (session) =>
    reportEach(context, given, ({ resource }) => deleteResource(session, context, refOf(resource)), placeOf),
  )
}

async function deleteNamed(
  command: Command,
  context: Context,
  outcome: Outcome,
  asked: { readonly kind: string; readonly names: readonly string[] },
): Promise<void> {
  const { file, namespace } = command.opts<FileOptions>()
  const kind = kindFor(asked.kind)
  if (file !== undefined) throw new UsageError('give either a kind and names, or -f')
  if (asked.names.length === 0) throw new UsageError(`give the names of what to delete, as in "margay delete ${asked.kind} NAME"`)
  checkNames(asked.names)
  const refs = asked.names.map((name) => ({ kind, name, namespace: kindInfo(kind).isNamespaced ? namespace : undefined }))
  outcome.code = await withSession(command, context, (session: Session) =>
    reportEach(context, refs, (ref) => deleteResource(session, context, ref)),
  )
}

interface FileOptions {
  readonly file?: readonly string[]
  readonly recursive?: true
  readonly namespace: string
}

function addFileOptions(command: Command): Command {
  command.option('-f, --file <path>', 'file, folder, or - for standard input; may be repeated', collect)
  command.option('-R, --recursive', 'also the folders below')
  return addStoreOptions(addNamespaceOption(command))
}

function readGiven(command: Command, context: Context): Promise<readonly GivenResource[]> {
  const { file = [], recursive, namespace } = command.opts<FileOptions>()
  return readDocuments(file, { namespace, isRecursive: recursive === true }, context)
}

function placeOf({ place }: GivenResource): string {
  return place
}

function refOf({ kind, metadata }: GivenResource['resource']) {
  return { kind, name: metadata.name, namespace: metadata.namespace }
}
