import { MargayError } from '../errors.ts'

/** A pass did not get an endpoint up in time, or can't. */
export class NotAppliedError extends MargayError {
  constructor(message: string) {
    super('not-applied', message)
  }
}

interface Waiter {
  readonly revision: number
  readonly check: () => string | undefined
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Lets callers wait until a pass has applied a revision of the store: resolves when all is well, rejects at once with why not. */
export class Applied {
  #revision = 0
  #waiters: Waiter[] = []

  /** The revision that the last pass applied. */
  get revision(): number {
    return this.#revision
  }

  /** A pass is over: everyone who waited for this revision is told. */
  advance(revision: number): void {
    this.#revision = Math.max(this.#revision, revision)
    const ready = this.#waiters.filter((waiter) => waiter.revision <= this.#revision)
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > this.#revision)
    for (const waiter of ready) {
      const reason = waiter.check()
      if (reason === undefined) waiter.resolve()
      else waiter.reject(new NotAppliedError(reason))
    }
  }

  /** Waits for a pass over this revision; `check` then says what is wrong, or undefined. */
  async wait(revision: number, check: () => string | undefined, signal: AbortSignal): Promise<void> {
    if (this.#revision >= revision) {
      const reason = check()
      if (reason !== undefined) throw new NotAppliedError(reason)
      return
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        reject(new NotAppliedError(`revision ${revision} was not applied in time; the last one that was is ${this.#revision}`))
      }
      const done = (settle: () => void) => {
        signal.removeEventListener('abort', onAbort)
        settle()
      }
      const waiter: Waiter = { revision, check, resolve: () => done(resolve), reject: (error) => done(() => reject(error)) }
      this.#waiters.push(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
    })
  }
}
