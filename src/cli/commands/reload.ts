import { apiFor } from '../api.ts'
import type { AddCommand } from '../context.ts'
import { addApiOptions } from '../options.ts'

const EXAMPLES = `
Examples:
  margay config check && margay reload

A configuration that is wrong, or changes what only a restart can change, is refused, and the old one stays.`

/** `margay reload`: as SIGHUP, but with an answer. */
export const addReloadCommand: AddCommand = (parent, context) => {
  const command = parent.command('reload').description('have the daemon of this host read its configuration again')
  addApiOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      await apiFor(command, context).call({ method: 'POST', path: '/v1/reload' })
      context.out('the configuration was read again\n')
    })
}
