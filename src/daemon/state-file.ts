import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MargayError } from '../errors.ts'
import { syncFolder } from '../store/sync-folder.ts'

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

/**
 * Replaces a file that may be large, for root only, while others run: either the old content stands or the new one, also when the disk
 * fills up or the power goes.
 *
 * @throws {MargayError} `file`, naming the file and what the disk said
 */
export async function replaceStateFile(path: string, text: string): Promise<void> {
  const draft = `${path}.new`
  try {
    // What a killed run has left may have another mode.
    await rm(draft, { force: true })
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {})
    throw new MargayError('file', `could not write ${path}`, { cause })
  }
}
