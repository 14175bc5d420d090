import { isDeepStrictEqual } from 'node:util'
import { ConflictError, describeError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { liveKey } from '../model/keys.ts'
import type { LiveRecord } from '../model/own/live.ts'
import type { Lease, Store } from '../store/store.ts'
import { pause, Wake } from './wake.ts'

/** How long a host counts as alive after its last sign, in seconds. A lost lease changes status, never routes. */
export const LIVE_TTL_SECONDS = 20

/** Keeps `live/<node>` in the store for as long as the daemon runs, and up to date. */
export class LiveKeeper {
  readonly #store: Store
  readonly #log: Logger
  readonly #wake = new Wake()
  #wanted: LiveRecord
  #written: LiveRecord | undefined
  #lease: Lease | undefined

  constructor(store: Store, record: LiveRecord, log: Logger) {
    this.#store = store
    this.#log = log
    this.#wanted = record
  }

  /** What the record is to say from now on. */
  update(change: Partial<Pick<LiveRecord, 'addresses' | 'receives'>>): void {
    const next = { ...this.#wanted, ...change }
    if (isDeepStrictEqual(next, this.#wanted)) return
    this.#wanted = next
    this.#wake.set()
  }

  /** What was last written: what others know of this host. */
  get published(): LiveRecord | undefined {
    return this.#written
  }

  /** Writes until the signal aborts; a store that is away is tried again each second. */
  async run(signal: AbortSignal): Promise<void> {
    let isComplaining = false
    while (!signal.aborted) {
      try {
        await this.#write(signal)
        isComplaining = false
        await this.#wake.wait(signal)
      } catch (error) {
        if (signal.aborted) return
        if (!isComplaining) this.#log.warn({ err: error }, 'liveness could not be written, trying again')
        isComplaining = true
        await pause(1000, signal)
      }
    }
  }

  /** Says that this host is no longer alive: at an orderly stop. */
  async stop(): Promise<void> {
    await this.#lease?.revoke().catch((error: unknown) => this.#log.debug({ reason: describeError(error) }, 'lease left to expire'))
  }

  async #write(signal: AbortSignal): Promise<void> {
    if (this.#lease === undefined) {
      const lease = await this.#store.lease(LIVE_TTL_SECONDS, signal)
      this.#lease = lease
      this.#written = undefined
      void lease.lost.then(() => {
        if (this.#lease !== lease) return
        this.#lease = undefined
        this.#wake.set()
      })
    }
    const record = this.#wanted
    if (this.#written === record) return
    await this.#store.commit([], [{ put: liveKey(record.node), value: JSON.stringify(record), lease: this.#lease.id }], signal)
    this.#written = record
  }
}

/**
 * Refuses a node name that another host holds: one that is alive, has another state folder and another address.
 * The same address is the same host with a new state folder.
 */
export function refuseTwin(own: LiveRecord, other: LiveRecord | undefined): void {
  if (other === undefined || other.instance === own.instance) return
  if (other.addresses.some((address) => own.addresses.includes(address))) return
  throw new ConflictError(
    'exists',
    `node name ${JSON.stringify(own.node)} is taken: a host with the addresses ${other.addresses.join(', ') || '(none)'} is alive under it ` +
      `(since ${other.startedAt}), and this one has ${own.addresses.join(', ') || '(none)'}; set node.name to something else on one of them`,
  )
}
