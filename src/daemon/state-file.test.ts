import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFolder, refusal } from '../../test/support/daemon.ts'
import { writeStateFile } from './state-file.ts'

const test = suite('daemon/state-file')

test('a file is written whole, for root only, and its folder is made', () => {
  const folder = aFolder()
  const file = join(folder.path, 'netns', 'one.json')
  writeStateFile(file, 'first\n')
  writeStateFile(file, 'second\n')
  assert.is(readFileSync(file, 'utf8'), 'second\n')
  assert.is(statSync(file).mode & 0o777, 0o600)
  assert.equal(readdirSync(join(folder.path, 'netns')), ['one.json'])
  folder.close()
})

test('a full disk is said with the name of the file, and leaves the old content', async () => {
  const folder = aFolder()
  const disk = join(folder.path, 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', disk])
  try {
    const file = join(disk, 'instance')
    writeFileSync(file, 'old\n')
    const said = await refusal((async () => writeStateFile(file, 'new\n'))())
    assert.is(said, `could not write ${file}: ENOSPC: no space left on device, write`)
    assert.is(readFileSync(file, 'utf8'), 'old\n')
    assert.equal(readdirSync(disk), ['instance'])
  } finally {
    execFileSync('umount', [disk])
    folder.close()
  }
})

test.run()
