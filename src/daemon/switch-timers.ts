/**
 * How long a sender waits for a live peer to say that it can receive a pool's new mode, before it moves its routes all the same.
 * Milliseconds (ARCHITECTURE.md, section 6).
 */
export const SWITCH_WAIT_MS = 5000

/** Remembers since when each peer is waited for; the only clock behind a live switch of a pool's mode. */
export class SwitchTimers {
  readonly #since = new Map<string, number>()
  #timedOut: ReadonlySet<string> = new Set()

  /** Pairs `<peer> <pool>` that were waited for too long. The same set object while nothing changed. */
  get timedOut(): ReadonlySet<string> {
    return this.#timedOut
  }

  /** Takes the pairs that are waited for now; true when `timedOut` is another set than before. */
  update(waiting: ReadonlySet<string>, nowMs: number): boolean {
    for (const pair of [...this.#since.keys()]) if (!waiting.has(pair)) this.#since.delete(pair)
    for (const pair of waiting) if (!this.#since.has(pair)) this.#since.set(pair, nowMs)
    const over = new Set([...this.#since].filter(([, since]) => nowMs - since >= SWITCH_WAIT_MS).map(([pair]) => pair))
    if (over.size === this.#timedOut.size && [...over].every((pair) => this.#timedOut.has(pair))) return false
    this.#timedOut = over
    return true
  }

  /** When the next pair times out; undefined when none is waited for. */
  nextDueMs(): number | undefined {
    const due = [...this.#since].filter(([pair]) => !this.#timedOut.has(pair)).map(([, since]) => since + SWITCH_WAIT_MS)
    return due.length === 0 ? undefined : Math.min(...due)
  }
}
