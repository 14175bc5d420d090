import { describeError, StoreError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { FOLLOWED_PREFIXES, parseKey } from '../model/keys.ts'
import type { ModelKind } from '../model/kinds.ts'
import { Backoff, sleep } from './backoff.ts'
import { ConnectionState } from './connection-state.ts'
import { Slices } from './slices.ts'
import { CompactedError, type Connection, type Entry, type Store, type WatchBatch } from './store.ts'
import { type Change, type Decoded, MutableView } from './view.ts'

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

/** So many objects that were not understood are named in a log line. */
const MOST_NAMED = 10
/** A round that lasted longer had worked: the next trouble is a new one. */
const LONG_MS = 10_000

/**
 * What `follow` is made of, for a reader with a loop of its own: `run` brings what the store has into a queue,
 * `take` writes the queue to the view. The view changes in no other moment.
 */
export class Follower {
  readonly view: MutableView
  readonly #store: Store
  readonly #log: Logger
  readonly #state = new ConnectionState()
  readonly #onConnection: ((connection: Connection) => void) | undefined
  /** The newest entry of each key that arrived since the last `take`; bounded by the number of keys. */
  #queue: Arrivals = new Map()
  /** What `take` is writing to the view just now. */
  #taking: Arrivals = new Map()
  /** Per prefix: the revision up to which everything is in the queue or in the view. */
  readonly #reached = new Map<string, number>()
  #pages = 0
  #isListed = false
  #isRelisted = false
  #isFirst = true
  #isOver = false
  #wake = (): void => {}
  #brokenBefore = ''

  constructor(store: Store, options: FollowOptions) {
    this.#store = store
    this.#log = options.log
    this.view = options.view ?? new MutableView()
    this.#onConnection = options.onConnection
  }

  /** Lists and watches until aborted. Rejects only for a fault of ours. */
  async run(signal: AbortSignal): Promise<void> {
    this.#state.listen(connectionLog(this.#log, this.#onConnection), signal)
    this.#store.onConnection?.((connection) => this.#note('store', connection.reason), signal)
    const backoff = new Backoff(200, 5000)
    try {
      while (!signal.aborted) {
        const startedAt = Date.now()
        const error = await this.#listAndWatch(signal)
        if (signal.aborted) return
        this.#report(error)
        if (Date.now() - startedAt > LONG_MS) backoff.reset()
        await sleep(backoff.next(), signal).catch(() => {})
      }
    } finally {
      this.#isOver = true
      this.#wake()
    }
  }

  /** Resolves with true when there is something to take, with false when aborted or when `run` has ended. */
  async hasNews(signal: AbortSignal): Promise<boolean> {
    const wake = (): void => this.#wake()
    signal.addEventListener('abort', wake, { once: true })
    try {
      while (!signal.aborted && !this.#isOver) {
        if (this.isNews) return true
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      return false
    } finally {
      signal.removeEventListener('abort', wake)
    }
  }

  /** How many pages of listings have come: while that grows, the store is there, however long a listing takes. */
  get pages(): number {
    return this.#pages
  }

  /** Whether there is something to take: the first list is complete, or something arrived after it. */
  get isNews(): boolean {
    return this.#isListed && (this.#isFirst || this.#queue.size > 0)
  }

  /** Writes to the view what arrived. */
  async take(): Promise<Step> {
    const [queue, reached] = [this.#queue, new Map(this.#reached)]
    this.#taking = queue
    const flags = { isFirst: this.#isFirst, isRelisted: this.#isRelisted }
    this.#queue = new Map()
    this.#isFirst = false
    this.#isRelisted = false
    const changes = new Map<ModelKind, Map<string, Change>>()
    const slices = new Slices()
    for (const [key, { entry, decoded }] of queue) {
      for (const change of this.view.apply(key, entry, decoded)) {
        const ofKind = changes.get(change.kind)
        if (ofKind) ofKind.set(change.id, change)
        else changes.set(change.kind, new Map([[change.id, change]]))
      }
      if (slices.isDue) await slices.giveWay()
    }
    this.#taking = new Map()
    for (const [prefix, revision] of reached) this.view.advance(prefix, revision)
    this.#warnOfBroken()
    return { view: this.view, changes: [...changes.values()].flatMap((ofKind) => [...ofKind.values()]), ...flags }
  }

  /** Gives why it ended. The next round lists again, also where a watch failed for another reason than compaction: that is rare. */
  async #listAndWatch(signal: AbortSignal): Promise<unknown> {
    try {
      await this.#list(signal)
      await this.#watch(signal)
      return undefined
    } catch (error) {
      return error
    } finally {
      this.#isListed = false
    }
  }

  /** Everything at one revision. The queue is released when all of it is there. */
  async #list(signal: AbortSignal): Promise<void> {
    const listed = new Map<string, Arrival>()
    const slices = new Slices()
    let revision = 0
    for (const prefix of FOLLOWED_PREFIXES) {
      for await (const page of this.#store.list(prefix, { revision }, signal)) {
        revision = page.revision
        this.#pages++
        for (const entry of page.entries) {
          if (!parseKey(entry.key)) continue
          // Parsed here and not when it is taken: meanwhile the store looks for the next page.
          listed.set(entry.key, this.#arrivalOf(entry))
          if (slices.isDue) await slices.giveWay()
        }
      }
    }
    this.#queue = this.#differences(listed)
    for (const prefix of FOLLOWED_PREFIXES) this.#reached.set(prefix, revision)
    this.#isRelisted = !this.#isFirst
    this.#isListed = true
    this.#note('list', undefined)
    this.#wake()
  }

  /** Watches every prefix until one watch ends, which is always an error. */
  async #watch(signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const ends = AbortSignal.any([signal, stop.signal])
    const watches = FOLLOWED_PREFIXES.map(async (prefix) => {
      for await (const batch of this.#store.watch(prefix, (this.#reached.get(prefix) ?? 0) + 1, ends)) this.#enqueue(prefix, batch)
      if (!ends.aborted) throw new StoreError(`the watch of ${prefix} ended`, { isTransient: true })
    })
    try {
      await Promise.all(watches)
    } finally {
      stop.abort()
      await Promise.allSettled(watches)
    }
  }

  #enqueue(prefix: string, batch: WatchBatch): void {
    for (const { key, entry } of batch.events) if (parseKey(key)) this.#queue.set(key, { entry })
    this.#reached.set(prefix, batch.revision)
    if (this.#queue.size > 0) this.#wake()
  }

  /** Without the text of what there may be very many of: all of a listing at once would take as much memory again as the view. */
  #arrivalOf(entry: Entry): Arrival {
    if (!this.#isNews(entry.key, entry)) return { entry: this.view.entryOf(entry.key) ?? entry }
    const decoded = this.view.read(entry)
    return { entry: decoded.gist ?? entry, decoded }
  }

  /** What the view lacks of a listing, which becomes that. */
  #differences(listed: Arrivals): Arrivals {
    const gone: string[] = []
    for (const keys of [this.view.keys(), this.#taking.keys()]) for (const key of keys) if (!listed.has(key)) gone.push(key)
    for (const [key, { entry }] of listed) if (!this.#isNews(key, entry)) listed.delete(key)
    for (const key of gone) listed.set(key, { entry: undefined })
    return listed
  }

  /** `take` may be in the midst of writing an older queue to the view. */
  #isNews(key: string, entry: Entry | undefined): boolean {
    return this.#taking.has(key) || this.view.isNews(key, entry)
  }

  #report(error: unknown): void {
    if (error instanceof CompactedError) this.#log.info({ revision: error.revision, reason: error.message }, 'etcd is listed again')
    else if (error instanceof StoreError) this.#note('list', describeError(error))
    else throw error
  }

  #note(user: string, reason: string | undefined): void {
    if (reason === undefined) this.#state.clear(user)
    else this.#state.report(user, reason)
  }

  #warnOfBroken(): void {
    const { broken } = this.view
    if (broken.size === 0 && this.#brokenBefore === '') return
    const texts = [...broken.values()].map(({ kind, id, reason }) => `${kind}/${id}: ${reason}`)
    const text = texts.join('; ')
    const named = texts.slice(0, MOST_NAMED).join('; ').slice(0, 1000)
    if (text !== '' && text !== this.#brokenBefore)
      this.#log.warn({ count: broken.size, reason: named }, 'objects in etcd were not understood')
    this.#brokenBefore = text
  }
}

/** The newest entry of a key, undefined if it is gone, with what it holds if that was read already. */
interface Arrival {
  readonly entry: Entry | undefined
  readonly decoded?: Decoded
}

type Arrivals = Map<string, Arrival>

/** Writes one line when the connection is lost and one when it is back, whatever is tried in between; passes every change on. */
function connectionLog(log: Logger, pass: ((connection: Connection) => void) | undefined): (connection: Connection) => void {
  let lostAt: number | undefined
  return (connection) => {
    if (!connection.isConnected && lostAt === undefined) {
      lostAt = Date.now()
      log.warn({ reason: connection.reason ?? '' }, 'etcd connection was lost, trying again until it is back')
    } else if (connection.isConnected && lostAt !== undefined) {
      log.info({ ms: Date.now() - lostAt }, 'etcd connection was restored')
      lostAt = undefined
    }
    pass?.(connection)
  }
}
