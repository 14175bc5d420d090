import { setTimeout as delay } from 'node:timers/promises'
import { ConflictError } from '../errors.ts'

/** So often a change is tried again because somebody else was faster. */
const MOST_TRIES = 20
/** The longest pause between two tries. Milliseconds. */
const LONGEST_MS = 250

/**
 * Reads and writes anew while somebody else is faster, with a growing, random pause between: ten who change one resource at once
 * would else meet again each time.
 *
 * @throws {ConflictError} the last one, when others were faster all the time
 */
export async function retryConflicts<T>(attempt: () => Promise<T>, signal: AbortSignal, mayRetry = () => true): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof ConflictError) || error.code !== 'conflict' || tries === MOST_TRIES || !mayRetry()) throw error
      await delay(Math.random() * Math.min(10 * 2 ** tries, LONGEST_MS), undefined, { signal })
    }
  }
}
