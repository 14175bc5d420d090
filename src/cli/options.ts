import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  CONFIG_ENV,
  type Config,
  type ConfigSources,
  DEFAULT_CONFIG_FILE,
  isSwitch,
  type LoadedConfig,
  load,
  readConfigFile,
  readSetting,
  SETTINGS,
  type Setting,
} from '../config.ts'
import { ValidationError } from '../errors.ts'
import { CALICOCTL_CONFIG, type CalicoAccess, isCalicoConfig, parseCalicoConfig, readCalicoConfig, readCalicoEnv } from './calico-access.ts'
import { type Context, UsageError } from './context.ts'

/** The keys by which a client reaches etcd. */
const CLIENT_KEYS = [
  'etcd.endpoints',
  'etcd.caFile',
  'etcd.certFile',
  'etcd.keyFile',
  'etcd.username',
  'etcd.passwordFile',
  'etcd.embedded',
]

/** Adds `--config` and a flag for every key. */
export function addConfigOptions(command: Command): Command {
  return addKeyOptions(command, SETTINGS)
}

/** Adds `--config` and the flags of the keys by which etcd is reached. */
export function addStoreOptions(command: Command): Command {
  return addKeyOptions(
    command,
    SETTINGS.filter((setting) => CLIENT_KEYS.includes(setting.path)),
  )
}

/** Adds `--config` and `--api-socket`. */
export function addApiOptions(command: Command): Command {
  return addKeyOptions(
    command,
    SETTINGS.filter((setting) => setting.path === 'api.socket'),
  )
}

function addKeyOptions(command: Command, settings: readonly Setting[]): Command {
  const group = 'Configuration (these win over the environment, which wins over the file):'
  const where = `configuration file; else $${CONFIG_ENV}, else ${DEFAULT_CONFIG_FILE}`
  command.addOption(new Option('-c, --config <file>', where).helpGroup(group))
  for (const setting of settings) {
    const { flag, doc } = setting
    const shown = isSwitch(setting) ? `${flag} [true|false]` : `${flag} <value>`
    const option = new Option(shown, doc.split(/(?<=\.) /)[0]?.replace(/\.$/, '')).helpGroup(group)
    command.addOption(option)
    // As the daemon takes it; help shows the first form only.
    if (isSwitch(setting)) command.addOption(new Option(flag.replace('--', '--no-')).hideHelp())
  }
  return command
}

/** The whole configuration as this command was told it. */
export function loadFor(command: Command, context: Context): LoadedConfig {
  return load(sourcesOf(command, context))
}

/** The path of the daemon's socket, although the rest of the configuration may be wrong. */
export function socketFor(command: Command, context: Context): string {
  return readSetting('api.socket', { ...sourcesOf(command, context), wrong: [] })
}

/** The configuration by which etcd is reached, and the content of files that it names and that are still to be written. */
export interface StoreAccess {
  readonly config: Config
  /** By the key below `etcd`. */
  readonly secrets: Readonly<Record<string, string>>
}

/**
 * How etcd is reached: as our configuration says, or as Calico's does where that was named, or where we were called as `calicoctl`
 * and its environment or (when we have no configuration) its file is there.
 */
export function storeAccessFor(command: Command, context: Context): StoreAccess {
  const calico = calicoAccessFor(command, context)
  // The node's name is not needed, and a machine that is no host may have a name that cannot be one.
  const hostname = 'client'
  if (calico === undefined) return { config: load({ ...sourcesOf(command, context), hostname }).config, secrets: {} }
  const { endpoints, ...keys } = calico.keys
  const etcd = { ...keys, ...(endpoints === undefined ? {} : { endpoints: endpoints.split(',') }) }
  const file = { path: calico.source, text: JSON.stringify({ etcd }) }
  return { config: load({ file, hostname, flags: flagsOf(command) }).config, secrets: calico.secrets }
}

function calicoAccessFor(command: Command, context: Context): CalicoAccess | undefined {
  const named = namedConfig(command, context)
  const ours = readConfigFile(named).file
  if (named !== undefined) return ours !== undefined && isCalicoConfig(ours.text) ? parseCalicoConfig(named, ours.text) : undefined
  if (context.program !== 'calicoctl') return undefined
  const given = readCalicoEnv(context.env)
  if (given !== undefined || ours !== undefined || isEtcdGiven(command, context)) return given
  const found = readCalicoConfig(CALICOCTL_CONFIG)
  if (found !== undefined) return found
  throw new ValidationError(`no etcd is given: set ETCD_ENDPOINTS, or write ${CALICOCTL_CONFIG} or ${DEFAULT_CONFIG_FILE}`)
}

/** Whether flags or the environment say in our words where etcd is. */
function isEtcdGiven(command: Command, { env }: Context): boolean {
  const flags = flagsOf(command)
  return SETTINGS.some(({ path, env: name }) => path.startsWith('etcd.') && (env[name] !== undefined || flags.has(path)))
}

function namedConfig(command: Command, context: Context): string | undefined {
  const named: unknown = command.getOptionValue('config')
  return typeof named === 'string' ? named : context.env[CONFIG_ENV]
}

function sourcesOf(command: Command, context: Context): ConfigSources {
  const file = readConfigFile(namedConfig(command, context))
  return { ...file, env: context.env, flags: flagsOf(command), hostname: context.hostname }
}

function flagsOf(command: Command): ReadonlyMap<string, string> {
  const values = command.opts<Record<string, unknown>>()
  const flags = new Map<string, string>()
  for (const setting of SETTINGS) {
    const value = values[new Option(setting.flag).attributeName()]
    if (value !== undefined) flags.set(setting.path, String(value))
  }
  return flags
}

/** Adds `-o`; the first format is the default. */
export function addOutputOption(command: Command, formats: readonly string[]): Command {
  const option = new Option('-o, --output <format>', 'output format').choices(formats)
  return command.addOption(option.default(formats[0]))
}

/** Adds `-n`. */
export function addNamespaceOption(command: Command): Command {
  return command.option('-n, --namespace <namespace>', 'namespace of namespaced kinds', parseName, 'default')
}

/** Adds `-n` where it matters whether it was given: not every kind has a namespace. */
export function addKindNamespaceOption(command: Command): Command {
  return command.option('-n, --namespace <namespace>', 'namespace of namespaced kinds ("default" unless given)', parseName)
}

/** Adds `--dry-run`, which a session obeys. */
export function addDryRunOption(command: Command): Command {
  return command.option('--dry-run', 'say what would be done, and write nothing')
}

/** Collects an option that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

/** A whole number in a range, for an option. */
export function parseCount(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= low && value <= high) return value
    throw new InvalidArgumentError(`Give a whole number from ${low} to ${high}.`)
  }
}

/** True or false, for an option. */
export function parseSwitch(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  throw new InvalidArgumentError('Give true or false.')
}

/** A name as resources have it: it becomes a part of paths and keys, so nothing else may get there. */
export function parseName(text: string): string {
  if (isName(text)) return text
  throw new InvalidArgumentError('Give lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit.')
}

/** Checks names that are arguments. */
export function checkNames(names: readonly string[]): void {
  const wrong = names.find((name) => !isName(name))
  if (wrong === undefined) return
  throw new UsageError(`${JSON.stringify(wrong)} is not a name, give lower-case letters, digits, "-" and "."`)
}

function isName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)
}

/** Splits `key=value` labels; a key once only. */
export function parseLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  const labels = new Map<string, string>()
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at < 1) throw new UsageError(`--label ${JSON.stringify(text)} is not a label, give key=value`)
    const key = text.slice(0, at)
    if (labels.has(key)) throw new UsageError(`--label ${JSON.stringify(key)} is given twice`)
    labels.set(key, text.slice(at + 1))
  }
  return Object.fromEntries(labels)
}
