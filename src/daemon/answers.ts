import { describeError, ValidationError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { type About, ASK_PREFIX, type Ask, type AskAnswer, answerKey, decodeAsk, isAskKey, packBody, unpackBody } from '../model/own/ask.ts'
import { CompactedError, type Entry, type Store } from '../store/store.ts'
import type { Concerned } from './refusals.ts'
import { pause } from './wake.ts'

/** A question holds the first reasons only: there may be thousands. */
const MOST_REASONS = 5
/** So many questions wait for one host at once; who asks more has gone wrong. */
const MOST_PENDING = 1000

/** Nobody waits for an answer longer. Milliseconds. */
const MOST_WORK_MS = 10_000

/** Answers a question of one kind, of which it gets the body. */
export type Responder = (body: unknown, signal: AbortSignal) => Promise<unknown>

/** Answers those who ask when a revision is applied on this host, and what else they ask (model/own/ask). */
export class Answers {
  readonly #store: Store
  readonly #node: string
  readonly #log: Logger
  readonly #failures: (about: About | undefined) => Concerned
  readonly #responders: Readonly<Partial<Record<string, Responder>>>
  /** One question after the other: answering several at once would only make each late. */
  #work: Promise<void> = Promise.resolve()
  readonly #pending = new Map<string, { readonly ask: Ask; readonly modRevision: number }>()
  #applied = 0

  constructor(parts: {
    readonly store: Store
    readonly node: string
    readonly log: Logger
    readonly failures: (about: About | undefined) => Concerned
    /** By the kind of the question. */
    readonly responders?: Readonly<Partial<Record<string, Responder>>>
  }) {
    this.#store = parts.store
    this.#node = parts.node
    this.#log = parts.log
    this.#failures = parts.failures
    this.#responders = parts.responders ?? {}
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
    const answer = () =>
      this.#answer(key, pending.ask, pending.modRevision).catch((error: unknown) => {
        this.#log.debug({ key, reason: describeError(error) }, 'a question was not answered')
      })
    // What takes no work does not wait for what does.
    if (pending.ask.kind === undefined) void answer()
    else this.#work = this.#work.then(answer)
  }

  async #answer(key: string, ask: Ask, modRevision: number): Promise<void> {
    const { own, others } = this.#failures(ask.about)
    const reasons = own.slice(0, MOST_REASONS).map(({ table, key: object, reason }) => `${table} ${object}: ${reason}`)
    const applied = { node: this.#node, revision: this.#applied, refused: own.length, reasons, ...(others === 0 ? {} : { others }) }
    const answer: AskAnswer = { ...applied, ...(ask.kind === undefined ? {} : await this.#respond(ask.kind, ask.body)) }
    const put = { put: answerKey(key, this.#node), value: JSON.stringify(answer), lease: BigInt(ask.lease) }
    // Who no longer asks is not answered: nobody would take the answer away.
    await this.#store.commit([{ key, modRevision }], [put], AbortSignal.timeout(5000))
  }

  async #respond(kind: string, packed: unknown): Promise<Pick<AskAnswer, 'kind' | 'body' | 'problem'>> {
    const respond = Object.hasOwn(this.#responders, kind) ? this.#responders[kind] : undefined
    if (respond === undefined) return { kind, problem: `a question of the kind ${JSON.stringify(kind)} is not known to this version` }
    try {
      const said = await respond(await unpackBody(packed), AbortSignal.timeout(MOST_WORK_MS))
      return { kind, body: await packBody('the answer', said) }
    } catch (error) {
      return { kind, problem: describeError(error) }
    }
  }
}
