import type { Logger } from '../log.ts'
import { Follower } from './follower.ts'
import type { Connection, Store } from './store.ts'
import type { Change, MutableView } from './view.ts'

/** How to follow. */
export interface FollowOptions {
  readonly log: Logger
  /** Where to begin: a saved view. The first step's changes are what the store has differently. Empty unless given. */
  readonly view?: MutableView
  /** Hears whether the store answers, now and at each change. */
  readonly onConnection?: (connection: Connection) => void
}

/** The view after what arrived was written to it. */
export interface Step {
  readonly view: MutableView
  /** Each at most once. Empty if only what is broken changed. */
  readonly changes: readonly Change[]
  readonly isFirst: boolean
  /** The store was listed again: its history was compacted, or is another one. */
  readonly isRelisted: boolean
}

/**
 * Follows the store: lists all that hosts follow at one revision, watches from the next, and lists again when its history
 * is gone. Ends when aborted, or when its reader leaves; tries for ever while the store is away.
 *
 * The view's maps change only while the reader waits for its next step: what arrives in the meantime is queued, one entry a key.
 */
export async function* follow(store: Store, signal: AbortSignal, options: FollowOptions): AsyncGenerator<Step> {
  const stop = new AbortController()
  const ends = AbortSignal.any([signal, stop.signal])
  const follower = new Follower(store, options)
  const running = follower.run(ends)
  running.catch(() => {})
  try {
    while (await follower.hasNews(ends)) yield await follower.take()
    // Rejects only for a fault of ours, which must not look like silence.
    if (!ends.aborted) await running
  } finally {
    stop.abort()
    await running.catch(() => {})
  }
}
