import { Pace } from '../kernel/pace.ts'

/** Runs steps to their end; gives way to the event loop between two, and ends when nobody waits for it any more. */
export async function paced<T>(steps: Generator<undefined, T>, signal: AbortSignal): Promise<T> {
  const pace = new Pace()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    if (!pace.isDue) continue
    await pace.giveWay()
    signal.throwIfAborted()
  }
}
