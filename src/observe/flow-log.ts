import type { FlowLine } from '../model/own/flows.ts'

/** So many of the latest lines are kept, and so many wait for one reader. */
const MOST_KEPT = 2000
const MOST_WAITING = 2000

/** The latest events, for who asks later, and each new one for who follows. A reader that is too slow loses some, and is told. */
export class FlowLog {
  #kept: FlowLine[] = []
  readonly #readers = new Set<Reader>()
  #lost = 0

  /** Events that got lost since the start, in the kernel or before a reader. */
  get lost(): number {
    return this.#lost
  }

  add(line: FlowLine): void {
    if (line.type === 'lost') this.#lost += line.events ?? 1
    this.#kept.push(line)
    // Cut now and then, not each time.
    if (this.#kept.length > 2 * MOST_KEPT) this.#kept = this.#kept.slice(-MOST_KEPT)
    for (const reader of this.#readers) {
      const dropped = reader.push(line)
      this.#lost += dropped
    }
  }

  /** Oldest first. */
  recent(): readonly FlowLine[] {
    return this.#kept.slice(-MOST_KEPT)
  }

  /** Each event from now on, until aborted. */
  async *follow(signal: AbortSignal): AsyncGenerator<FlowLine> {
    const reader = new Reader(signal)
    this.#readers.add(reader)
    try {
      while (!signal.aborted) {
        await reader.wait()
        yield* reader.take()
      }
    } finally {
      this.#readers.delete(reader)
    }
  }
}

class Reader {
  #waiting: FlowLine[] = []
  #dropped = 0
  #wake = () => {}
  readonly #signal: AbortSignal

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  /** Gives how many did not fit. */
  push(line: FlowLine): number {
    const fits = this.#waiting.length < MOST_WAITING
    if (fits) this.#waiting.push(line)
    else this.#dropped++
    this.#wake()
    return fits ? 0 : 1
  }

  wait(): Promise<void> {
    if (this.#waiting.length > 0 || this.#signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  take(): readonly FlowLine[] {
    const [taken, events] = [this.#waiting, this.#dropped]
    this.#waiting = []
    this.#dropped = 0
    return events === 0 ? taken : [...taken, { type: 'lost', time: new Date().toISOString(), where: 'reader', events }]
  }
}
