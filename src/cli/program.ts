import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { refuseForeign, withoutGlobalFlags } from './calicoctl.ts'
import { addAuditCommand } from './commands/audit.ts'
import { addCompletionCommand } from './commands/completion.ts'
import { addConfigCommand } from './commands/config.ts'
import { addDatastoreCommand } from './commands/datastore.ts'
import { addDebugCommand } from './commands/debug.ts'
import { addDesiredCommand, addDiffCommand } from './commands/desired.ts'
import { addExplainCommand } from './commands/explain.ts'
import { addFlowsCommand } from './commands/flows.ts'
import { addGetCommand } from './commands/get.ts'
import { addIpamCommand } from './commands/ipam.ts'
import { addLabelCommand } from './commands/label.ts'
import { addObserveCommand } from './commands/observe.ts'
import { addPatchCommand } from './commands/patch.ts'
import { addPlanCommand } from './commands/plan.ts'
import { addPolicyCommand } from './commands/policy.ts'
import { addReloadCommand } from './commands/reload.ts'
import { addNodeCommand, addStatusCommand } from './commands/status.ts'
import { addConfirmCommand, addTrialCommand } from './commands/trial.ts'
import { addVersionCommand } from './commands/version.ts'
import { addWorkloadCommand } from './commands/workload.ts'
import { addDeleteCommand, addValidateCommand, addWriteCommands } from './commands/write.ts'
import {
  type AddCommand,
  type Context,
  type ExitCode,
  type Outcome,
  PartialError,
  type Program,
  UnknownKindError,
  UsageError,
} from './context.ts'
import { renderError } from './report.ts'

const EPILOG = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 4 it would cut open connections (plan).

Examples:
  margay status
  margay get pools -o wide
  margay apply -f pools.yaml
  ip netns add web && margay workload add web --netns web`

const CALICOCTL_EPILOG = `
This is margay, called by the name of calicoctl. It reads --config, else DATASTORE_TYPE, ETCD_ENDPOINTS, …, else its own configuration,
else /etc/calico/calicoctl.cfg. For every command --allow-version-mismatch, --log-level and --context are taken, and have no effect.
Exit codes: 0 done, 1 failed.`

type Group = readonly [heading: string, commands: readonly AddCommand[]]

const RESOURCES: Group = [
  'Resources in etcd:',
  [addGetCommand, addWriteCommands, addPatchCommand, addLabelCommand, addDeleteCommand, addValidateCommand, addIpamCommand],
]

/** The commands under the heading that help shows them with. */
const COMMANDS: Readonly<Record<Program, readonly Group[]>> = {
  margay: [
    RESOURCES,
    [
      'Policy:',
      [
        addExplainCommand,
        addPlanCommand,
        addAuditCommand,
        addObserveCommand,
        addConfirmCommand,
        addTrialCommand,
        addFlowsCommand,
        addPolicyCommand,
      ],
    ],
    ['This host:', [addStatusCommand, addWorkloadCommand, addDesiredCommand, addDiffCommand, addReloadCommand, addNodeCommand]],
    ['Other:', [addConfigCommand, addDatastoreCommand, addDebugCommand, addCompletionCommand, addVersionCommand]],
  ],
  calicoctl: [RESOURCES, ['This host:', [addNodeCommand]], ['Other:', [addDatastoreCommand, addCompletionCommand, addVersionCommand]]],
}

/** The whole command line. Commands set `outcome.code`; faults are thrown. */
export function createProgram(context: Context, outcome: Outcome): Command {
  const program = new Command(context.program)
  program
    .description('One routed network and one network policy for Linux hosts')
    .exitOverride()
    .configureOutput({
      // Help only: examples are to be typed as they stand.
      writeOut: (text) => context.out(context.program === 'margay' ? text : text.replace(/\bmargay (?=[a-z])/g, `${context.program} `)),
      writeErr: (text) => context.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, `${context.program}: `)),
    })
    .version(context.version, '-V, --version', 'show the version of this command')
    .showSuggestionAfterError(true)
    .addHelpText('after', context.program === 'calicoctl' ? CALICOCTL_EPILOG : EPILOG)
  for (const [heading, commands] of COMMANDS[context.program]) {
    program.commandsGroup(heading)
    for (const add of commands) add(program, context, outcome)
  }
  return program
}

/** Runs one command line (without the program's name) and gives its exit code. Never throws. */
export async function runCli(argv: readonly string[], context: Context): Promise<ExitCode> {
  const code = await runProgram(argv, context)
  return context.program === 'calicoctl' && code > 1 ? 1 : code
}

async function runProgram(argv: readonly string[], context: Context): Promise<ExitCode> {
  const outcome: Outcome = { code: 0 }
  try {
    const split = splitShortValues(argv)
    const words = context.program === 'calicoctl' ? withoutGlobalFlags(split) : split
    if (context.program === 'calicoctl') refuseForeign(words)
    await createProgram(context, outcome).parseAsync([...words], { from: 'user' })
    return outcome.code
  } catch (error) {
    if (!context.signal.aborted) return reportFault(error, argv, context)
    context.err(`${context.program}: interrupted\n`)
    return 1
  }
}

/** `-o=yaml` as `-o yaml`: kubectl and calicoctl take both, commander would take `=yaml` for the value. */
function splitShortValues(argv: readonly string[]): readonly string[] {
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length
  return argv.flatMap((word, index) => (index < end && /^-[cflnopt]=/.test(word) ? [word.slice(0, 2), word.slice(3)] : [word]))
}

/** Says what went wrong, where commander has not done so, and gives the exit code. */
function reportFault(error: unknown, argv: readonly string[], context: Context): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  const isGet = error instanceof UnknownKindError && context.program === 'calicoctl' && argv.includes('get')
  context.err(`${isGet ? 'Failed to get resources: ' : ''}${renderError(context.program, error)}`)
  if (error instanceof PartialError) return 3
  if (error instanceof UsageError) return 2
  return error instanceof ConfigError && error.wrong.every(({ source }) => source.startsWith('--')) ? 2 : 1
}
