import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { release } from 'node:os'
import { type Command, Option } from 'commander'
import { MargayError } from '../../errors.ts'
import type { Context, Outcome } from '../context.ts'
import { MARGAYD } from '../replay.ts'

const EXAMPLES = `
Examples:
  margay node checksystem

What a host must be able to do is tried in an empty network namespace, which goes with it: nothing of this host changes. Root is needed.`

/** The first kernel of which all that is used is known to work. */
const FIRST_KERNEL = [5, 14] as const

/** One line of `margayd --probe`. */
interface Probe {
  readonly name: string
  readonly about: string
  readonly isRequired: boolean
  readonly fault?: string
}

/** `margay node checksystem`. */
export function defineChecksystem(command: Command, context: Context, outcome: Outcome): void {
  command
    .description('check that this host can do what margay needs')
    .addOption(new Option('-f, --kernel-config <file>', 'not used: the kernel itself is asked').hideHelp())
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const isKernelGood = checkKernel(context)
      context.out('Checking kernel features...\n')
      const faults = (await readProbes(context)).filter((probe) => !showProbe(probe, context) && probe.isRequired)
      const who = context.program === 'calicoctl' ? 'Calico' : 'margay'
      if (isKernelGood && faults.length === 0) return context.out(`System meets minimum system requirements to run ${who}!\n`)
      context.err(`${context.program}: system doesn't meet one or more minimum system requirements to run ${who}\n`)
      outcome.code = 1
    })
}

function checkKernel(context: Context): boolean {
  context.out('Checking kernel version...\n')
  const isGood = isRecent(release())
  context.out(line(release(), isGood))
  if (!isGood) context.err(`${context.program}: this is Linux ${release()}, margay needs ${FIRST_KERNEL.join('.')} or newer\n`)
  return isGood
}

/** Whether a release such as `6.1.0-18-amd64` is new enough. */
export function isRecent(text: string): boolean {
  const [major = 0, minor = 0] = text.split(/[.-]/).map(Number)
  const [first, second] = FIRST_KERNEL
  return major > first || (major === first && minor >= second)
}

/** Shows one feature, and gives whether it works. */
function showProbe({ name, about, isRequired, fault }: Probe, context: Context): boolean {
  const isGood = fault === undefined
  context.out(line(name, isGood))
  if (!isGood) context.err(`${context.program}: ${isRequired ? '' : 'warning: '}no ${about} (${name}): ${fault}\n`)
  return isGood
}

/** As calicoctl prints it. */
function line(name: string, isGood: boolean): string {
  return `\t\t${name.padEnd(20)}\t\t\t\t\t${isGood ? 'OK' : 'FAIL'}\n`
}

async function readProbes(context: Context): Promise<readonly Probe[]> {
  if (process.geteuid?.() !== 0)
    throw new MargayError('permission', 'an empty network namespace can be made only by root: run this as root')
  if (!existsSync(MARGAYD)) throw new MargayError('not-found', `margayd is not beside this command: there is no ${MARGAYD}`)
  const child = spawn('unshare', ['--net', process.execPath, MARGAYD, '--probe'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: context.signal,
  })
  const written = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.err += text))
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0)
    throw new MargayError('not-applied', `the kernel could not be tried: ${written.err.trim() || `margayd ended with ${code}`}`)
  return written.out
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as Probe)
}
