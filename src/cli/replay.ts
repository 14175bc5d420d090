import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MargayError } from '../errors.ts'
import type { Context, ExitCode } from './context.ts'

/** Where margayd lies: beside this program, in the build as in the package. */
export const MARGAYD = join(import.meta.dirname, 'margayd.js')

/** Has margayd of this version replay a recording: only the daemon holds all planners. `-` is standard input. */
export async function replayRecording(file: string, context: Context, margayd: string = MARGAYD): Promise<ExitCode> {
  if (!existsSync(margayd)) throw new MargayError('not-found', `margayd is not beside this command: there is no ${margayd}`)
  const child = spawn(process.execPath, [margayd, '--replay', file], { stdio: ['inherit', 'pipe', 'pipe'], signal: context.signal })
  child.stdout.setEncoding('utf8').on('data', (text: string) => context.out(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => context.err(text))
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  return code === 0 ? 0 : 1
}
