import { describeError } from '../../errors.ts'
import type { StatusReport } from '../../model/own/api.ts'
import { apiFor } from '../api.ts'
import type { AddCommand } from '../context.ts'
import { renderFacts, renderJson } from '../format.ts'
import { addApiOptions, addOutputOption } from '../options.ts'

const EXAMPLES = `
Examples:
  margay version
  margay version --client`

/** `margay version`: of this command and of the daemon that runs here. */
export const addVersionCommand: AddCommand = (parent, context) => {
  const command = parent.command('version').description('show the versions of this command and of the running daemon')
  addOutputOption(addApiOptions(command), ['text', 'json'])
    .option('--client', 'do not ask the daemon')
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { client, output } = command.opts<{ client?: true; output: string }>()
      const daemon = client ? undefined : await askDaemon()
      const facts: [string, string][] = [
        ['Client', context.version],
        ...(daemon === undefined ? [] : ([['Daemon', daemon]] as [string, string][])),
      ]
      context.out(output === 'json' ? renderJson({ client: context.version, daemon }) : renderFacts(facts))
    })

  const askDaemon = async () => {
    try {
      return (await apiFor(command, context).call<StatusReport>({ path: '/v1/status' })).version
    } catch (error) {
      return `unknown: ${describeError(error)}`
    }
  }
}
