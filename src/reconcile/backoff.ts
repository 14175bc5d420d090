import type { KernelError } from '../errors.ts'

/** Refused objects are tried again after this long at first, then twice as long each time, up to the limit. Milliseconds. */
const FIRST_MS = 200
const LIMIT_MS = 30_000

interface Refusal {
  readonly error: KernelError
  readonly delayMs: number
  readonly retryAtMs: number
}

/** What the kernel refused, by key, and when each may be tried again. */
export class Backoff {
  readonly #refusals = new Map<string, Refusal>()

  /** Whether the key may be tried now. */
  isDue(key: string, nowMs: number): boolean {
    const refusal = this.#refusals.get(key)
    return refusal === undefined || refusal.retryAtMs <= nowMs
  }

  refuse(key: string, error: KernelError, nowMs: number): void {
    const previous = this.#refusals.get(key)
    const delayMs = previous === undefined ? FIRST_MS : Math.min(previous.delayMs * 2, LIMIT_MS)
    this.#refusals.set(key, { error, delayMs, retryAtMs: nowMs + delayMs })
  }

  /** Gives whether the key was refused. */
  clear(key: string): boolean {
    return this.#refusals.delete(key)
  }

  /** Everything may be tried at once: what stood in the way may be gone. Reasons stay until a try succeeds. */
  forgive(): void {
    for (const [key, refusal] of this.#refusals) this.#refusals.set(key, { ...refusal, delayMs: FIRST_MS, retryAtMs: 0 })
  }

  /** The earliest time at which a refused key may be tried again, or undefined when none is refused. */
  nextDueMs(): number | undefined {
    let next: number | undefined
    for (const { retryAtMs } of this.#refusals.values()) next = next === undefined ? retryAtMs : Math.min(next, retryAtMs)
    return next
  }

  entries(): Iterable<readonly [string, KernelError]> {
    return [...this.#refusals].map(([key, { error }]) => [key, error] as const)
  }
}
