import { join } from 'node:path'
import type { Logger } from '../log.ts'
import { writeSavedView } from '../store/saved-view.ts'
import type { Change, MutableView } from '../store/view.ts'
import { DelayedWrite } from './delayed-write.ts'

/** Where the saved view is, below the state folder. */
export function savedViewPath(stateFolder: string): string {
  return join(stateFolder, 'view.jsonl')
}

/** Saves the view a while after it changed. */
export class ViewSaver {
  readonly #delayed: DelayedWrite
  #view: MutableView | undefined

  constructor(stateFolder: string, log: Logger) {
    const path = savedViewPath(stateFolder)
    const write = async () => {
      if (this.#view !== undefined) await writeSavedView(path, this.#view, new Date().toISOString())
    }
    this.#delayed = new DelayedWrite({ path, write, complaint: 'view could not be saved', log })
  }

  /** Why the view could not be saved the last time. */
  get problem(): string | undefined {
    return this.#delayed.problem
  }

  /** Something changed. Who is alive is not worth a writing, and what is tried is not saved. */
  note(view: MutableView, changes: readonly Change[]): void {
    this.#view = view
    if (!changes.every(({ kind }) => kind === 'Live' || kind === 'Trial')) this.#delayed.request()
  }

  /** Writes now what waits to be written. */
  flush(): Promise<void> {
    return this.#delayed.flush()
  }
}
