import { MargayError } from '../errors.ts'
import { type Program, UsageError } from './context.ts'

/** The name under which we were called, of the path of our first argument: a link of calicoctl's name makes us that. */
export function programOf(path: string | undefined): Program {
  return /(^|\/)calicoctl(\.\w+)?$/.test(path ?? '') ? 'calicoctl' : 'margay'
}

/** What calicoctl takes before and after every command: with a value, and without. */
const WITH_VALUE: readonly string[] = ['-l', '--log-level', '--context']
const WITHOUT_VALUE: readonly string[] = ['--allow-version-mismatch']

const LOG_LEVELS: readonly string[] = ['panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace']

/**
 * The command line without calicoctl's flags for all commands: there is no log and no Kubernetes here, and versions are not compared.
 *
 * @throws {UsageError} for a flag without its value, or a log level that calicoctl does not have
 */
export function withoutGlobalFlags(argv: readonly string[]): readonly string[] {
  const rest: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? ''
    if (word === '--') return [...rest, ...argv.slice(index)]
    const [name = '', inline] = word.startsWith('--') ? word.split(/=(.*)/s) : [word]
    if (WITHOUT_VALUE.includes(name)) continue
    if (!WITH_VALUE.includes(name)) {
      // An older name of -A.
      rest.push(name === '-a' ? '-A' : word)
      continue
    }
    const value = inline ?? argv[++index]
    if (value === undefined) throw new UsageError(`the flag ${name} needs a value`)
    if (name !== '--context') checkLogLevel(value)
  }
  return rest
}

function checkLogLevel(level: string): void {
  if (LOG_LEVELS.includes(level.toLowerCase())) return
  throw new UsageError(`${JSON.stringify(level)} is not a log level, give one of ${LOG_LEVELS.join(', ')}`)
}

/** Commands of calicoctl that there are none of here, with what is done instead. */
const REFUSED: Readonly<Record<string, string>> = {
  convert: 'resources of the v1 API are not converted here, use calicoctl convert of version 3.26 and apply what it writes',
  cluster: 'calicoctl cluster collects from Kubernetes; "margay status -o json" and "margay debug record FILE" say what this host knows',
  'node diags':
    'there is no bundle of everything; "margay status -o json", "margay diff" and "margay debug record FILE" say what this host knows',
  'node run': 'margayd is the node here: "systemctl enable --now margayd", its configuration is /etc/margay/config.json',
}

/** Refuses what calicoctl has and we have not, in words that say what to do. */
export function refuseForeign(argv: readonly string[]): void {
  const words = argv.filter((word) => !word.startsWith('-')).slice(0, 2)
  const why = REFUSED[words[0] ?? ''] ?? REFUSED[words.join(' ')]
  if (why !== undefined) throw new MargayError('usage', why)
}
