import { describeError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { trialHostsPrefix } from '../model/keys.ts'
import type { TrialReport } from '../model/own/api.ts'
import type { Trial, TrialHost } from '../model/own/trial.ts'
import { readTrialChanges, type TrialChange } from '../model/own/trial-changes.ts'
import type { PolicyInput } from '../policy/engine.ts'
import type { TrialOverlay } from '../policy/generations.ts'
import type { Store } from '../store/store.ts'
import type { View } from '../store/view.ts'
import type { TrialInForce } from './asked-host.ts'
import type { TrialTimes } from './trial-times.ts'

/** What trials need of the daemon. */
export interface TrialsParts {
  readonly store: Store
  readonly node: string
  readonly log: Logger
  /** Milliseconds, of a clock that nobody sets and that daemons before this one had too. */
  readonly clock: () => number
  readonly times: Pick<TrialTimes, 'endOf' | 'note'>
  /** Asks for another pass, at once or after so many milliseconds. */
  readonly wake: (afterMs?: number) => void
  /** Lets the rules of what is tried hold from now on for so long, and no longer. */
  readonly enforce: (forMs: number) => Promise<void>
}

/** A trial that this host has seen. */
interface Known {
  readonly id: string
  trial: Trial
  readonly changes: readonly TrialChange[]
  /** By our clock; undefined: etcd has not said yet how long it lasts. */
  endsMs: number | undefined
  isAsking: boolean
  /** Why this host does not try it. */
  refused: readonly string[] | undefined
  /** Its rules are in force here. */
  isEnforced: boolean
  /** What was told of it under `trial-host/`. */
  told: TrialHost['state'] | undefined
}

/** When a host comes to a running network, so long it waits before its first plan for etcd to say how long trials last. Milliseconds. */
const FIRST_WAIT_MS = 1500
/** So long before its rules run out in the kernel a trial is over here: where another one goes on there is no moment without it. Milliseconds. */
const EARLY_MS = 100
const RETRY_MS = 1000

/**
 * What this host tries of policy now: the trials of the view that still have time, as etcd has said when they were first seen. The time
 * is this host's own from then on, whether etcd is there or not; the kernel keeps it too, for where this process is gone.
 */
export class Trials {
  readonly #parts: TrialsParts
  readonly #known = new Map<string, Known>()
  #overlay: TrialOverlay | undefined
  /** Of what the overlay is made. */
  #holding: readonly Known[] = []
  #hasLooked = false
  #wakesAtMs: number | undefined

  constructor(parts: TrialsParts) {
    this.#parts = parts
  }

  /** What is laid over the view now; the same object as long as it is the same. */
  get overlay(): TrialOverlay | undefined {
    return this.#overlay
  }

  /** Before a plan: which trials hold with this view. */
  async look(view: View): Promise<void> {
    const asked = this.#take(view)
    // A daemon that comes back in the middle of a trial must not fall back to the old rules for a moment.
    if (!this.#hasLooked && asked.length > 0) await Promise.race([Promise.all(asked), unwaited(FIRST_WAIT_MS)])
    this.#hasLooked = true
    this.#make(view)
  }

  /**
   * After a pass that planned with this overlay: `problems` are why it can't hold here. Without any the rules that were put hold for what
   * remains, else this host goes back to what it had.
   */
  async settle(overlay: TrialOverlay | undefined, problems: readonly string[]): Promise<void> {
    if (overlay !== undefined && overlay === this.#overlay) {
      if (problems.length === 0) await this.#enforce()
      else this.#refuse(problems)
    }
    await Promise.all([...this.#known.values()].map((one) => this.#tell(one)))
  }

  /** The trials as status shows them. */
  report(): readonly TrialReport[] {
    const nowMs = this.#parts.clock()
    return [...this.#known.values()].flatMap(({ id, trial, changes, endsMs, refused }) => {
      if (trial.isConfirmed || (endsMs !== undefined && endsMs <= nowMs)) return []
      const state = refused !== undefined ? 'refused' : endsMs === undefined ? 'waiting' : 'running'
      const leftSeconds = endsMs === undefined ? trial.seconds : Math.ceil((endsMs - nowMs) / 1000)
      const names = changes.map(({ kind, id: name, resource }) => `${kind} ${name}${resource === undefined ? ' (deleted)' : ''}`)
      return [{ id, by: trial.by, leftSeconds, state, reasons: refused ?? [], changes: names }]
    })
  }

  /** Those that decide about packets of this host now. */
  inForce(): readonly TrialInForce[] {
    const nowMs = this.#parts.clock()
    return this.#holding.filter(({ isEnforced, endsMs = 0 }) => isEnforced && endsMs > nowMs)
  }

  /** Takes over the trials of the view; gives what is being asked of etcd. */
  #take(view: View): readonly Promise<void>[] {
    const trials = view.get('Trial')
    const before = this.#known.size
    for (const [key, { id, trial }] of this.#known) if (trials.get(id)?.lease !== trial.lease) this.#known.delete(key)
    for (const [id, trial] of trials) {
      const key = `${id} ${trial.lease}`
      const known = this.#known.get(key)
      if (known) known.trial = trial
      else this.#known.set(key, { ...readKnown(id, trial), endsMs: this.#parts.times.endOf(key) })
    }
    if (before > 0 || this.#known.size > 0) this.#note()
    return [...this.#known.values()].flatMap((one) => (one.endsMs === undefined && !one.isAsking && !one.refused ? [this.#ask(one)] : []))
  }

  #note(): void {
    this.#parts.times.note(
      Object.fromEntries([...this.#known].flatMap(([key, { endsMs }]) => (endsMs === undefined ? [] : [[key, endsMs]]))),
    )
  }

  async #ask(one: Known): Promise<void> {
    const { store, clock, wake, log } = this.#parts
    one.isAsking = true
    const askedMs = clock()
    try {
      const seconds = await store.leaseSeconds(BigInt(one.trial.lease), AbortSignal.timeout(5000))
      // A lease that was given its whole time again, by a new leader of etcd, lasts no longer for us than it was to.
      one.endsMs = askedMs + Math.min(seconds ?? 0, one.trial.seconds) * 1000
      this.#note()
      wake()
    } catch (error) {
      log.debug({ reason: describeError(error) }, 'how long a trial lasts could not be asked, trying again')
      wake(RETRY_MS)
    } finally {
      one.isAsking = false
    }
  }

  #make(view: View): void {
    const nowMs = this.#parts.clock()
    const holding = [...this.#known.values()].filter(({ trial, endsMs, refused }) => {
      // What was confirmed holds as a trial until its documents are in the view, and no longer: somebody may change them then.
      const isOver = endsMs === undefined || endsMs - EARLY_MS <= nowMs || (trial.isConfirmed && trial.revision <= view.revision)
      return !isOver && refused === undefined
    })
    if (holding.length !== this.#holding.length || holding.some((one, i) => one !== this.#holding[i])) {
      this.#holding = holding
      this.#overlay = holding.length === 0 ? undefined : overlayOf(holding.flatMap(({ changes }) => changes))
      this.#parts.log.info({ count: holding.length, reason: holding.map(({ id }) => id).join(', ') }, 'other trials of policies hold now')
    }
    this.#wakeAt(firstEnd(holding))
  }

  #wakeAt(endsMs: number | undefined): void {
    if (endsMs === this.#wakesAtMs) return
    this.#wakesAtMs = endsMs
    if (endsMs !== undefined) this.#parts.wake(Math.max(0, endsMs - EARLY_MS - this.#parts.clock()) + 1)
  }

  /** Until the first of them ends: then others are in force. */
  async #enforce(): Promise<void> {
    const holding = this.#holding
    const forMs = Math.floor((firstEnd(holding) ?? 0) - this.#parts.clock())
    if (forMs <= 0) return
    try {
      await this.#parts.enforce(forMs)
      for (const one of holding) one.isEnforced = true
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'rules of a trial could not be put in force, trying again')
      this.#parts.wake(RETRY_MS)
    }
  }

  #refuse(problems: readonly string[]): void {
    const { log, wake } = this.#parts
    for (const one of this.#holding) one.refused = problems
    log.warn({ reason: problems.join('; ') }, 'a trial of policies was refused, what was before holds')
    wake()
  }

  /** Says how it goes, once for each state; with the trial's lease, so that it goes with the trial. */
  async #tell(one: Known): Promise<void> {
    const { store, node, log } = this.#parts
    const state = one.refused !== undefined ? 'refused' : one.isEnforced ? 'running' : undefined
    if (state === undefined || one.told === state || one.trial.isConfirmed) return
    const host: TrialHost = { node, state, reasons: one.refused ?? [] }
    const put = { put: `${trialHostsPrefix(one.id)}${node}`, value: JSON.stringify(host), lease: BigInt(one.trial.lease) }
    try {
      await store.commit([], [put], AbortSignal.timeout(5000))
      one.told = state
    } catch (error) {
      log.debug({ reason: describeError(error) }, 'how a trial goes could not be said')
    }
  }
}

function readKnown(id: string, trial: Trial): Known {
  const known = { id, trial, changes: [], endsMs: undefined, isAsking: false, refused: undefined, isEnforced: false, told: undefined }
  try {
    return { ...known, changes: readTrialChanges(trial) }
  } catch (error) {
    return { ...known, refused: [describeError(error)] }
  }
}

function overlayOf(changes: readonly TrialChange[]): TrialOverlay {
  return new Map(changes.map(({ kind, id, resource }) => [`${kind}/${id}`, resource as PolicyInput | undefined]))
}

function firstEnd(trials: readonly Known[]): number | undefined {
  const ends = trials.flatMap(({ endsMs }) => endsMs ?? [])
  return ends.length === 0 ? undefined : Math.min(...ends)
}

/** Over after so long; nothing stays awake for it. */
function unwaited(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
