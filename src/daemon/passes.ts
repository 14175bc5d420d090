import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { PassReport } from '../model/own/api.ts'
import type { View } from '../store/view.ts'
import type { PassTiming } from './loop.ts'

/** So many passes are kept beside the first. */
const KEPT = 1000
/** How often the loop is looked at: rarely enough to cost nothing at rest. Milliseconds. */
const RESOLUTION_MS = 100

/** How long passes took, and how late the event loop was. */
export class PassLog {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #first: PassReport | undefined
  #latest: PassReport[] = []

  /** Begins to look at the event loop. */
  start(): void {
    this.#delay.enable()
  }

  stop(): void {
    this.#delay.disable()
  }

  /** A pass is over. */
  note(view: View, { changes, passMs, sinceNoticeMs }: PassTiming): void {
    const report = { revision: view.revision, changes: changes.length, passMs, sinceNoticeMs }
    if (this.#first === undefined) this.#first = report
    else this.#latest.push(report)
    if (this.#latest.length >= 2 * KEPT) this.#latest = this.#latest.slice(-KEPT)
  }

  /** The first pass since the start, then the latest, oldest first. */
  list(): readonly PassReport[] {
    return this.#first === undefined ? [] : [this.#first, ...this.#latest.slice(-KEPT)]
  }

  /** How late the event loop came to its timers, 99.9th percentile since the start. Milliseconds. */
  loopDelayP999Ms(): number {
    return Math.max(0, this.#delay.percentile(99.9) / 1e6 - RESOLUTION_MS)
  }
}
