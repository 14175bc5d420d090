import { accessSync, constants } from 'node:fs'
import type { Command } from 'commander'
import { type Config, ConfigError, type LoadedConfig, SETTINGS } from '../../config.ts'
import type { AddCommand, Context, Outcome } from '../context.ts'
import { renderJson, renderTable } from '../format.ts'
import { addConfigOptions, addOutputOption, loadFor } from '../options.ts'

const CHECK_EXAMPLES = `
Examples:
  margay config check
  margay config check --config ./new.json && cp ./new.json /etc/margay/config.json
  margay config check --mode direct`

const SHOW_EXAMPLES = `
Examples:
  margay config show
  margay config show -o json`

/** `margay config check` and `margay config show`. */
export const addConfigCommand: AddCommand = (parent, context, outcome) => {
  const config = parent.command('config').description('check and show the configuration that this host would run with')
  const check = addConfigOptions(
    config.command('check').description('find every fault of file, environment and flags, and files that are missing'),
  )
  addOutputOption(check, ['text', 'json'])
    .addHelpText('after', CHECK_EXAMPLES)
    .action(() => checkConfig(check, context, outcome))
  const show = addConfigOptions(config.command('show').description('show every key with its value and where it comes from'))
  addOutputOption(show, ['text', 'json'])
    .addHelpText('after', SHOW_EXAMPLES)
    .action(() => showConfig(show, context))
}

function checkConfig(command: Command, context: Context, outcome: Outcome): void {
  const isJson = command.getOptionValue('output') === 'json'
  try {
    const loaded = loadFor(command, context)
    const missing = missingFiles(loaded)
    if (missing.length > 0) throw new ConfigError(missing)
    const given = SETTINGS.filter((setting) => isGiven(loaded, setting.path)).length
    context.out(
      isJson
        ? renderJson({ ok: true, errors: [] })
        : `the configuration is good: ${given} of ${SETTINGS.length} keys are given, the others have their default\n`,
    )
  } catch (error) {
    if (!isJson || !(error instanceof ConfigError)) throw error
    context.out(renderJson({ ok: false, errors: error.wrong }))
    outcome.code = 1
  }
}

function showConfig(command: Command, context: Context): void {
  const { config, sources } = loadFor(command, context)
  const rows = SETTINGS.map(({ path }) => ({ path, value: valueAt(config, path), source: sources.get(path) ?? 'default' }))
  if (command.getOptionValue('output') === 'json') {
    context.out(renderJson(Object.fromEntries(rows.map(({ path, value, source }) => [path, { value, source }]))))
  } else {
    context.out(
      renderTable(
        ['KEY', 'VALUE', 'SOURCE'],
        rows.map(({ path, value, source }) => [path, JSON.stringify(value), source]),
      ),
    )
  }
}

/** Files that the configuration names must be there and readable now; the daemon would only find out when it connects. */
function missingFiles({
  config,
  sources,
}: LoadedConfig): readonly { readonly source: string; readonly path: string; readonly message: string }[] {
  return SETTINGS.filter(({ path }) => path.endsWith('File')).flatMap(({ path }) => {
    const file = String(valueAt(config, path))
    if (file === '') return []
    try {
      accessSync(file, constants.R_OK)
      return []
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code === 'EACCES' ? 'cannot be read by this user' : 'does not exist'
      return [{ source: sources.get(path) ?? '', path, message: `the file ${JSON.stringify(file)} ${why}` }]
    }
  })
}

function isGiven({ sources }: LoadedConfig, path: string): boolean {
  const source = sources.get(path) ?? 'default'
  return source !== 'default' && source !== 'host name'
}

function valueAt(config: Config, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], config)
}
