import { ValidationError } from '../../errors.ts'
import { type AnyResource, kindInfo, type ResourceKind } from '../../model/kinds.ts'
import type { ResourceRef } from '../../store/resource-store.ts'
import { changeResource } from '../change.ts'
import { type AddCommand, UsageError } from '../context.ts'
import { kindFor, nameOf } from '../kind.ts'
import { NAMESPACE_LABELS, namespaceRef } from '../namespace-steps.ts'
import { meansNamespaces } from '../namespaces.ts'
import { addDryRunOption, addKindNamespaceOption, addStoreOptions, checkNames } from '../options.ts'
import { addForceOption, preflight } from '../preflight.ts'
import { type Session, withSession } from '../session.ts'
import { addConfirmOption, tryOut } from '../trial.ts'
import { addWaitOption, checkWait, waitAfter } from '../wait.ts'

const EXAMPLES = `
Examples:
  margay label node h1 rack=r1
  margay label node h1 rack=r2 --overwrite
  margay label node h1 rack --remove
  margay label wep -n shop h1-margay-web-eth0 app=web tier=front
  margay label namespace shop stage=test`

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

type Labels = Readonly<Record<string, string>>

/** Where most resources have their labels. */
const OWN_LABELS = {
  read: ({ metadata }: AnyResource): Labels => metadata.labels ?? {},
  write: (stored: AnyResource, labels: Labels) => ({ ...stored, metadata: { ...stored.metadata, labels } }) as AnyResource,
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
  addConfirmOption(addForceOption(addWaitOption(addDryRunOption(addKindNamespaceOption(command))), context), context)
  addStoreOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (kindText: string, name: string, labels: readonly string[]) => {
      const options = command.opts<LabelOptions>()
      if (options.overwrite && options.remove) throw new UsageError('give one of --overwrite and --remove')
      const isNamespace = meansNamespaces(kindText)
      checkNames([name])
      const changes = labels.map((label) => readChange(label, options.remove === true))
      const ref = isNamespace ? namespaceRef(name) : refOf(kindFor(kindText), name, options)
      const what = isNamespace ? `namespace/${name}` : nameOf(ref.kind, name, ref.namespace)
      const lens = isNamespace ? NAMESPACE_LABELS : OWN_LABELS
      const suffix = options.dryRun === true ? ' (dry run)' : ''
      checkWait(command)
      outcome.code = await withSession(command, context, async (session) => {
        const relabel = (stored: AnyResource) =>
          lens.write(stored, changedLabels(lens.read(stored), changes, { what, isOverwrite: options.overwrite === true }))
        const change = (to: Session) => changeResource(to, ref, relabel, context.signal)
        await preflight(command, context, session, { items: [ref], refOf: () => ref, act: change })
        const trying = tryOut(command, context, session, [ref])
        const { before, after } = await change(trying?.session ?? session)
        const had = lens.read(before)
        for (const change of changes)
          context.out(`Successfully ${describe(change, had)} ${kindText} ${name}${trying ? ' (to be tried)' : suffix}\n`)
        const written = { code: 0, resources: [after] } as const
        return trying ? trying.start(written) : waitAfter(command, context, session, written)
      })
    })
}

function refOf(kind: ResourceKind, name: string, { namespace }: LabelOptions): ResourceRef {
  return { kind, name, namespace: kindInfo(kind).isNamespaced ? (namespace ?? 'default') : undefined }
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

function changedLabels(
  before: Labels,
  changes: readonly Change[],
  { what, isOverwrite }: { readonly what: string; readonly isOverwrite: boolean },
): Labels {
  const labels = new Map(Object.entries(before))
  for (const { key, value } of changes) {
    const old = labels.get(key)
    if (value === undefined) {
      if (old === undefined) throw new ValidationError(`cannot remove label of ${what}, key ${key} does not exist`)
      labels.delete(key)
    } else {
      if (old !== undefined && old !== value && !isOverwrite)
        throw new ValidationError(
          `failed to update label of ${what}, key ${key} is already present with the value ${JSON.stringify(old)}, --overwrite changes it`,
        )
      labels.set(key, value)
    }
  }
  return Object.fromEntries(labels)
}

/** As calicoctl says it. */
function describe({ key, value }: Change, before: Readonly<Record<string, string>>): string {
  if (value === undefined) return `removed label ${key} from`
  return `${Object.hasOwn(before, key) ? 'updated' : 'set'} label ${key} on`
}
