import { createWriteStream, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createStandardOutput } from './standard-output.ts'

const test = suite('cli/standard-output')

/** A stream as process.stdout is one, of a file. */
function streamOf(path: string) {
  const fd = openSync(path, 'w')
  return Object.assign(createWriteStream(path, { fd }), { fd })
}

test('a file gets everything, in order', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
  const path = join(folder, 'out')
  const output = createStandardOutput(streamOf(path))
  const text = `ü${'x'.repeat(5_000_000)}\n`
  output.write(text)
  output.write('')
  output.write('end\n')
  await output.flush()
  assert.ok(readFileSync(path, 'utf8') === `${text}end\n`)
  assert.is(output.failure(), undefined)
  rmSync(folder, { recursive: true })
})

test('a disk that is full is known at the end, and writing to it does not throw', async () => {
  const output = createStandardOutput(streamOf('/dev/full'))
  output.write('one\n')
  await output.flush()
  output.write('two\n')
  assert.is(output.failure()?.code, 'ENOSPC')
})

test('a reader that has gone is known, and does not end the command', async () => {
  const gone = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
  const pipe = new Writable({ write: (_chunk, _encoding, done) => done(gone) })
  const output = createStandardOutput(Object.assign(pipe, { fd: openSync('/dev/null', 'w') }))
  output.write('one\n')
  await output.flush()
  assert.is(output.failure()?.code, 'EPIPE')
})

test.run()
