/**
 * A level, not an edge: "something changed". A thousand notices before the next `wait` cost one wake-up,
 * and a notice that comes before anybody waits is not lost.
 */
export class Wake {
  #isSet = false
  #resolve: (() => void) | undefined

  /** Says that something changed. */
  set(): void {
    this.#isSet = true
    this.#resolve?.()
  }

  /** Resolves when something changed since the last `wait`, when the time is over, or when the signal aborts. */
  async wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    if (!this.#isSet && !signal.aborted) await this.#sleep(signal, timeoutMs)
    this.#isSet = false
  }

  #sleep(signal: AbortSignal, timeoutMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#resolve = undefined
        resolve()
      }
      const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs)
      this.#resolve = done
      signal.addEventListener('abort', done, { once: true })
    })
  }
}

/** Resolves after this long, or at once when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}
