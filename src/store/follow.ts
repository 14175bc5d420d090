import { Follower, type FollowOptions, type Step } from './follower.ts'
import type { Store } from './store.ts'

export type { FollowOptions, Step } from './follower.ts'

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
