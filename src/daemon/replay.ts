import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { isDeepStrictEqual } from 'node:util'
import { MargayError, ValidationError } from '../errors.ts'
import { APPLY_ORDER, type TableName } from '../kernel/objects.ts'
import { SharedSet } from '../net/shared-set.ts'
import { type DesiredTables, Merger } from '../reconcile/merge.ts'
import { type Change, MutableView } from '../store/view.ts'
import type { Facts } from './facts.ts'
import { planView } from './plan-view.ts'
import { Planner } from './planner.ts'
import { RECORDING_FORMAT, type RecordedFacts, type RecordedStep } from './record.ts'

/** What a replay found. */
export interface ReplayReport {
  readonly steps: number
  /** Objects of which the plan by changes and a fresh plan of the same view say different things, over all steps. */
  readonly differences: number
  /** Of everything that is wanted at the end: two versions that want the same give the same. */
  readonly sha256: string
}

/**
 * Runs a recording through the planners of this version, step by step: tells what each step changes in what is wanted, and checks that
 * planning by changes comes to what a fresh plan of the same view comes to.
 *
 * @throws {ValidationError} naming the line that is not of a recording
 */
export async function replay(lines: AsyncIterable<string>, tell: (text: string) => void): Promise<ReplayReport> {
  const replayer = new Replayer()
  let number = 0
  for await (const line of lines) {
    number++
    try {
      if (number === 1) checkFormat(JSON.parse(line))
      else tell(await replayer.step(number - 1, parseStep(JSON.parse(line))))
    } catch (cause) {
      throw new ValidationError(`line ${number} of the recording can't be used`, [], { cause })
    }
  }
  if (number === 0) throw new ValidationError('the recording is empty')
  const report = replayer.report(number - 1)
  tell(
    `${report.steps} steps, ${replayer.size} objects wanted, ${report.differences} differences from a fresh plan\nsha256 ${report.sha256}\n`,
  )
  return report
}

class Replayer {
  readonly #view = new MutableView()
  readonly #merger = new Merger()
  readonly #planner = new Planner(this.#merger)
  /** What was wanted after the last step, as text. */
  #before = showAll(this.#merger.tables)
  #facts: Facts | undefined
  #differences = 0

  get size(): number {
    return this.#before.size
  }

  async step(number: number, { at, revisions, entries, facts }: RecordedStep): Promise<string> {
    const changes: Change[] = []
    for (const [key, modRevision, value] of entries) {
      changes.push(...this.#view.apply(key, value === null ? undefined : { key, modRevision, value, lease: 0n }))
    }
    for (const [prefix, revision] of revisions) this.#view.advance(prefix, revision)
    if (facts !== undefined) this.#facts = readFacts(facts)
    const head = `step ${number}  ${at}  revision ${this.#view.revision}  ${changes.length} changes\n`
    // Planning begins, as in the daemon, when the host's facts are known.
    if (this.#facts === undefined) return head
    await this.#planner.plan(this.#view, changes, this.#facts, new Map())
    return `${head}${this.#changedRows()}${this.#checkAgainstFresh(this.#facts)}`
  }

  report(steps: number): ReplayReport {
    const sorted = [...this.#before].sort(([a], [b]) => (a < b ? -1 : 1))
    const sha256 = createHash('sha256')
      .update(sorted.map(([id, text]) => `${id} ${text}\n`).join(''))
      .digest('hex')
    return { steps, differences: this.#differences, sha256 }
  }

  #changedRows(): string {
    const after = showAll(this.#merger.tables)
    const rows = [...new Set([...this.#before.keys(), ...after.keys()])].sort().flatMap((id) => {
      const [was, is] = [this.#before.get(id), after.get(id)]
      return was === is ? [] : [`  ${was === undefined ? '+' : is === undefined ? '-' : '~'} ${id}\n`]
    })
    this.#before = after
    return rows.join('')
  }

  #checkAgainstFresh(facts: Facts): string {
    const fresh = new Merger()
    for (const [group, { part }] of planView(this.#view, facts)) fresh.set(group, part, new Map())
    const rows = APPLY_ORDER.flatMap((table) => differing(table, this.#merger.tables, fresh.tables))
    this.#differences += rows.length
    return rows.map((row) => `  ! ${row}: planned anew it is different\n`).join('')
  }
}

function differing(table: TableName, a: DesiredTables, b: DesiredTables): readonly string[] {
  const keys = new Set([...a[table].keys(), ...b[table].keys()])
  return [...keys]
    .filter((key) => !isDeepStrictEqual(inOrder(a[table].get(key)), inOrder(b[table].get(key))))
    .map((key) => `${table} ${key}`)
}

/** Every object by `<table> <key>`, as text that is the same for the same value. */
function showAll(tables: DesiredTables): ReadonlyMap<string, string> {
  return new Map(
    APPLY_ORDER.flatMap((table) => [...tables[table]].map(([key, value]) => [`${table} ${key}`, JSON.stringify(inOrder(value))] as const)),
  )
}

/** With members in the order of their names, and sets as sorted lists. */
function inOrder(value: unknown): unknown {
  if (value instanceof Set || value instanceof SharedSet) return [...value].sort()
  if (Array.isArray(value)) return value.map(inOrder)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(members.map(([name, item]) => [name, inOrder(item)]))
}

function checkFormat(header: unknown): void {
  const isKnown = typeof header === 'object' && header !== null && 'format' in header && header.format === RECORDING_FORMAT.format
  if (!isKnown) throw new ValidationError(`it is not ${JSON.stringify(RECORDING_FORMAT)}, as the first line of margay debug record is`)
}

function parseStep(value: unknown): RecordedStep {
  const step = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof RecordedStep, unknown>>
  const { at, revisions, entries, facts } = step
  if (typeof at !== 'string') throw new ValidationError('at is missing')
  if (!Array.isArray(revisions) || !revisions.every(isRevision)) throw new ValidationError('revisions are not [prefix, revision]')
  if (!Array.isArray(entries) || !entries.every(isEntry)) throw new ValidationError('entries are not [key, modRevision, value]')
  if (facts !== undefined && !isFacts(facts)) throw new ValidationError('facts are not those of a host')
  return { at, revisions, entries, ...(facts === undefined ? {} : { facts }) }
}

function isRevision(value: unknown): value is RecordedStep['revisions'][number] {
  return Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'number'
}

function isEntry(value: unknown): value is RecordedStep['entries'][number] {
  const [key, revision, text] = Array.isArray(value) ? value : []
  return typeof key === 'string' && typeof revision === 'number' && (text === null || typeof text === 'string')
}

function isFacts(value: unknown): value is RecordedFacts {
  if (typeof value !== 'object' || value === null) return false
  const facts = value as Partial<Record<keyof RecordedFacts, unknown>>
  const lists = [facts.netns, facts.timedOut, facts.interfaces, facts.advertisedLinks, facts.filteredUplinks]
  const objects = [facts.underlay, facts.capabilities]
  return typeof facts.node === 'string' && lists.every(Array.isArray) && objects.every((item) => typeof item === 'object' && item !== null)
}

function readFacts({ netns, timedOut, ...rest }: RecordedFacts): Facts {
  return { ...rest, netns: new Map(netns), timedOut: new Set(timedOut) }
}

/** Replays a file, `-` for standard input: `margayd --replay FILE`. Gives the exit code: 1 where the two plans differ. */
export async function replayFile(file: string | undefined, tell: (text: string) => void): Promise<number> {
  if (file === undefined || file === '') throw new ValidationError('--replay needs the file of a recording, or - for standard input')
  const input = file === '-' ? process.stdin : await openRecording(file)
  const { differences } = await replay(createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }), tell)
  return differences === 0 ? 0 : 1
}

async function openRecording(file: string): Promise<NodeJS.ReadableStream> {
  try {
    return (await open(file)).createReadStream()
  } catch (cause) {
    throw new MargayError('file', `the recording ${file} could not be read`, { cause })
  }
}
