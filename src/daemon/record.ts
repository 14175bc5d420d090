import { FOLLOWED_PREFIXES } from '../model/keys.ts'
import type { MutableView } from '../store/view.ts'
import type { Facts } from './facts.ts'
import type { PassTiming } from './loop.ts'
import { Wake } from './wake.ts'

/** The first line of a recording. */
export const RECORDING_FORMAT = { format: 'margay recording 1' } as const

/**
 * One line of a recording: what was there at its beginning, or what a later pass saw differently. Facts stand in it whenever they are
 * other than before. `entries` are `[key, modRevision, value]`, value null where the key is gone.
 */
export interface RecordedStep {
  readonly at: string
  readonly revisions: readonly (readonly [prefix: string, revision: number])[]
  readonly entries: readonly (readonly [key: string, modRevision: number, value: string | null])[]
  readonly facts?: RecordedFacts
}

/** Facts as JSON: maps and sets as lists. */
export type RecordedFacts = Omit<Facts, 'netns' | 'timedOut' | 'trial'> & {
  readonly netns: readonly (readonly [string, string])[]
  readonly timedOut: readonly string[]
}

/** Whoever knows what planning knows of this host. */
export interface FactsSource {
  /** Undefined until they could be read. */
  planFacts(): Facts | undefined
}

/** How many steps a caller that does not read may fall behind before its recording ends. */
const QUEUE_LIMIT = 10_000

/** Lets callers record what passes are made from, to be replayed through the planners elsewhere: `margay debug record`. */
export class Recorder {
  readonly #recordings = new Set<Recording>()

  /** A pass is over. */
  note(view: MutableView, { changes }: Pick<PassTiming, 'changes'>, host: FactsSource): void {
    for (const recording of this.#recordings) recording.note(view, host, changes.length > 0)
  }

  /** The view as it is, then each pass's changes, as lines of JSON, for so many seconds. */
  async *record(view: MutableView, host: FactsSource, seconds: number, signal: AbortSignal): AsyncGenerator<string> {
    const recording = new Recording()
    recording.note(view, host, true)
    this.#recordings.add(recording)
    const ends = new AbortController()
    const end = () => ends.abort()
    const timer = setTimeout(end, seconds * 1000)
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    try {
      yield JSON.stringify(RECORDING_FORMAT)
      yield* recording.lines(ends.signal)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      this.#recordings.delete(recording)
    }
  }
}

class Recording {
  readonly #queue: string[] = []
  readonly #wake = new Wake()
  /** What was last written of each key. */
  readonly #known = new Map<string, number>()
  #facts: string | undefined
  #isTooLong = false

  note(view: MutableView, host: FactsSource, isChanged: boolean): void {
    if (this.#isTooLong) return
    const facts = host.planFacts()
    const recorded = facts === undefined ? undefined : recordFacts(facts)
    const text = JSON.stringify(recorded)
    const isFactsNews = text !== this.#facts
    if (!isChanged && !isFactsNews) return
    // A step left out would make those after it wrong.
    this.#isTooLong = this.#queue.length >= QUEUE_LIMIT
    if (!this.#isTooLong) this.#queue.push(JSON.stringify(this.#step(view, isFactsNews ? recorded : undefined)))
    this.#facts = text
    this.#wake.set()
  }

  /** What is queued, until the signal aborts or the reader fell too far behind. */
  async *lines(signal: AbortSignal): AsyncGenerator<string> {
    while (!signal.aborted && !this.#isTooLong) {
      await this.#wake.wait(signal)
      yield* this.#queue.splice(0)
    }
  }

  #step(view: MutableView, facts: RecordedFacts | undefined): RecordedStep {
    return {
      at: new Date().toISOString(),
      revisions: FOLLOWED_PREFIXES.map((prefix) => [prefix, view.revisionAt(prefix)]),
      entries: this.#news(view),
      ...(facts === undefined ? {} : { facts }),
    }
  }

  #news(view: MutableView): RecordedStep['entries'] {
    const news: (readonly [string, number, string | null])[] = []
    const present = new Set<string>()
    for (const { key, modRevision, value } of view.entries()) {
      present.add(key)
      if (this.#known.get(key) === modRevision) continue
      this.#known.set(key, modRevision)
      news.push([key, modRevision, value])
    }
    for (const key of [...this.#known.keys()]) {
      if (present.has(key)) continue
      this.#known.delete(key)
      news.push([key, 0, null])
    }
    return news
  }
}

function recordFacts({ netns, timedOut, trial: _, ...rest }: Facts): RecordedFacts {
  return { ...rest, netns: [...netns], timedOut: [...timedOut] }
}
