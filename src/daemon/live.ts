import { isDeepStrictEqual } from 'node:util'
import { ConflictError, describeError, MargayError, StoreError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { decodeEntry } from '../model/codec.ts'
import { liveKey } from '../model/keys.ts'
import type { LiveRecord } from '../model/own/live.ts'
import type { Lease, Store } from '../store/store.ts'
import { pause, Wake } from './wake.ts'

/** How long a host counts as alive after its last sign, in seconds. A lost lease changes status, never routes. */
export const LIVE_TTL_SECONDS = 20

/**
 * Keeps `live/<node>` in the store for as long as the daemon runs, and up to date. Never writes over the record of another host:
 * by it the name is claimed.
 */
export class LiveKeeper {
  readonly #store: Store
  readonly #log: Logger
  readonly #wake = new Wake()
  #wanted: LiveRecord
  #written: LiveRecord | undefined
  /** At which revision the key stands, 0 without one; undefined: it must be read. */
  #modRevision: number | undefined
  #lease: Lease | undefined
  #problem: string | undefined

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

  /** Which other host has this one's name; undefined when none has. */
  get problem(): string | undefined {
    return this.#problem
  }

  /**
   * Writes the record for the first time: of two hosts that claim one name at once, one has it.
   *
   * @throws {ConflictError} when another host that is alive has the name
   */
  async claim(addresses: LiveRecord['addresses'], signal: AbortSignal): Promise<void> {
    this.update({ addresses })
    await this.#write(signal)
  }

  /** What a view shows of this host: a record that somebody removed or wrote over is written again. */
  notice(shown: LiveRecord | undefined): void {
    if (this.#written === undefined || shown?.instance === this.#wanted.instance) return
    this.#written = undefined
    this.#modRevision = undefined
    this.#wake.set()
  }

  /** Writes until the signal aborts; a store that is away, or a name that is taken, is tried again each second. */
  async run(signal: AbortSignal): Promise<void> {
    let told: string | undefined
    while (!signal.aborted) {
      try {
        await this.#write(signal)
        this.#problem = undefined
        told = undefined
        await this.#wake.wait(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#problem = error instanceof ConflictError ? error.message : undefined
        const kind = error instanceof MargayError ? error.code : 'internal'
        if (kind !== told) this.#log.warn({ err: error }, 'liveness could not be written, trying again')
        told = kind
        await pause(1000, signal)
      }
    }
  }

  /** Says that this host is no longer alive: at an orderly stop. */
  async stop(): Promise<void> {
    await this.#lease?.revoke().catch((error: unknown) => this.#log.debug({ reason: describeError(error) }, 'lease left to expire'))
  }

  async #write(signal: AbortSignal): Promise<void> {
    const lease = this.#lease ?? (await this.#takeLease(signal))
    const record = this.#wanted
    if (this.#written === record) return
    const key = liveKey(record.node)
    const modRevision = this.#modRevision ?? (await this.#look(key, signal))
    this.#modRevision = undefined
    const put = { put: key, value: JSON.stringify(record), lease: lease.id }
    const { isDone, revision } = await this.#store.commit([{ key, modRevision }], [put], signal)
    if (!isDone) throw new StoreError(`${key} was written by somebody else at the same time`, { isTransient: true })
    this.#modRevision = revision
    this.#written = record
  }

  async #takeLease(signal: AbortSignal): Promise<Lease> {
    const lease = await this.#store.lease(LIVE_TTL_SECONDS, signal)
    this.#lease = lease
    this.#written = undefined
    void lease.lost.then(() => {
      if (this.#lease !== lease) return
      this.#lease = undefined
      this.#modRevision = undefined
      this.#wake.set()
    })
    return lease
  }

  async #look(key: string, signal: AbortSignal): Promise<number> {
    const entry = await this.#store.get(key, signal)
    const other = entry && decodeEntry(entry.key, entry.value, entry.modRevision)?.value
    refuseTwin(this.#wanted, other as LiveRecord | undefined)
    return entry?.modRevision ?? 0
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
