import { SLICE_MS, yieldToLoop } from './netlink/socket.ts'

/**
 * Cuts long work into stretches that others can wait for. To be asked for each item, which costs less than a microsecond:
 * `if (pace.isDue) await pace.giveWay()`.
 */
export class Pace {
  #startMs = performance.now()

  /** Whether the stretch has been long enough. */
  get isDue(): boolean {
    return performance.now() - this.#startMs >= SLICE_MS
  }

  /** Lets timers and I/O of this process run, and begins a new stretch. */
  async giveWay(): Promise<void> {
    await yieldToLoop()
    this.#startMs = performance.now()
  }
}
