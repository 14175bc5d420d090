import { describeError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { parseJson } from '../model/json.ts'
import { leaderKey } from '../model/keys.ts'
import { isObject } from '../model/shape.ts'
import type { Lease, Store } from './store.ts'

/** How long a task is without a leader after its leader died, in seconds. */
const LEADER_TTL_SECONDS = 20

/** The right to do a task alone. A write that compares the key with the revision is void once another leads. */
export interface Leadership {
  readonly key: string
  /** At which the key was written when the leadership began. */
  readonly revision: number
}

/** Who leads a task, as its record says. */
export interface Leader {
  readonly node: string
}

/**
 * One host's part in the election of a leader for a task: `/margay/v1/leader/<task>`, leased, written by whoever finds it absent.
 * There is nothing to wait on: a host looks when it has time for the task, and does it if it leads.
 */
export class Election {
  readonly #store: Store
  readonly #key: string
  readonly #node: string
  readonly #log: Logger
  #held: (Leadership & { readonly lease: Lease }) | undefined
  #leader: Leader | undefined

  constructor(options: { readonly store: Store; readonly task: string; readonly node: string; readonly log: Logger }) {
    this.#store = options.store
    this.#key = leaderKey(options.task)
    this.#node = options.node
    this.#log = options.log
  }

  /** Who led when this host last looked. */
  get leader(): Leader | undefined {
    return this.#leader
  }

  /** Whether this host leads, as far as it knows. */
  get isLeading(): boolean {
    return this.#held !== undefined
  }

  /** The leadership, if this host has it, or nobody has and this host gets it. */
  async lead(signal: AbortSignal): Promise<Leadership | undefined> {
    const entry = await this.#store.get(this.#key, signal)
    if (this.#held !== undefined && entry?.modRevision === this.#held.revision) return this.#held
    if (this.#held !== undefined) this.#forget('the record of the leader is gone, or another has written it')
    this.#leader = entry === undefined ? undefined : readLeader(entry.value)
    return entry === undefined ? this.#campaign(signal) : undefined
  }

  /** Lets another lead at once: at an orderly stop. */
  async resign(): Promise<void> {
    const lease = this.#held?.lease
    this.#held = undefined
    await lease?.revoke().catch((error: unknown) => this.#log.debug({ reason: describeError(error) }, 'lease left to expire'))
  }

  async #campaign(signal: AbortSignal): Promise<Leadership | undefined> {
    const lease = await this.#store.lease(LEADER_TTL_SECONDS, signal)
    const leader: Leader = { node: this.#node }
    try {
      const put = { put: this.#key, value: JSON.stringify(leader), lease: lease.id }
      const { isDone, revision } = await this.#store.commit([{ key: this.#key, modRevision: 0 }], [put], signal)
      if (!isDone) {
        await lease.revoke()
        return undefined
      }
      this.#held = { key: this.#key, revision, lease }
    } catch (error) {
      // It would be kept alive for ever, with the leadership if the write was done all the same.
      void lease.revoke().catch(() => {})
      throw error
    }
    this.#leader = leader
    this.#log.info({ key: this.#key }, 'leads')
    void lease.lost.then(() => {
      if (this.#held?.lease === lease) this.#forget('its lease was lost')
    })
    return this.#held
  }

  #forget(reason: string): void {
    const lease = this.#held?.lease
    this.#held = undefined
    this.#log.info({ key: this.#key, reason }, 'leads no longer')
    void lease?.revoke().catch(() => {})
  }
}

/** A record that can't be read leads all the same. */
function readLeader(value: string): Leader {
  try {
    const raw = parseJson(value)
    return { node: isObject(raw) && typeof raw['node'] === 'string' ? raw['node'] : '' }
  } catch {
    return { node: '' }
  }
}
