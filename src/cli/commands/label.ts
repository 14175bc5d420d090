import { ConflictError } from '../../errors.ts'
import { type AnyResource, kindInfo } from '../../model/kinds.ts'
import { changeResource } from '../change.ts'
import { type AddCommand, UsageError } from '../context.ts'
import { kindFor, nameOf } from '../kind.ts'
import { addDryRunOption, addKindNamespaceOption, addStoreOptions, checkNames } from '../options.ts'
import { withSession } from '../session.ts'
import { addWaitOption, checkWait, waitAfter } from '../wait.ts'

const EXAMPLES = `
Examples:
  margay label node h1 rack=r1
  margay label node h1 rack=r2 --overwrite
  margay label node h1 rack --remove
  margay label wep -n shop h1-margay-web-eth0 app=web tier=front`

interface LabelOptions {
  readonly overwrite?: true
  readonly remove?: true
  readonly namespace?: string
  readonly dryRun?: true
}

/** One label that is to be set, or with no value removed. */
interface Change {
  readonly key: string
  readonly value: string | undefined
}

/** `margay label KIND NAME KEY=VALUE…`. */
export const addLabelCommand: AddCommand = (parent, context, outcome) => {
  const command = parent.command('label').description('set or remove labels of a resource')
  command
    .argument('<kind>', 'kind, its plural or its short name')
    .argument('<name>', 'name of the resource')
    .argument('<label...>', 'KEY=VALUE to set, KEY- or with --remove KEY to remove')
    .option('--overwrite', 'also labels that have another value')
    .option('--remove', 'remove the labels with these keys')
  addWaitOption(addDryRunOption(addKindNamespaceOption(command)))
  addStoreOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (kindText: string, name: string, labels: readonly string[]) => {
      const options = command.opts<LabelOptions>()
      if (options.overwrite && options.remove) throw new UsageError('give one of --overwrite and --remove')
      const kind = kindFor(kindText)
      checkNames([name])
      const changes = labels.map((label) => readChange(label, options.remove === true))
      const ref = { kind, name, namespace: kindInfo(kind).isNamespaced ? (options.namespace ?? 'default') : undefined }
      const what = nameOf(kind, name, ref.namespace)
      const suffix = options.dryRun === true ? ' (dry run)' : ''
      checkWait(command)
      outcome.code = await withSession(command, context, async (session) => {
        const relabel = (stored: AnyResource) => withLabels(stored, changes, { what, isOverwrite: options.overwrite === true })
        const { before, after } = await changeResource(session, ref, relabel, context.signal)
        const had = before.metadata.labels ?? {}
        for (const change of changes) context.out(`Successfully ${describe(change, had)} ${kindText} ${name}${suffix}\n`)
        return waitAfter(command, context, session, { code: 0, resources: [after] })
      })
    })
}

/** @throws {UsageError} for what is neither a label nor a key */
function readChange(text: string, isRemoved: boolean): Change {
  const at = text.indexOf('=')
  if (isRemoved && at >= 0) throw new UsageError(`--remove takes keys, ${JSON.stringify(text)} has a value`)
  if (isRemoved) return { key: text, value: undefined }
  if (at < 0 && text.length > 1 && text.endsWith('-')) return { key: text.slice(0, -1), value: undefined }
  if (at < 1) throw new UsageError(`${JSON.stringify(text)} is not a label, give KEY=VALUE, or KEY with --remove`)
  return { key: text.slice(0, at), value: text.slice(at + 1) }
}

function withLabels(
  stored: AnyResource,
  changes: readonly Change[],
  { what, isOverwrite }: { readonly what: string; readonly isOverwrite: boolean },
): AnyResource {
  const labels = new Map(Object.entries(stored.metadata.labels ?? {}))
  for (const { key, value } of changes) {
    const old = labels.get(key)
    if (value === undefined) {
      if (old === undefined) throw new ConflictError('not-found', `${what} has no label ${JSON.stringify(key)} that could be removed`)
      labels.delete(key)
    } else {
      if (old !== undefined && old !== value && !isOverwrite)
        throw new ConflictError(
          'exists',
          `${what} has the label ${JSON.stringify(key)} with the value ${JSON.stringify(old)} already, --overwrite changes it`,
        )
      labels.set(key, value)
    }
  }
  return { ...stored, metadata: { ...stored.metadata, labels: Object.fromEntries(labels) } } as AnyResource
}

/** As calicoctl says it. */
function describe({ key, value }: Change, before: Readonly<Record<string, string>>): string {
  if (value === undefined) return `removed label ${key} from`
  return `${Object.hasOwn(before, key) ? 'updated' : 'set'} label ${key} on`
}
