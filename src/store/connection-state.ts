import type { Connection } from './store.ts'

/**
 * Whether the store answers, from what its users see: each watch and the calls together count as one user.
 * Connected when no user has trouble. Listeners hear changes only.
 */
export class ConnectionState {
  readonly #troubles = new Map<unknown, string>()
  readonly #listeners = new Set<(connection: Connection) => void>()

  get current(): Connection {
    for (const reason of this.#troubles.values()) return { isConnected: false, reason }
    return { isConnected: true }
  }

  /** This user has trouble. */
  report(user: unknown, reason: string): void {
    const before = this.current
    this.#troubles.set(user, reason)
    this.#tell(before)
  }

  /** This user has none, or is gone. */
  clear(user: unknown): void {
    const before = this.current
    this.#troubles.delete(user)
    this.#tell(before)
  }

  /** Calls back with what is now, and at each change until aborted. */
  listen(listener: (connection: Connection) => void, signal: AbortSignal): void {
    if (signal.aborted) return
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
    listener(this.current)
  }

  #tell(before: Connection): void {
    const now = this.current
    if (now.isConnected === before.isConnected && now.reason === before.reason) return
    for (const listener of this.#listeners) listener(now)
  }
}
