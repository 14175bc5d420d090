import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import type { Command } from 'commander'
import { MargayError } from '../../errors.ts'
import { apiFor } from '../api.ts'
import type { AddCommand, Context } from '../context.ts'
import { addApiOptions, parseCount } from '../options.ts'
import { replayRecording } from '../replay.ts'

const RECORD_EXAMPLES = `
Examples:
  margay debug record bug.ndjson --seconds 60
  margay debug record - | gzip > bug.ndjson.gz`

const REPLAY_EXAMPLES = `
Examples:
  margay debug replay bug.ndjson`

/** `margay debug record|replay`. */
export const addDebugCommand: AddCommand = (parent, context, outcome) => {
  const debug = parent.command('debug').description('recordings for bug reports and tests')
  const record = debug
    .command('record')
    .description('write what the daemon sees to a file, and what it makes of it')
    .argument('<file>', 'file, or - for standard output')
  addApiOptions(record)
    .option('--seconds <n>', 'how long', parseCount(1, 86_400), 30)
    .addHelpText('after', RECORD_EXAMPLES)
    .action((file: string) => recordTo(file, record, context))
  const replay = debug
    .command('replay')
    .description('run a recording through the planners of this version: what each step changes, and whether planning by changes holds')
    .argument('<file>', 'file, or - for standard input')
  replay.addHelpText('after', REPLAY_EXAMPLES).action(async (file: string) => {
    outcome.code = await replayRecording(file, context)
  })
}

async function recordTo(file: string, command: Command, context: Context): Promise<void> {
  const seconds = Number(command.getOptionValue('seconds'))
  const path = `/v1/debug/record?seconds=${seconds}`
  const parts = await apiFor(command, context).stream({ path, timeoutMs: (seconds + 10) * 1000 })
  if (file === '-') {
    for await (const part of parts) context.out(part.toString('utf8'))
    return
  }
  const bytes = await writeAll(file, parts)
  context.err(`${bytes} bytes written to ${file}\n`)
}

async function writeAll(file: string, parts: AsyncIterable<Buffer>): Promise<number> {
  const target = createWriteStream(file, { mode: 0o600 })
  try {
    await once(target, 'open')
    for await (const part of parts) if (!target.write(part)) await once(target, 'drain')
    target.end()
    await once(target, 'close')
    return target.bytesWritten
  } catch (cause) {
    target.destroy()
    throw new MargayError('file', `the recording could not be written to ${file}`, { cause })
  }
}
