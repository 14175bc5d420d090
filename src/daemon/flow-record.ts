import { readFileSync, rmSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describeError, MargayError } from '../errors.ts'
import type { Connection } from '../kernel/conntrack/connection.ts'
import type { Logger } from '../log.ts'
import type { Flow } from '../policy/flow.ts'

/** What of a host's flows a daemon that comes after must know. It is in the run folder: with a reboot there are no flows any more. */
export interface FlowRecord {
  /** The host endpoints under which flows were judged, each with its interface. */
  readonly endpoints: readonly string[]
  /** Flows that a host endpoint denies and that were there before it: by their key the endpoint. */
  readonly tolerated: Readonly<Record<string, string>>
  /** Flows that were ended and may still have packets on their way. */
  readonly ended: readonly Flow[]
}

/** Of more ended flows a new daemon does not know which: they are ended all the same until their time is over. */
const MOST_ENDED = 5000

export function flowRecordPath(runFolder: string): string {
  return join(runFolder, 'flows.json')
}

/** What the daemon before has left; undefined where none has run since the host started, or what it left can't be read. */
export function readFlowRecord(runFolder: string, log: Logger): FlowRecord | undefined {
  const path = flowRecordPath(runFolder)
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as FlowRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ path, reason: describeError(error) }, 'record of flows can not be read')
    return undefined
  }
}

/**
 * Gives the text that was written; one that is `written` already is not written again. Not waited for the disk, as state is: after a loss of
 * power nobody asks for it.
 *
 * @throws {MargayError} `file`
 */
export async function writeFlowRecord(runFolder: string, record: FlowRecord, written?: string): Promise<string> {
  const text = JSON.stringify({ ...record, ended: record.ended.slice(0, MOST_ENDED).map(onlyFlow) })
  if (text === written) return text
  const path = flowRecordPath(runFolder)
  const draft = `${path}.new`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeFile(draft, text, { mode: 0o600 })
    await rename(draft, path)
  } catch (cause) {
    await rm(draft, { force: true })
    throw new MargayError('file', `could not write ${path}`, { cause })
  }
  return text
}

/** After this the flows that are there are taken as those that were there before any rules. */
export function forgetFlowRecord(runFolder: string): void {
  rmSync(flowRecordPath(runFolder), { force: true })
}

/** Names a connection, also among later ones between the same ends. */
export function flowKey({ id, original }: Connection): string {
  const { protocol, source, sourcePort = 0, destination, destinationPort = 0 } = original
  return `${id} ${protocol} ${source} ${sourcePort} ${destination} ${destinationPort}`
}

function onlyFlow({ family, original, reply }: Flow): Flow {
  return { family, original, reply }
}
