import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { MargayError } from '../errors.ts'

/**
 * Writes a small file of the daemon's own, for root only, and makes its folder: either the old content stands or the new one, also
 * when the disk fills up or the power goes.
 *
 * @throws {MargayError} `file`, naming the file and what the disk said
 */
export function writeStateFile(file: string, text: string): void {
  const draft = `${file}.new`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeWhole(draft, text)
    renameSync(draft, file)
  } catch (cause) {
    rmSync(draft, { force: true })
    throw new MargayError('file', `could not write ${file}`, { cause })
  }
}

function writeWhole(file: string, text: string): void {
  const fd = openSync(file, 'w', 0o600)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
