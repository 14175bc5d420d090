import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { addConfigCommand } from './commands/config.ts'
import { addDebugCommand } from './commands/debug.ts'
import { addDesiredCommand, addDiffCommand } from './commands/desired.ts'
import { addGetCommand } from './commands/get.ts'
import { addIpamCommand } from './commands/ipam.ts'
import { addNodeCommand, addStatusCommand } from './commands/status.ts'
import { addVersionCommand } from './commands/version.ts'
import { addWorkloadCommand } from './commands/workload.ts'
import { addDeleteCommand, addWriteCommands } from './commands/write.ts'
import { type AddCommand, type Context, type ExitCode, type Outcome, PartialError, UsageError } from './context.ts'
import { renderError } from './report.ts'

const EPILOG = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part.

Examples:
  margay status
  margay get pools -o wide
  margay apply -f pools.yaml
  ip netns add web && margay workload add web --netns web`

/** The commands under the heading that help shows them with. */
const COMMANDS: readonly (readonly [heading: string, commands: readonly AddCommand[]])[] = [
  ['Resources in etcd:', [addGetCommand, addWriteCommands, addDeleteCommand, addIpamCommand]],
  ['This host:', [addStatusCommand, addWorkloadCommand, addDesiredCommand, addDiffCommand, addNodeCommand]],
  ['Other:', [addConfigCommand, addDebugCommand, addVersionCommand]],
]

/** The whole command line. Commands set `outcome.code`; faults are thrown. */
export function createProgram(context: Context, outcome: Outcome): Command {
  const program = new Command('margay')
  program
    .description('One routed network and one network policy for Linux hosts')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out(text),
      writeErr: (text) => context.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'margay: ')),
    })
    .version(context.version, '-V, --version', 'show the version of this command')
    .showSuggestionAfterError(true)
    .addHelpText('after', EPILOG)
  for (const [heading, commands] of COMMANDS) {
    program.commandsGroup(heading)
    for (const add of commands) add(program, context, outcome)
  }
  return program
}

/** Runs one command line (without the program's name) and gives its exit code. Never throws. */
export async function runCli(argv: readonly string[], context: Context): Promise<ExitCode> {
  const outcome: Outcome = { code: 0 }
  try {
    await createProgram(context, outcome).parseAsync([...argv], { from: 'user' })
    return outcome.code
  } catch (error) {
    if (!context.signal.aborted) return reportFault(error, context)
    context.err('margay: interrupted\n')
    return 1
  }
}

/** Says what went wrong, where commander has not done so, and gives the exit code. */
function reportFault(error: unknown, context: Context): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof PartialError) {
    context.err(renderError(error))
    return 3
  }
  context.err(renderError(error))
  if (error instanceof UsageError) return 2
  return error instanceof ConfigError && error.wrong.every(({ source }) => source.startsWith('--')) ? 2 : 1
}
