import { setImmediate as nextTurn } from 'node:timers/promises'

/** The longest stretch in which nothing else runs, in milliseconds; what is promised for the whole daemon is 50. */
const SLICE_MS = 8

/**
 * Cuts long work into stretches that others can wait for. To be asked for each item:
 * `if (slices.isDue) await slices.giveWay()`.
 */
export class Slices {
  #startMs = performance.now()

  /** Whether the stretch has been long enough. */
  get isDue(): boolean {
    return performance.now() - this.#startMs >= SLICE_MS
  }

  /** Lets timers and I/O of this process run, and begins a new stretch. */
  async giveWay(): Promise<void> {
    await nextTurn()
    this.#startMs = performance.now()
  }
}
