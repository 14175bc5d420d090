import type { DiffReport, TableDump } from '../../model/own/api.ts'
import { apiFor } from '../api.ts'
import { type AddCommand, UsageError } from '../context.ts'
import { renderJson, renderYaml } from '../format.ts'
import { addApiOptions, addOutputOption } from '../options.ts'

const DESIRED_EXAMPLES = `
Examples:
  margay desired
  margay desired routes
  margay desired -o json | jq '.fdb'`

const DIFF_EXAMPLES = `
Examples:
  margay diff
  margay diff -o json

Exit code 0 when nothing differs, 1 when something does.`

/** `margay desired [TABLE]`: what the daemon wants in the kernel. */
export const addDesiredCommand: AddCommand = (parent, context) => {
  const command = parent
    .command('desired')
    .description('show what the daemon wants in the kernel')
    .argument('[table]', 'only this table, such as routes')
  addOutputOption(addApiOptions(command), ['yaml', 'json'])
    .addHelpText('after', DESIRED_EXAMPLES)
    .action(async (table?: string) => {
      const dump = await apiFor(command, context).call<TableDump>({ path: '/v1/desired' })
      if (table !== undefined && dump[table] === undefined) {
        throw new UsageError(`there is no table ${JSON.stringify(table)}, the tables are ${Object.keys(dump).join(', ')}`)
      }
      const shown = table === undefined ? dump : dump[table]
      context.out(command.getOptionValue('output') === 'json' ? renderJson(shown) : renderYaml(shown))
    })
}

/** `margay diff`: where the kernel is not as the daemon wants it. */
export const addDiffCommand: AddCommand = (parent, context, outcome) => {
  const command = parent.command('diff').description('compare the kernel, listed now, with what the daemon wants')
  addOutputOption(addApiOptions(command), ['text', 'json'])
    .addHelpText('after', DIFF_EXAMPLES)
    .action(async () => {
      const report = await apiFor(command, context).call<DiffReport>({ path: '/v1/diff', timeoutMs: 60_000 })
      context.out(command.getOptionValue('output') === 'json' ? renderJson(report) : renderDiff(report))
      if (report.differences.length > 0) outcome.code = 1
    })
}

/** One object after the other: `-` is what is there, `+` is what is wanted. */
export function renderDiff({ differences }: DiffReport): string {
  if (differences.length === 0) return 'nothing differs\n'
  return differences
    .map(({ table, key, want, have }) => {
      const lines = [
        have === undefined ? undefined : `- ${JSON.stringify(have)}\n`,
        want === undefined ? undefined : `+ ${JSON.stringify(want)}\n`,
      ]
      const what = have === undefined ? 'missing' : want === undefined ? 'not wanted' : 'different'
      return `${table} ${key}: ${what}\n${lines.filter((line) => line !== undefined).join('')}`
    })
    .join('')
}
