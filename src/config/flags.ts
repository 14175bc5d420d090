import { didYouMean, nearest } from '../model/issues.ts'
import type { Layer } from './file.ts'
import { quote } from './formats.ts'
import { SETTINGS, type Setting } from './schema.ts'

/** The environment variable that names the configuration file. */
export const CONFIG_ENV = 'MARGAY_CONFIG'

/** Variables with our prefix that are no keys: the file's name, the command line's, the native add-on's path, and those of the tests. */
const OTHER_ENV: RegExp = /^MARGAY_(CONFIG|CLI_NAME|NATIVE|ETCD|TEST|TEST_\w+|SOAK_SECONDS)$/

/** The values that the environment gives. An unknown `MARGAY_*` is a typing error more often than not, so it is refused. */
export function readEnvLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const byName = new Map(SETTINGS.map((setting) => [setting.env, setting]))
  const given: { path: string; raw: string; source: string }[] = []
  const wrong: { source: string; path: string; message: string }[] = []
  for (const [name, raw] of Object.entries(env)) {
    if (raw === undefined || !name.startsWith('MARGAY_') || OTHER_ENV.test(name)) continue
    const setting = byName.get(name)
    if (setting) given.push({ path: setting.path, raw, source: name })
    else wrong.push({ source: name, path: '', message: `unknown variable${meantVariable(name)}` })
  }
  return { given, wrong }
}

/** Compared without the prefix that all have, which would make every name near. */
function meantVariable(name: string): string {
  const short = (variable: string) => variable.replace(/^MARGAY_/, '')
  const near = nearest(
    short(name),
    SETTINGS.map(({ env }) => short(env)),
  )
  return near === undefined ? '' : `: did you mean "MARGAY_${near}"?`
}

/** The values that flags give, by the key's path. */
export function flagLayer(flags: ReadonlyMap<string, string>): Layer {
  const given = SETTINGS.flatMap((setting) => {
    const raw = flags.get(setting.path)
    return raw === undefined ? [] : [{ path: setting.path, raw, source: setting.flag }]
  })
  return { given, wrong: [] }
}

/** A command line taken apart: values by the key's path, the file's name, the switches that were given, and what is wrong. */
export interface Arguments {
  readonly flags: ReadonlyMap<string, string>
  readonly configFile: string | undefined
  readonly switches: ReadonlySet<string>
  readonly wrong: Layer['wrong']
}

/**
 * Takes a daemon's command line apart: `--key value`, `--key=value`, and for switches also `--key` and `--no-key`.
 * `switches` are words such as `--cleanup` that have no value and no key.
 */
export function readArguments(argv: readonly string[], switches: readonly string[]): Arguments {
  const result = {
    flags: new Map<string, string>(),
    configFile: undefined as string | undefined,
    switches: new Set<string>(),
    wrong: [] as Wrongs,
  }
  const rest = [...argv]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const fault = readArgument(word, rest, switches, result)
    if (fault !== undefined) result.wrong.push({ source: word.replace(/=.*/s, ''), path: '', message: fault })
  }
  return result
}

type Wrongs = { source: string; path: string; message: string }[]
type Result = { flags: Map<string, string>; configFile: string | undefined; switches: Set<string> }

function readArgument(word: string, rest: string[], switches: readonly string[], result: Result): string | undefined {
  if (switches.includes(word)) {
    result.switches.add(word)
    return undefined
  }
  const [, name = word, inline] = /^([^=]+)=(.*)$/s.exec(word) ?? []
  const negated = SETTINGS.find((setting) => isSwitch(setting) && inline === undefined && name === setting.flag.replace('--', '--no-'))
  const setting = negated ?? SETTINGS.find((each) => each.flag === name)
  if (setting === undefined && name !== '--config') return unknown(name, switches)
  const bare = setting !== undefined && isSwitch(setting) ? String(negated === undefined) : undefined
  const value = inline ?? bare ?? (rest[0]?.startsWith('--') ? undefined : rest.shift())
  if (value === undefined) return 'needs a value'
  if (setting === undefined) result.configFile = value
  else if (result.flags.has(setting.path)) return 'given twice'
  else result.flags.set(setting.path, value)
  return undefined
}

function unknown(name: string, switches: readonly string[]): string {
  if (!name.startsWith('-')) return `unexpected argument ${quote(name)}, a switch takes its value as in --etcd-embedded=false`
  return `unknown flag${didYouMean(name, [...SETTINGS.map((setting) => setting.flag), '--config', ...switches])}`
}

/** Whether a key is true or false, so that its flag may stand without a value. */
export function isSwitch(setting: Setting): boolean {
  return typeof setting.default === 'boolean'
}
