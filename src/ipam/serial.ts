import { setMaxListeners } from 'node:events'
import { StoreError } from '../errors.ts'

/**
 * Runs operations of this process one after the other, in the order in which they came: they would only fight for the same block.
 * When the store is away, those that wait fail with the first: each would wait its own 5 s, and callers are promised 5 s in all.
 */
export class Serial {
  readonly #waiting: { start: () => void; fail: (error: unknown) => void }[] = []
  #isBusy = false

  async run<T>(operation: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    if (this.#isBusy) await this.#turn(signal)
    this.#isBusy = true
    try {
      return await operation()
    } catch (error) {
      if (error instanceof StoreError) for (const waiter of this.#waiting.splice(0)) waiter.fail(error)
      throw error
    } finally {
      this.#isBusy = false
      this.#waiting.shift()?.start()
    }
  }

  /** Resolves when all before are done; whoever is aborted while waiting leaves the line. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(signal.reason)
      }
      const waiter = {
        start: () => {
          signal.removeEventListener('abort', leave)
          // Set here and not by the waiter itself: between the two another could slip in.
          this.#isBusy = true
          resolve()
        },
        fail: (error: unknown) => {
          signal.removeEventListener('abort', leave)
          reject(error)
        },
      }
      // Many may wait with one signal, and node warns of a leak from the eleventh listener on.
      setMaxListeners(0, signal)
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(waiter)
    })
  }
}
