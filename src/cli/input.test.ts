import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { readStream } from './input.ts'

const test = suite('cli/input')

const RESERVATION = 'apiVersion: projectcalico.org/v3\nkind: IPReservation\nmetadata: {name: t}\nspec: {reservedCIDRs: [192.0.2.1]}\n'

const files: readonly (readonly [name: string, bytes: Uint8Array, out: string, err: string])[] = [
  ['UTF-8', Buffer.from(RESERVATION), 'ipreservation/t is valid\n', ''],
  ['a mark of byte order', Buffer.from(`\ufeff${RESERVATION}`), 'ipreservation/t is valid\n', ''],
  [
    'a character of Latin-1',
    Buffer.from(`# a\n${RESERVATION}# \xfc\n`, 'latin1'),
    '',
    'margay: FILE is not UTF-8: line 6 has the byte 0xfc\n',
  ],
  [
    'a character that is cut off',
    Buffer.from(`${RESERVATION}# ü`).subarray(0, -1),
    '',
    'margay: FILE is not UTF-8: line 5 has the byte 0xc3\n',
  ],
  [
    'UTF-16',
    Buffer.from(`\ufeff${RESERVATION}`, 'utf16le'),
    '',
    'margay: FILE is not UTF-8: it is UTF-16, "iconv -f UTF-16 -t UTF-8" makes it UTF-8\n',
  ],
]
for (const [name, bytes, out, err] of files) {
  test(`a file with ${name} is ${err === '' ? 'read' : 'refused'}, not mended`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
    const file = join(folder, 't.yaml')
    writeFileSync(file, bytes)
    const done = await run(['validate', '-f', file])
    assert.equal([done.code, done.out, done.err.replace(JSON.stringify(file), 'FILE')], [err === '' ? 0 : 1, out, err])
    rmSync(folder, { recursive: true })
  })
}

test('what never ends is read to the limit, from a device and from a stream', async () => {
  const done = await run(['validate', '-f', '/dev/zero'])
  assert.equal([done.code, done.err], [1, 'margay: "/dev/zero" has more than 33554432 bytes, the most that is read\n'])
  const endless = Readable.from(
    (function* () {
      while (true) yield Buffer.alloc(1 << 20)
    })(),
  )
  await rejects(readStream(endless, 'standard input', new AbortController().signal), /^standard input has more than 33554432 bytes/)
})

test('Ctrl-C ends the wait for input', async () => {
  const interrupted = new AbortController()
  const reading = readStream(new Readable({ read: () => undefined }), 'standard input', interrupted.signal)
  interrupted.abort(new Error('interrupted'))
  await rejects(reading, /^interrupted$/)
})

async function rejects(work: Promise<unknown>, message: RegExp): Promise<void> {
  try {
    await work
  } catch (error) {
    assert.match((error as Error).message, message)
    return
  }
  assert.unreachable('nothing was thrown')
}

test.run()
