import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import convict from 'convict'
import { describeError, type Issue, ValidationError } from '../errors.ts'
import { type Given, type Layer, readFileLayer, type Wrong } from './file.ts'
import { CONFIG_ENV, flagLayer, readArguments, readEnvLayer } from './flags.ts'
import { quote } from './formats.ts'
import { checkCombinations } from './rules.ts'
import { SCHEMA, SETTINGS, type Settings, settingAt } from './schema.ts'
import type { Config } from './types.ts'
import { isNodeName, splitLabel } from './values.ts'

/** Where the configuration is unless `--config` or `MARGAY_CONFIG` says otherwise. Need not exist. */
export const DEFAULT_CONFIG_FILE = '/etc/margay/config.json'

/** All that a configuration is made of, weakest first: defaults, the file, the environment, flags. */
export interface ConfigSources {
  readonly file?: { readonly path: string; readonly text: string } | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Raw values by the key's path. */
  readonly flags?: ReadonlyMap<string, string>
  /** The host's name, for `node.name` where it is not given. */
  readonly hostname?: string
  /** What was wrong with the command line or the file itself, to be reported with the rest. */
  readonly wrong?: readonly Wrong[]
}

/** A configuration that can be used, and where each value came from. */
export interface LoadedConfig {
  readonly config: Config
  /** By the key's path: `default`, `/etc/margay/config.json:5:3`, `MARGAY_MODE`, `--mode`, or `host name`. */
  readonly sources: ReadonlyMap<string, string>
}

/** All that is wrong with a configuration, found together. */
export class ConfigError extends ValidationError {
  readonly wrong: readonly Wrong[]
  constructor(wrong: readonly Wrong[]) {
    const lines = wrong.map(showWrong)
    const head = lines.length === 1 ? 'the configuration has an error' : `the configuration has ${lines.length} errors`
    super(`${head}:\n${lines.map((line) => `  ${line}`).join('\n')}`, wrong.map(toIssue))
    this.wrong = wrong
  }
}

/**
 * Makes the configuration of its sources.
 *
 * @throws {ConfigError} naming all faults together, each with source, key and what would be right
 */
export function load(sources: ConfigSources): LoadedConfig {
  const layers: Layer[] = [
    sources.file ? readFileLayer(sources.file.path, sources.file.text) : { given: [], wrong: [] },
    readEnvLayer(sources.env ?? {}),
    flagLayer(sources.flags ?? new Map()),
  ]
  const store = convict<Settings>(SCHEMA, { env: {}, args: [] })
  const found = new Map(SETTINGS.map((setting) => [setting.path, 'default']))
  const wrong = [...(sources.wrong ?? []), ...layers.flatMap((layer) => layer.wrong)]
  for (const layer of layers) {
    const written = layer === layers[0] ? 'file' : 'text'
    for (const given of layer.given) wrong.push(...put(store, found, given, written))
  }
  wrong.push(...checkCombinations(store.getProperties(), (path) => found.get(path) ?? 'default', wrong))
  const node = nameNode(store.get('node.name'), sources.hostname ?? hostname())
  if (node.wrong) wrong.push(node.wrong)
  if (wrong.length > 0) throw new ConfigError(wrong)
  store.validate({ allowed: 'strict' })
  if (node.isHostName) found.set('node.name', 'host name')
  return { config: finish(store.getProperties(), node.name), sources: found }
}

/**
 * One text of the configuration, without a check of the rest: `margay status` must work beside a file that is being edited.
 *
 * @throws {ConfigError} when this key's own value is bad
 */
export function readSetting(path: string, sources: ConfigSources): string {
  const setting = settingAt(path)
  if (setting === undefined) throw new ConfigError([{ source: 'default', path, message: 'unknown key' }])
  const file = sources.file ? readFileLayer(sources.file.path, sources.file.text).given : []
  const texts = [...readEnvLayer(sources.env ?? {}).given, ...flagLayer(sources.flags ?? new Map()).given]
  const given = [...file, ...texts].filter((each) => each.path === path).pop()
  if (given === undefined) return String(setting.default)
  try {
    return String(setting.parser.parse(given.raw, file.includes(given) ? 'file' : 'text'))
  } catch (cause) {
    throw new ConfigError([{ source: given.source, path, message: cause instanceof Error ? cause.message : String(cause) }])
  }
}

/** What the daemon has besides its configuration. */
export interface LoadOptions {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Words such as `--cleanup` that are no keys and have no value. */
  readonly switches?: readonly string[]
}

/**
 * Reads the configuration of a process: its arguments without the program's name, its environment, and the file that they name.
 *
 * @throws {ConfigError} naming all faults together
 */
export function loadConfig({ argv, env, switches = [] }: LoadOptions): LoadedConfig & { readonly switches: ReadonlySet<string> } {
  const args = readArguments(argv, switches)
  const { file, wrong } = readConfigFile(args.configFile ?? env[CONFIG_ENV])
  return { ...load({ file, env, flags: args.flags, wrong: [...args.wrong, ...wrong] }), switches: args.switches }
}

/** The text of the named file, or of the default one; only a file that was named must exist. */
export function readConfigFile(named: string | undefined): Pick<ConfigSources, 'file'> & { readonly wrong: readonly Wrong[] } {
  const path = named ?? DEFAULT_CONFIG_FILE
  try {
    return { file: { path, text: readFileSync(path, 'utf8') }, wrong: [] }
  } catch (cause) {
    if (named === undefined && (cause as NodeJS.ErrnoException).code === 'ENOENT') return { wrong: [] }
    return { wrong: [{ source: path, path: '', message: `the file cannot be read: ${describeError(cause)}` }] }
  }
}

function put(store: convict.Config<Settings>, found: Map<string, string>, given: Given, written: 'file' | 'text'): readonly Wrong[] {
  try {
    const value = settingAt(given.path)?.parser.parse(given.raw, written)
    store.set(given.path as 'node', value as Settings['node'])
    found.set(given.path, given.source)
    return []
  } catch (cause) {
    return [{ source: given.source, path: given.path, message: cause instanceof Error ? cause.message : String(cause) }]
  }
}

function nameNode(given: string, host: string): { readonly name: string; readonly isHostName: boolean; readonly wrong?: Wrong } {
  const name = given === '' ? host.toLowerCase() : given
  const isHostName = given === ''
  if (isNodeName(name) && !(isHostName && name === 'localhost')) return { name, isHostName }
  const message = `the host name ${quote(host)} cannot name a node, give node.name`
  return { name, isHostName, wrong: { source: 'host name', path: 'node.name', message } }
}

function finish(settings: Settings, name: string): Config {
  return { ...settings, node: { name, labels: Object.fromEntries(settings.node.labels.map(splitLabel)) } }
}

function showWrong({ source, path, message }: Wrong): string {
  return [source, path, message].filter((part) => part !== '').join(': ')
}

function toIssue(wrong: Wrong): Issue {
  return { path: wrong.path, message: wrong.message }
}
