import { describeError } from '../errors.ts'
import type { Logger } from '../log.ts'

/** A change is on disk after this long at the earliest, so that a burst costs one writing. Milliseconds. */
const WRITE_AFTER_MS = 2000
/** What takes long is written less often: between two writings is this many times the time that the last one took, half a minute at most. */
const REST_FACTOR = 20
const MOST_REST_MS = 30_000
/** What could not be written is tried again after this long. Milliseconds. */
const RETRY_MS = 60_000

/** A file of the daemon's own, and how it is brought up to date. */
export interface DelayedFile {
  readonly path: string
  /** Brings the file to what is wanted when it is called. */
  readonly write: () => Promise<void>
  /** The message of the log line where that fails. */
  readonly complaint: string
  readonly log: Logger
}

/** Writes a file a while after what is in it changed. A disk that is full is said once, and hurts nothing else. */
export class DelayedWrite {
  readonly #file: DelayedFile
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #problem: string | undefined
  #restMs = 0

  constructor(file: DelayedFile) {
    this.#file = file
  }

  /** Why the file could not be written the last time. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** What is in the file changed. */
  request(): void {
    if (this.#timer === undefined) this.#schedule(Math.max(WRITE_AFTER_MS, this.#restMs))
  }

  /** Writes now what waits to be written. */
  async flush(): Promise<void> {
    const isWaiting = this.#timer !== undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#writing
    if (isWaiting) await this.#write()
  }

  #schedule(afterMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#write())
    }, afterMs)
    this.#timer.unref()
  }

  async #write(): Promise<void> {
    const { path, write, complaint, log } = this.#file
    const startedMs = performance.now()
    try {
      await write()
      this.#problem = undefined
    } catch (error) {
      const problem = describeError(error)
      if (problem !== this.#problem) log.error({ path, err: error }, complaint)
      this.#problem = problem
      if (this.#timer === undefined) this.#schedule(RETRY_MS)
    }
    this.#restMs = Math.min(MOST_REST_MS, (performance.now() - startedMs) * REST_FACTOR)
  }
}
