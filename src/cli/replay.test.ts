import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Context } from './context.ts'
import { replayRecording } from './replay.ts'

const test = suite('cli/replay')

/** Replays with a program in the place of margayd. */
async function replay(program: string | undefined) {
  const folder = mkdtempSync(join(tmpdir(), `mgt-${process.pid}-`))
  const margayd = join(folder, 'margayd.js')
  const written = { out: '', err: '' }
  const context = {
    out: (text: string) => {
      written.out += text
    },
    err: (text: string) => {
      written.err += text
    },
    signal: new AbortController().signal,
  } as unknown as Context
  try {
    if (program !== undefined) writeFileSync(margayd, program)
    const code = await replayRecording('bug.ndjson', context, margayd)
    return { code, ...written }
  } catch (error) {
    return (error as Error).message.replace(folder, '/usr/lib/margay')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('margayd beside the command replays the file, and its words and its end are passed on', async () => {
  const asked = 'process.stdout.write(process.argv.slice(2).join(" ")); process.stderr.write("said")'
  assert.equal(await replay(asked), { code: 0, out: '--replay bug.ndjson', err: 'said' })
  for (const code of [1, 2, 9]) assert.equal(await replay(`process.exitCode = ${code}`), { code: 1, out: '', err: '' })
})

test('a margayd that is not there is named', async () => {
  assert.is(await replay(undefined), 'margayd is not beside this command: there is no /usr/lib/margay/margayd.js')
})

test.run()
