import type { Logger } from '../log.ts'
import { withDeadline } from '../store/deadline.ts'
import { Follower } from '../store/follower.ts'
import type { SavedView } from '../store/saved-view.ts'
import type { Connection, Store } from '../store/store.ts'
import type { Change, MutableView } from '../store/view.ts'
import type { ViewSource } from './loop.ts'

/** So long the store may be silent at the start before the saved view is used. Milliseconds. */
const SAVED_VIEW_AFTER_MS = 3000
/** So long it may take to list what it has: the daemon says that it is ready after 15 s at the latest. Milliseconds. */
const LISTED_WITHIN_MS = 10_000

/** What the source is made of. */
export interface SourceParts {
  readonly store: Store
  readonly saved: SavedView | undefined
  /** Resolves when this host may take part; what the store has is not shown before. */
  readonly admission: Promise<void>
  readonly log: Logger
  readonly onConnection: (connection: Connection) => void
}

/**
 * Shows what the store has, from its first complete list on. When the store can't be reached at the start, shows the saved view
 * first: no kernel change is made from less than one whole view.
 */
export class FollowSource implements ViewSource {
  readonly #follower: Follower
  readonly #saved: SavedView | undefined
  readonly #admission: Promise<void>
  readonly #log: Logger
  readonly #store: Store
  readonly #onConnection: (connection: Connection) => void
  #state: 'waiting' | 'saved' | 'live' = 'waiting'
  #isSavedDue = false

  constructor({ store, saved, admission, log, onConnection }: SourceParts) {
    this.#store = store
    this.#saved = saved
    this.#admission = admission
    // Its failure ends `run`; until that listens it must not end the process without a word.
    admission.catch(() => {})
    this.#log = log
    this.#onConnection = onConnection
    this.#follower = new Follower(store, { log, onConnection, ...(saved === undefined ? {} : { view: saved.view }) })
  }

  /** The view, complete or not. */
  get view(): MutableView {
    return this.#follower.view
  }

  /** Whether what is shown was read from disk, because the store has not answered since the start. */
  get isSaved(): boolean {
    return this.#state === 'saved'
  }

  /** Follows until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    // Trouble before the first list is told too: the follower only listens once it runs.
    const waiting = new AbortController()
    this.#store.onConnection?.(this.#onConnection, AbortSignal.any([signal, waiting.signal]))
    await this.#admission
    waiting.abort()
    await this.#follower.run(signal)
  }

  async hasNews(signal: AbortSignal): Promise<boolean> {
    if (this.#state === 'waiting' && this.#saved !== undefined && !this.#isSavedDue) {
      if (await this.#isListed(signal)) return true
      if (signal.aborted) return false
      this.#isSavedDue = true
      return true
    }
    return this.#follower.hasNews(signal)
  }

  /** Whether the first list was complete before the store was silent for too long: 100,000 endpoints come in many pages. */
  async #isListed(signal: AbortSignal): Promise<boolean> {
    const endMs = performance.now() + LISTED_WITHIN_MS
    for (let pages = -1; pages !== this.#follower.pages && performance.now() < endMs && !signal.aborted; ) {
      pages = this.#follower.pages
      if (await withDeadline(SAVED_VIEW_AFTER_MS, signal, (early) => this.#follower.hasNews(early))) return true
    }
    return false
  }

  async take(): Promise<{ readonly view: MutableView; readonly changes: readonly Change[] }> {
    if (this.#state === 'waiting' && !this.#follower.isNews && this.#saved !== undefined) {
      this.#state = 'saved'
      this.#log.warn(
        { revision: this.#saved.view.revision, reason: `saved at ${this.#saved.savedAt}` },
        'etcd is away: starting from the saved view',
      )
      return { view: this.#saved.view, changes: [] }
    }
    this.#state = 'live'
    return this.#follower.take()
  }
}
