import { KernelError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { failureError, NETLINK_NETFILTER, type NetlinkAnswer, NetlinkSocket, yieldToLoop } from '../netlink/socket.ts'
import type { NftObject, NftSet } from '../objects.ts'
import type { Delta, Failures, KernelEvent, KernelTable } from '../table.ts'
import { NftBatch } from './batch.ts'
import { applyDelta, type DeltaContext, needsHandles, writePuts, writeRemoves } from './delta.ts'
import * as nft from './protocol.ts'
import { cutPuts } from './put-ahead.ts'
import { PutPlan } from './put-plan.ts'
import { readGeneration, readKnown, readRules, type Source } from './read.ts'
import { createRuleEncoder, isSameObject, type Known, listKnown } from './state.ts'
import { readTimed, type TimedChange, writeTimed } from './timed.ts'
import { watchRuleset } from './watch.ts'

/** How often a transaction is begun anew because others keep changing the rule set. */
const MAX_ATTEMPTS = 20
const ENOENT = 2
const EBUSY = 16
const ERESTART = 85

export interface NftablesOptions {
  /** A path or an open descriptor of the network namespace; else the caller's. */
  readonly netns?: string | number
  readonly log: Logger
  /** How often the generation is compared when no notification comes. */
  readonly pollMs?: number
}

/**
 * The table `inet margay`. It remembers what is in it at which generation of the rule set, so that a commit writes only what differs;
 * the kernel refuses the commit when the memory is out of date, and then the table is read again.
 */
export class NftablesTable implements KernelTable<NftObject> {
  private readonly source: Source
  private readonly options: NftablesOptions
  private readonly encode = createRuleEncoder()
  private known: Known | undefined
  /** What the kernel refused and was not put since: nothing new may come to refer to it. */
  private readonly refused = new Map<string, KernelError>()
  private wasThere: boolean | undefined
  private lastWork: Promise<unknown> = Promise.resolve()

  constructor(options: NftablesOptions) {
    this.options = options
    // A transaction is one send: 64 MiB are about two million addresses.
    const socket = new NetlinkSocket(NETLINK_NETFILTER, { netns: options.netns, sendBufferBytes: 64 << 20, receiveBufferBytes: 16 << 20 })
    this.source = { socket, table: nft.OUR_TABLE }
  }

  /** The port id of the writing socket: notifications that carry it are of our own changes. */
  get portId(): number {
    return this.source.socket.portId
  }

  /** Whether the table was there and in force when it was first read; undefined before that. */
  get hasInherited(): boolean | undefined {
    return this.wasThere
  }

  /** Sets with their elements, chains with the hashes of their rules. Sets and chains by others in our table are ours too: they go. */
  list(signal: AbortSignal): Promise<ReadonlyMap<string, NftObject>> {
    return this.exclusive(async () => {
      this.known = await readKnown(this.source, signal)
      this.wasThere ??= this.known.exists && !this.known.isDormant
      return listKnown(this.known)
    })
  }

  /**
   * Two transactions, puts then removes; more where much comes that nothing refers to yet (`cutPuts`). What is refused is left out with
   * what refers to it (`PutPlan`), and the rest of its transaction is sent again.
   */
  commit(delta: Delta<NftObject>, signal: AbortSignal): Promise<Failures> {
    return this.exclusive(async () => {
      const failures = await this.put(delta.put, signal)
      const removal = new Removal(delta.remove)
      await this.transact('remove', removal, signal)
      for (const key of delta.remove.keys()) this.refused.delete(key)
      return new Map([...failures, ...removal.failures])
    })
  }

  matches(desired: NftObject, actual: NftObject): boolean {
    return isSameObject(desired, actual, this.encode)
  }

  /**
   * Elements of a set with timeouts come to be, begin anew or go, at once and beside the desired state; what is gone already is success.
   * One call is one transaction, in microseconds; with thousands of elements it is several.
   *
   * @throws {KernelError} if the set is not there, or is full
   */
  changeTimed(set: NftSet, change: TimedChange): Promise<void> {
    return this.exclusive(() =>
      writeTimed(this.source, set, change, () => {
        if (this.known) this.known = { ...this.known, generation: nextGeneration(this.known.generation) }
      }),
    )
  }

  /** The elements of a set with timeouts, with the milliseconds that each has left; none where there is no such set. */
  listTimed(set: NftSet, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    return this.exclusive(() => readTimed(this.source, set, signal))
  }

  /** Yields `stale` when anybody else changed our table, until it was listed again. */
  events(signal: AbortSignal): AsyncIterable<KernelEvent> {
    return watchRuleset(this, this.options, signal)
  }

  /** Whether nobody but us has changed the rule set since the table was last read; true before the first reading. */
  isCurrent(): Promise<boolean> {
    return this.exclusive(async () => this.known === undefined || readGeneration(this.source.socket) === this.known.generation)
  }

  /** Takes note of a generation in which others changed other tables only. */
  skipGeneration(generation: number): void {
    if (this.known && nextGeneration(this.known.generation) === generation) this.known = { ...this.known, generation }
  }

  /** Deletes the table with all that is in it. Absent is success. */
  cleanup(): Promise<void> {
    return this.exclusive(async () => {
      const batch = new NftBatch(() => this.source.socket.nextSequence(), 0)
      batch.add('', nft.MESSAGE.delTable, 0, (writer) => writer.text(nft.TABLE.name, this.source.table))
      const [failure] = this.source.socket.request(batch.finish()).failures
      this.known = undefined
      if (failure && failure.errno !== ENOENT) throw failureError(`delete the table inet ${this.source.table}`, failure)
    })
  }

  close(): void {
    this.source.socket.close()
  }

  private async put(wanted: ReadonlyMap<string, NftObject>, signal: AbortSignal): Promise<Failures> {
    const failures = new Map<string, KernelError>()
    if (wanted.size === 0) return failures
    this.known ??= await readKnown(this.source, signal)
    let isFirst = true
    for (const part of cutPuts(wanted, this.known)) {
      if (!isFirst) await yieldToLoop()
      isFirst = false
      const plan = new PutPlan(part, this.refused)
      await this.transact('put', plan, signal)
      for (const [key, error] of plan.failures) failures.set(key, error)
    }
    return failures
  }

  private async transact(kind: 'put' | 'remove', work: PutPlan | Removal, signal: AbortSignal): Promise<void> {
    const { pending } = work
    for (let attempt = 1; pending.size > 0; attempt++) {
      this.known ??= await readKnown(this.source, signal)
      work.leaveOut(this.known)
      if (pending.size === 0) return
      const known = await this.readForWriting(kind, pending, signal)
      const context = { table: this.source.table, known, encode: this.encode }
      const batch = new NftBatch(() => this.source.socket.nextSequence(), known.generation)
      if (kind === 'put') writePuts(batch, context, pending)
      else writeRemoves(batch, context, pending)
      const outcome = batch.size === 0 ? DONE : this.send(kind, batch)
      if (outcome.isDone) {
        this.remember(kind, context, pending, batch.size)
        return work.done()
      }
      if (outcome.isOutdated) this.known = undefined
      if (outcome.isOutdated && attempt < MAX_ATTEMPTS) continue
      work.refuse(errorsByKey(pending, outcome.errors), known)
    }
  }

  /** What is there, with the handles of rules that stand between what is to change. */
  private async readForWriting(kind: string, pending: ReadonlyMap<string, NftObject>, signal: AbortSignal): Promise<Known> {
    this.known ??= await readKnown(this.source, signal)
    const { known } = this
    if (kind === 'remove') return known
    for (const object of pending.values()) {
      const chain = known.chains.get(object.name)
      if (!chain || !needsHandles({ table: this.source.table, known, encode: this.encode }, object)) continue
      known.chains.set(object.name, { ...chain, rules: await readRules(this.source, object.name, signal) })
    }
    return known
  }

  private send(kind: string, batch: NftBatch): Outcome {
    const started = performance.now()
    const answer = this.source.socket.request(batch.finish())
    const outcome = judge(answer, batch, kind)
    const ms = Math.round((performance.now() - started) * 1000) / 1000
    this.options.log.debug({ table: 'policy', count: batch.size, ms }, outcome.isDone ? 'ruleset committed' : 'ruleset refused')
    return outcome
  }

  private remember(kind: string, context: DeltaContext, objects: ReadonlyMap<string, NftObject>, changes: number): void {
    const [puts, removes] = kind === 'put' ? [objects, NOTHING] : [NOTHING, objects]
    const known = applyDelta(context, puts, removes)
    this.known = changes === 0 ? known : { ...known, generation: nextGeneration(known.generation) }
  }

  /** One after the other: between reading and writing nothing of ours may come. */
  private exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.lastWork.then(work)
    this.lastWork = result.catch(() => {})
    return result
  }
}

/** What became of one batch; `errors` by the key of the object, under the empty key what concerns all of them. */
interface Outcome {
  readonly isDone: boolean
  /** Somebody else changed the rule set since it was read. */
  readonly isOutdated: boolean
  readonly errors: ReadonlyMap<string, KernelError>
}

const DONE: Outcome = { isDone: true, isOutdated: false, errors: new Map() }
const NOTHING: ReadonlyMap<string, NftObject> = new Map()

function judge(answer: NetlinkAnswer, batch: NftBatch, kind: string): Outcome {
  if (answer.failures.length === 0 && answer.acknowledged.size > 0 && !answer.isOverrun) return DONE
  const errors = new Map<string, KernelError>()
  for (const failure of answer.failures) {
    const key = batch.ownerOf(failure.sequence)
    // Of several errors of one object the first is the cause: a set that is not made makes its elements fail too.
    const text = failure.text ?? EXPLANATIONS[failure.errno]
    if (errors.has(key)) continue
    const error = failureError(describeChange(kind, key), { errno: failure.errno, text })
    errors.set(key, kind === 'remove' && failure.errno === EBUSY ? new StillReferredTo(error.message) : error)
  }
  if (errors.size === 0) errors.set('', new KernelError(`could not ${describeChange(kind, '')}: the kernel's answer was lost`))
  const isLost = answer.isOverrun || answer.failures.length === 0
  return { isDone: false, isOutdated: isLost || answer.failures.some(({ errno }) => errno === ERESTART), errors }
}

function describeChange(kind: string, key: string): string {
  return `${kind} ${key === '' ? 'objects' : JSON.stringify(key)} in the table inet ${nft.OUR_TABLE}`
}

/** What the kernel means where it has no words of its own. */
const EXPLANATIONS: Readonly<Record<number, string>> = {
  1: 'it needs root, and a table without an owner',
  2: 'a chain, a set or a kernel module that a rule refers to is missing',
  16: 'something still refers to it',
  17: 'it is there already, or two prefixes overlap',
  31: 'chains jump in a circle or over more than 15 levels',
  85: 'other programs keep changing the rule set',
}

/** Where the refusal is not of one object, it is of all. */
function errorsByKey(pending: ReadonlyMap<string, NftObject>, errors: ReadonlyMap<string, KernelError>): ReadonlyMap<string, KernelError> {
  const named = [...errors].filter(([key]) => key !== '')
  const whole = errors.get('')
  return new Map(named.length > 0 || whole === undefined ? named : [...pending.keys()].map((key) => [key, whole] as const))
}

/** Something still refers to what was to go: it is tried again. */
export class StillReferredTo extends KernelError {}

/** What is to go; what can't is left out. */
class Removal {
  readonly pending: Map<string, NftObject>
  readonly failures = new Map<string, KernelError>()

  constructor(unwanted: ReadonlyMap<string, NftObject>) {
    this.pending = new Map(unwanted)
  }

  refuse(errors: ReadonlyMap<string, KernelError>): void {
    for (const [key, error] of errors) {
      this.failures.set(key, error)
      this.pending.delete(key)
    }
  }

  leaveOut(): void {}

  done(): void {}
}

/** The kernel leaves out 0, which means "any" in a batch. */
function nextGeneration(generation: number): number {
  return generation === 0xffff_ffff ? 1 : generation + 1
}
