import { MargayError } from '../errors.ts'

/** A pass did not get an endpoint up in time, or can't. */
export class NotAppliedError extends MargayError {
  constructor(message: string) {
    super('not-applied', message)
  }
}

/** What a waiter finds after a pass: all is well, not yet, or it can't be. */
export type Verdict = 'done' | 'waiting' | { readonly reason: string }

interface Waiter {
  readonly check: () => Verdict
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Lets callers wait until a pass has done something: resolves when all is well, rejects at once with why it can't be. */
export class Applied {
  readonly #waiters = new Set<Waiter>()

  /** A pass is over: everyone who waits looks again. */
  advance(): void {
    for (const waiter of this.#waiters) settle(waiter)
  }

  /** Waits until `check`, asked after each pass, is done with it; `what` says in the error what was waited for. */
  async wait(what: string, check: () => Verdict, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const over = (end: () => void) => {
        this.#waiters.delete(waiter)
        signal.removeEventListener('abort', onAbort)
        end()
      }
      const onAbort = () => over(() => reject(new NotAppliedError(`${what} was not done in time`)))
      const waiter: Waiter = { check, resolve: () => over(resolve), reject: (error) => over(() => reject(error)) }
      this.#waiters.add(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
    })
  }
}

function settle({ check, resolve, reject }: Waiter): void {
  const verdict = check()
  if (verdict === 'done') resolve()
  else if (verdict !== 'waiting') reject(new NotAppliedError(verdict.reason))
}
