import { Option } from 'commander'
import { parse } from 'yaml'
import { describeError, ValidationError } from '../../errors.ts'
import { type FieldWarning, fieldWarnings } from '../../model/field-warnings.ts'
import { type AnyResource, kindInfo } from '../../model/kinds.ts'
import { isObject } from '../../model/shape.ts'
import { type Changed, changeResource } from '../change.ts'
import { type AddCommand, type Context, UsageError } from '../context.ts'
import { readText } from '../files.ts'
import { kindFor, nameOf } from '../kind.ts'
import { addDryRunOption, addKindNamespaceOption, addStoreOptions, checkNames } from '../options.ts'
import { applyPatch, PATCH_TYPES, type PatchType } from '../patch.ts'
import { addForceOption, preflight } from '../preflight.ts'
import { doEach } from '../report.ts'
import { reportWrites } from '../report-writes.ts'
import { type Session, withSession } from '../session.ts'
import { addConfirmOption, tryOut } from '../trial.ts'
import { addWaitOption, checkWait, waitAfter } from '../wait.ts'

const EXAMPLES = `
Examples:
  margay patch pool p1 -p '{"spec": {"natOutgoing": false}}'
  margay patch node h1 --type json -p '[{"op": "remove", "path": "/spec/bgp/asNumber"}]'
  margay patch kubecontrollersconfiguration default --patch='{"spec": {"controllers": {"node": {"hostEndpoint": {"autoCreate": "Enabled"}}}}}'`

interface PatchOptions {
  readonly patch?: string
  readonly patchFile?: string
  readonly type: PatchType
  readonly namespace?: string
  readonly dryRun?: true
}

/** `margay patch KIND NAME -p PATCH`. */
export const addPatchCommand: AddCommand = (parent, context, outcome) => {
  const command = parent.command('patch').description('change parts of a resource')
  command
    .argument('<kind>', 'kind, its plural or its short name')
    .argument('<name>', 'name of the resource')
    .option('-p, --patch <patch>', 'what to change, in JSON or YAML')
    .option('--patch-file <file>', 'file with what to change')
    .addOption(
      new Option(
        '-t, --type <type>',
        'kind of patch: strategic and merge replace members (RFC 7386), json is a list of operations (RFC 6902)',
      )
        .choices(PATCH_TYPES)
        .default('strategic'),
    )
  addConfirmOption(addForceOption(addWaitOption(addDryRunOption(addKindNamespaceOption(command))), context), context)
  addStoreOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (kindText: string, name: string) => {
      const options = command.opts<PatchOptions>()
      const kind = kindFor(kindText)
      checkNames([name])
      const ref = { kind, name, namespace: kindInfo(kind).isNamespaced ? (options.namespace ?? 'default') : undefined }
      const patch = readPatch(options)
      const type = typeFor(options.type, patch, context)
      checkWait(command)
      outcome.code = await withSession(command, context, async (session) => {
        let resources: readonly AnyResource[] = []
        const change = (to: Session) => changeResource(to, ref, (stored) => applyPatch(type, { ...stored }, patch), context.signal)
        await preflight(command, context, session, { items: [ref], refOf: () => ref, act: change })
        const trying = tryOut(command, context, session, [ref])
        const done = doEach([ref], async () => {
          const changed = await change(trying?.session ?? session)
          resources = [changed.before, changed.after]
          warnOfNew(changed, context)
          return `${nameOf(kind, name, ref.namespace)} ${changed.isChanged ? 'patched' : 'unchanged'}${options.dryRun === true ? ' (dry run)' : trying ? ' (to be tried)' : ''}`
        })
        const code = await reportWrites(context, { verb: 'patch', items: [ref], refOf: () => ref, done })
        return trying ? trying.start({ code, resources }) : waitAfter(command, context, session, { code, resources })
      })
    })
}

/** Of the fields that margay does not act on, those that the patch has set; a kind whose fields are for nobody is named each time. */
function warnOfNew({ before, after }: Changed, context: Context): void {
  const known = new Set(fieldWarnings(before).map(({ path }) => path))
  const isNews = ({ path, tag }: FieldWarning) => !known.has(path) || (path === '' && tag === 'stored')
  for (const { path, message, tag } of fieldWarnings(after).filter(isNews))
    context.err(`${context.program}: ${tag === 'stored' ? 'warning' : 'note'}: ${`${path} ${message}`.trimStart()}\n`)
}

function readPatch({ patch, patchFile }: PatchOptions): unknown {
  if ((patch === undefined) === (patchFile === undefined)) throw new UsageError('give exactly one of --patch and --patch-file')
  const text = patch ?? readText(patchFile ?? '', 'the patch ')
  try {
    return parse(text, { logLevel: 'error' })
  } catch (cause) {
    throw new ValidationError(`the patch is not JSON or YAML: ${describeError(cause)}`)
  }
}

/** calicoctl takes every patch for a strategic one, and its own examples give objects as `--type json`. */
function typeFor(type: PatchType, patch: unknown, context: Context): PatchType {
  if (type !== 'json' || !isObject(patch)) return type
  context.err(`${context.program}: warning: the patch is an object and no list of operations, it is taken as a merge patch\n`)
  return 'merge'
}
