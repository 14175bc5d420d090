import { describeError, ValidationError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { FailureReport } from '../model/own/api.ts'
import { ASK_PREFIX, type Ask, type AskAnswer, answerKey, decodeAsk, isAskKey } from '../model/own/ask.ts'
import { CompactedError, type Entry, type Store } from '../store/store.ts'
import { pause } from './wake.ts'

/** A question holds the first reasons only: there may be thousands. */
const MOST_REASONS = 5
/** So many questions wait for one host at once; who asks more has gone wrong. */
const MOST_PENDING = 1000

/** Answers those who ask when a revision is applied on this host (model/own/ask). */
export class Answers {
  readonly #store: Store
  readonly #node: string
  readonly #log: Logger
  readonly #failures: () => readonly FailureReport[]
  readonly #pending = new Map<string, { readonly ask: Ask; readonly modRevision: number }>()
  #applied = 0

  constructor(parts: { store: Store; node: string; log: Logger; failures: () => readonly FailureReport[] }) {
    this.#store = parts.store
    this.#node = parts.node
    this.#log = parts.log
    this.#failures = parts.failures
  }

  /** A pass is over: everything up to this revision was tried. */
  note(revision: number): void {
    this.#applied = revision
    for (const key of [...this.#pending.keys()]) this.#answerIfApplied(key)
  }

  /** Listens for questions until the signal aborts; a store that is away is listened to again when it is back. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const { events } of this.#store.watch(ASK_PREFIX, 0, signal)) {
          for (const { key, entry } of events) if (isAskKey(key)) this.#take(key, entry)
        }
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof CompactedError)) this.#log.debug({ reason: describeError(error) }, 'questions to all hosts are not heard')
      }
      await pause(1000, signal)
    }
  }

  #take(key: string, entry: Entry | undefined): void {
    this.#pending.delete(key)
    if (entry === undefined || this.#pending.size >= MOST_PENDING) return
    try {
      this.#pending.set(key, { ask: decodeAsk(entry.value), modRevision: entry.modRevision })
      this.#answerIfApplied(key)
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error
      this.#log.debug({ key, reason: error.message }, 'passed over a question')
    }
  }

  #answerIfApplied(key: string): void {
    const pending = this.#pending.get(key)
    // Before the first pass nothing is applied, whatever was asked.
    if (pending === undefined || this.#applied === 0 || this.#applied < pending.ask.revision) return
    this.#pending.delete(key)
    void this.#answer(key, pending.ask, pending.modRevision).catch((error: unknown) => {
      this.#log.debug({ key, reason: describeError(error) }, 'a question was not answered')
    })
  }

  async #answer(key: string, ask: Ask, modRevision: number): Promise<void> {
    const failures = this.#failures()
    const reasons = failures.slice(0, MOST_REASONS).map(({ table, key: object, reason }) => `${table} ${object}: ${reason}`)
    const answer: AskAnswer = { node: this.#node, revision: this.#applied, refused: failures.length, reasons }
    const put = { put: answerKey(key, this.#node), value: JSON.stringify(answer), lease: BigInt(ask.lease) }
    // Who no longer asks is not answered: nobody would take the answer away.
    await this.#store.commit([{ key, modRevision }], [put], AbortSignal.timeout(5000))
  }
}
