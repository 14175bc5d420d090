import { join } from 'node:path'
import { describeError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { writeSavedView } from '../store/saved-view.ts'
import type { Change, MutableView } from '../store/view.ts'

/** A change is on disk after this long at the earliest, so that a burst costs one writing. Milliseconds. */
const SAVE_AFTER_MS = 2000

/** A view that could not be saved is tried again after this long. Milliseconds. */
const RETRY_MS = 60_000

/** Where the saved view is, below the state folder. */
export function savedViewPath(stateFolder: string): string {
  return join(stateFolder, 'view.jsonl')
}

/** Saves the view a while after it changed. A disk that is full is said once, and hurts nothing else. */
export class ViewSaver {
  readonly #path: string
  readonly #log: Logger
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #problem: string | undefined

  constructor(stateFolder: string, log: Logger) {
    this.#path = savedViewPath(stateFolder)
    this.#log = log
  }

  /** Why the view could not be saved the last time. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Something changed. Who is alive is not worth a writing. */
  note(view: MutableView, changes: readonly Change[]): void {
    if (this.#timer !== undefined || changes.every(({ kind }) => kind === 'Live')) return
    this.#schedule(view, SAVE_AFTER_MS)
  }

  /** Writes now what waits to be written. */
  async flush(view: MutableView): Promise<void> {
    const isWaiting = this.#timer !== undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#writing
    if (isWaiting) await this.#write(view)
  }

  #schedule(view: MutableView, afterMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#write(view))
    }, afterMs)
    this.#timer.unref()
  }

  async #write(view: MutableView): Promise<void> {
    try {
      await writeSavedView(this.#path, view, new Date().toISOString())
      this.#problem = undefined
    } catch (error) {
      const problem = describeError(error)
      if (problem !== this.#problem) this.#log.error({ path: this.#path, err: error }, 'view could not be saved')
      this.#problem = problem
      if (this.#timer === undefined) this.#schedule(view, RETRY_MS)
    }
  }
}
