import { performance } from 'node:perf_hooks'
import { describeError } from '../errors.ts'
import type { TableName } from '../kernel/objects.ts'
import type { Kernel, KernelEvent } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import type { Change, View } from '../store/view.ts'
import { pause, Wake } from './wake.ts'

/** What the loop asks of whoever knows the host's facts and the planners. */
export interface Planning {
  /** Reads what may have changed outside the store. */
  refresh(view: View, signal: AbortSignal): Promise<void>
  /** Plans what the changes, and facts that were read since, touch, and adds what may be wanted otherwise to `dirty`. */
  plan(view: View, changes: readonly Change[], dirty: Map<TableName, Set<string>>): Promise<void>
  /** A pass is over: everything of this revision was tried. */
  report(view: View, timing: PassTiming): void
}

/** How long a pass took, in milliseconds, and how long what it applied had waited since the follower noticed it. */
export interface PassTiming {
  readonly passMs: number
  readonly sinceNoticeMs: number
  readonly changes: readonly Change[]
}

/** Where views come from. The view changes only within `take`, so a pass sees one revision. */
export interface ViewSource {
  /** Resolves with true when there is something to take, with false when it is over. */
  hasNews(signal: AbortSignal): Promise<boolean>
  take(): Promise<{ readonly view: View; readonly changes: readonly Change[] }>
  /** The view was read from disk, and the store may know better. */
  readonly isSaved: boolean
}

/** The kernel is listed anew this often, whatever events said. Milliseconds. */
const RELIST_MS = 3_600_000
/** Without any event a pass runs this often, so that the watchdog is fed by the loop and nothing else. Milliseconds. */
const HEARTBEAT_MS = 10_000

/**
 * The one loop: waits for a level, takes the follower's step and the kernel's events, plans, reconciles, reports.
 * One pass runs at a time; what comes meanwhile costs one more.
 */
export class PassLoop {
  readonly #kernel: Kernel
  readonly #planning: Planning
  readonly #merger: Merger
  readonly #reconciler: Reconciler
  readonly #log: Logger
  readonly #wake = new Wake()
  readonly #events: KernelEvent[] = []
  /** When the source said that it has news; undefined while it has none. */
  #newsMs: number | undefined
  /** Taken, and not yet applied by a whole pass. */
  #changes: readonly Change[] = []
  #view: View | undefined
  #mustRefresh = true
  #lastTurnMs = performance.now()
  #lastFailure: string | undefined
  /** Called when a turn of the loop is over, whatever became of its pass: the loop is not stuck. */
  onTurn: () => void = () => {}

  constructor(parts: { kernel: Kernel; planning: Planning; merger: Merger; reconciler: Reconciler; log: Logger }) {
    this.#kernel = parts.kernel
    this.#planning = parts.planning
    this.#merger = parts.merger
    this.#reconciler = parts.reconciler
    this.#log = parts.log
  }

  /** Milliseconds since a pass last ended, completed or given up with its reason. */
  get idleMs(): number {
    return performance.now() - this.#lastTurnMs
  }

  /** Why the last pass could not be completed; undefined when it was. */
  get failure(): string | undefined {
    return this.#lastFailure
  }

  /** Local facts may have changed: they are read again in the next pass. */
  refresh(): void {
    this.#mustRefresh = true
    this.#wake.set()
  }

  /** Something that is due by now is looked at again. */
  poke(): void {
    this.#wake.set()
  }

  /** Runs until the signal aborts. Nothing touches the kernel before the first step. */
  async run(source: ViewSource, signal: AbortSignal): Promise<void> {
    void this.#collectEvents(signal)
    this.#listen(source, signal)
    let listedMs = performance.now()
    while (!signal.aborted) {
      await this.#wake.wait(signal, this.#waitMs())
      if (signal.aborted) return
      if (performance.now() - listedMs > RELIST_MS) {
        this.#reconciler.distrust()
        listedMs = performance.now()
      }
      try {
        await this.#pass(source, signal)
        this.#lastFailure = undefined
        this.#endTurn()
      } catch (error) {
        if (signal.aborted) return
        const reason = describeError(error)
        if (reason !== this.#lastFailure) this.#log.error({ err: error }, 'pass failed, trying again')
        this.#lastFailure = reason
        this.#wake.set()
        this.#endTurn()
        await pause(1000, signal)
      }
    }
  }

  #endTurn(): void {
    this.#lastTurnMs = performance.now()
    this.onTurn()
  }

  #listen(source: ViewSource, signal: AbortSignal): void {
    source.hasNews(signal).then(
      (isNews) => {
        if (!isNews) return
        this.#newsMs = performance.now()
        this.#wake.set()
      },
      (error: unknown) => {
        if (!signal.aborted) this.#log.error({ err: error }, 'the follower of the store ended')
      },
    )
  }

  async #collectEvents(signal: AbortSignal): Promise<void> {
    try {
      for await (const event of this.#kernel.events(signal)) {
        this.#events.push(event)
        this.#wake.set()
      }
    } catch (error) {
      if (!signal.aborted) this.#log.error({ err: error }, 'kernel events ended')
    }
  }

  async #pass(source: ViewSource, signal: AbortSignal): Promise<void> {
    const startMs = performance.now()
    const newsMs = this.#newsMs
    if (newsMs !== undefined) {
      const step = await source.take()
      this.#newsMs = undefined
      this.#view = step.view
      this.#changes = [...this.#changes, ...step.changes]
      this.#listen(source, signal)
    }
    for (const event of this.#events.splice(0)) {
      this.#reconciler.notice(event, this.#merger.tables)
      if (event.type !== 'changed') this.#mustRefresh = true
    }
    const changes = this.#changes
    if (this.#view !== undefined) await this.#planAndApply(this.#view, changes, source.isSaved, signal)
    this.#changes = []
    if (this.#view === undefined) return
    const doneMs = performance.now()
    const sinceNoticeMs = newsMs === undefined ? 0 : doneMs - newsMs
    this.#planning.report(this.#view, { passMs: doneMs - startMs, sinceNoticeMs, changes })
  }

  async #planAndApply(view: View, changes: readonly Change[], isSaved: boolean, signal: AbortSignal): Promise<void> {
    if (this.#mustRefresh) {
      // Cleared first: what changes while the facts are read must cause another look.
      this.#mustRefresh = false
      try {
        await this.#planning.refresh(view, signal)
      } catch (error) {
        this.#mustRefresh = true
        throw error
      }
    }
    const dirty = new Map<TableName, Set<string>>()
    try {
      await this.#planning.plan(view, changes, dirty)
    } finally {
      // Also of a plan that broke off: what its groups no longer want is known from nowhere else.
      this.#reconciler.want(dirty)
    }
    await this.#reconciler.pass(this.#merger.tables, signal, { keepsInherited: isSaved })
  }

  #waitMs(): number {
    const due = this.#reconciler.nextDueMs()
    return due === undefined ? HEARTBEAT_MS : Math.max(10, Math.min(HEARTBEAT_MS, due - performance.now()))
  }
}
