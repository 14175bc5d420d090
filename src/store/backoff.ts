/** Waiting times that double from try to try, each with a jitter of half to one and a half, so that hosts do not come all at once. */
export class Backoff {
  readonly #firstMs: number
  readonly #mostMs: number
  #nextMs: number

  constructor(firstMs: number, mostMs: number) {
    this.#firstMs = firstMs
    this.#mostMs = mostMs
    this.#nextMs = firstMs
  }

  /** The time to wait now, in milliseconds. */
  next(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(ms * 2, this.#mostMs)
    return ms * (0.5 + Math.random())
  }

  /** After a success the next wait is a short one again. */
  reset(): void {
    this.#nextMs = this.#firstMs
  }
}

/** Waits; rejects with the signal's reason when that is aborted before. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    if (signal.aborted) return onAbort()
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
