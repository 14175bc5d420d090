import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describeError, MargayError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { FOLLOWED_PREFIXES, TRIALS_PREFIX } from '../model/keys.ts'
import { Gist } from './gist.ts'
import type { Entry } from './store.ts'
import { syncFolder } from './sync-folder.ts'
import { MutableView } from './view.ts'

/** A view that was read from disk. */
export interface SavedView {
  readonly view: MutableView
  /** The cluster that it is of; empty if the store had none yet. */
  readonly clusterGUID: string
  /** RFC 3339. */
  readonly savedAt: string
}

const FORMAT = 'margay saved view 1'
/** So many lines are written at once; in between others may run. */
const CHUNK = 200
/** So many values are parsed at a stretch. */
const SLICE = 100

/**
 * Saves a view so that a host that starts without etcd has what it knew. JSON lines: the first says of which cluster and revision,
 * one for each key with the value's text as it was (64-bit numbers keep every digit; of endpoints a text that says the same), the
 * last has the count and the SHA-256 of all before. The old file stays whole until the new one is on disk. Works on what the view holds at the call.
 *
 * @throws {MargayError} `saved-view`, for instance when the disk is full; the old file is still there then
 */
export async function writeSavedView(path: string, view: MutableView, savedAt: string): Promise<void> {
  const clusterGUID = view.get('ClusterInformation').get('default')?.spec.clusterGUID ?? ''
  const revisions = FOLLOWED_PREFIXES.map((prefix) => [prefix, view.revisionAt(prefix)])
  const header = { format: FORMAT, clusterGUID, revision: view.revision, revisions, savedAt }
  // What hosts try is never begun from disk: nobody could say whether it still stands.
  const entries = view.history().filter(({ key }) => !key.startsWith(TRIALS_PREFIX))
  const temporary = `${path}.new`
  try {
    await unlink(temporary).catch(() => {})
    await withFile(temporary, async (file) => {
      const hash = createHash('sha256')
      await write(file, hash, [header])
      for (let i = 0; i < entries.length; i += CHUNK) {
        const lines = entries.slice(i, i + CHUNK).map(recordOf)
        await write(file, hash, lines)
      }
      await file.appendFile(`${JSON.stringify({ count: entries.length, sha256: hash.digest('hex') })}\n`)
      await file.sync()
    })
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await unlink(temporary).catch(() => {})
    throw new MargayError('saved-view', `cannot save the view to ${path}`, { cause })
  }
}

/** Reads a saved view; undefined if there is none, or if it is damaged, which is logged. */
export async function readSavedView(path: string, log: Logger): Promise<SavedView | undefined> {
  try {
    const text = await readFile(path, 'utf8')
    return await parse(text)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    log.warn({ path, reason: describeError(error) }, 'saved view was not usable')
    return undefined
  }
}

async function withFile(path: string, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    await use(file)
  } finally {
    await file.close()
  }
}

async function write(file: FileHandle, hash: ReturnType<typeof createHash>, lines: readonly unknown[]): Promise<void> {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  hash.update(text)
  await file.appendFile(text)
}

async function parse(text: string): Promise<SavedView> {
  const lines = text.split('\n')
  const last = lines.findLastIndex((line) => line !== '')
  const body = lines.slice(1, last)
  checkWhole(lines.slice(0, last), body.length, lines[last] ?? '')
  const header: unknown = JSON.parse(lines[0] ?? '')
  if (!isHeader(header)) throw new MargayError('saved-view', `it is not in the format ${JSON.stringify(FORMAT)}`)
  const view = new MutableView()
  for (const [i, line] of body.entries()) {
    if (i % SLICE === 0) await setImmediate()
    const record: unknown = JSON.parse(line)
    if (!isRecord(record)) throw new MargayError('saved-view', `a line is not a key, a revision and a value: ${line.slice(0, 60)}`)
    const [key, modRevision, value, fingerprint] = record
    const entry = { key, modRevision, value, lease: 0n }
    view.apply(key, entry, view.read(entry, fingerprint))
  }
  for (const [prefix, revision] of header.revisions) view.advance(prefix, revision)
  return { view, clusterGUID: header.clusterGUID, savedAt: header.savedAt }
}

/** A file that was cut off, or in which something was changed, must not become routes. */
function checkWhole(lines: readonly string[], count: number, end: string): void {
  const hash = createHash('sha256')
  for (const line of lines) hash.update(`${line}\n`)
  if (end !== JSON.stringify({ count, sha256: hash.digest('hex') })) throw new MargayError('saved-view', 'it is cut off or was changed')
}

interface Header {
  readonly clusterGUID: string
  readonly revisions: readonly (readonly [string, number])[]
  readonly savedAt: string
}

function isHeader(value: unknown): value is Header {
  if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== FORMAT) return false
  return 'clusterGUID' in value && typeof value.clusterGUID === 'string' && 'revisions' in value && Array.isArray(value.revisions)
}

/** A line of the file; with the fingerprint of the store's text where the value is another form of it. */
type SavedRecord = readonly [key: string, modRevision: number, value: string, fingerprint?: number]

function recordOf(entry: Entry): SavedRecord {
  const { key, modRevision, value } = entry
  return entry instanceof Gist ? [key, modRevision, value, entry.fingerprint] : [key, modRevision, value]
}

function isRecord(value: unknown): value is SavedRecord {
  if (!Array.isArray(value) || !(value[3] === undefined || typeof value[3] === 'number')) return false
  return typeof value[0] === 'string' && typeof value[1] === 'number' && typeof value[2] === 'string'
}
