import type { CollectMode, Config } from '../config.ts'
import { describeError, isTransient } from '../errors.ts'
import { Candidates, type Collectable, identityOf } from '../ipam/candidates.ts'
import { checkIpam } from '../ipam/check.ts'
import type { Repair } from '../ipam/findings.ts'
import type { Ipam } from '../ipam/ipam.ts'
import type { IpamSurvey } from '../ipam/ipam-survey.ts'
import type { Logger } from '../log.ts'
import type { CollectorReport } from '../model/own/api.ts'
import type { Election, Leadership } from '../store/election.ts'
import { collect, collectableByLeader, collectableHere, confirm } from './collect.ts'
import { Wake } from './wake.ts'

/** What the collector is made of. */
export interface CollectorParts {
  readonly node: string
  readonly ipam: Ipam
  readonly log: Logger
  readonly settings: () => Config['ipam']
  /** This host's part in the election for a task. */
  readonly election: (task: string) => Election
  /** What this host, or everybody, has; it may be a moment old. Undefined: nothing is known yet. */
  readonly look: (scope: 'host' | 'all', signal: AbortSignal) => Promise<IpamSurvey | undefined>
  /** Handles of workloads that still stand here though their endpoints may be gone: their addresses are kept. */
  readonly standing: () => ReadonlySet<string>
  /** Milliseconds that never go back. */
  readonly clock: () => number
}

/** What a host left behind before it was started is collected after so long, where the grace period is longer. Milliseconds. */
const START_GRACE_MS = 60_000
/** The longest time between two scans. Milliseconds. */
const MOST_BETWEEN_MS = 300_000

/**
 * Gives back addresses, blocks, claims and handles that nobody uses any more. Each host looks after what it gave out itself; the one
 * that leads after hosts that are gone, and after what is nobody's. Only what every scan has found for the grace period is collected,
 * and only if the store itself, asked for everything at one revision, shows it then too.
 */
export class Collector {
  readonly #parts: CollectorParts
  readonly #own = new Candidates()
  readonly #led = new Candidates()
  readonly #wake = new Wake()
  #election: { readonly task: string; readonly election: Election } | undefined
  #scans = 0
  #lastScan: { readonly at: Date; readonly ms: number } | undefined
  #collected = { addresses: 0, blocks: 0, handles: 0 }
  /** What a dry run has told of already. */
  #told: ReadonlySet<string> = new Set()
  #problem: string | undefined

  constructor(parts: CollectorParts) {
    this.#parts = parts
  }

  /** How it stands. */
  get report(): CollectorReport {
    const { leader, isLeading = false } = this.#election?.election ?? {}
    return {
      mode: this.#parts.settings().collect,
      isLeading,
      ...(leader === undefined ? {} : { leader: leader.node }),
      waiting: this.#own.size + this.#led.size,
      collected: this.#collected,
      ...(this.#lastScan === undefined ? {} : { lastScan: this.#lastScan.at.toISOString(), scanMs: this.#lastScan.ms }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  /** Scans until the signal aborts. What fails is tried again with the next scan. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.scan(signal)
        this.#problem = undefined
      } catch (error) {
        if (signal.aborted) return
        await this.#fail(error)
      }
      // Later by chance, so that hosts that were started together don't scan together.
      await this.#wake.wait(signal, this.#pauseMs() * (1 + 0.3 * Math.random()))
    }
  }

  /** Settings were changed: scans now, and from then on as often as they say. */
  poke(): void {
    this.#wake.set()
  }

  /** Lets another lead. */
  async stop(): Promise<void> {
    await this.#election?.election.resign()
  }

  /** Looks once, and collects what is due. */
  async scan(signal: AbortSignal): Promise<void> {
    const { collect: mode } = this.#parts.settings()
    const leadership = await this.#lead(mode, signal)
    if (mode === 'off') return
    const beganMs = this.#parts.clock()
    const here = await this.#look('host', signal)
    if (here === undefined) return
    this.#scans++
    const due = [...this.#dueHere(here), ...(leadership === undefined ? [] : await this.#dueElsewhere(signal))]
    if (due.length > 0) await this.#collect(due, leadership, signal)
    await this.#parts.ipam.forgetSticky(leadership === undefined ? 'host' : 'all', signal)
    this.#lastScan = { at: new Date(), ms: Math.round(this.#parts.clock() - beganMs) }
  }

  async #fail(error: unknown): Promise<void> {
    const problem = describeError(error)
    const isPassing = isTransient(error)
    if (problem !== this.#problem) {
      this.#parts.log[isPassing ? 'debug' : 'warn']({ err: error }, 'leaked addresses could not be looked for, trying again')
    }
    this.#problem = problem
    // Another host may be able to do what this one can't. Where the store is away, the lease ends by itself.
    if (!isPassing) await this.stop()
  }

  /** The second scan comes when what the first one found is due; before the first, the view is waited for. */
  #pauseMs(): number {
    const graceMs = this.#graceMs
    if (this.#scans === 0) return 1000
    return this.#scans === 1 ? Math.min(graceMs, START_GRACE_MS) + 100 : Math.min(graceMs / 3, MOST_BETWEEN_MS)
  }

  get #graceMs(): number {
    return this.#parts.settings().leakGraceSeconds * 1000
  }

  /** A dry run has an election of its own: a host that only looks must not keep others from collecting. */
  async #lead(mode: CollectMode, signal: AbortSignal): Promise<Leadership | undefined> {
    const task = mode === 'dry-run' ? 'dry-run-ipam' : 'ipam'
    if (this.#election !== undefined && (mode === 'off' || this.#election.task !== task)) {
      await this.#election.election.resign()
      this.#election = undefined
    }
    if (mode === 'off') return undefined
    this.#election ??= { task, election: this.#parts.election(task) }
    const leadership = await this.#election.election.lead(signal)
    if (leadership === undefined) this.#led.clear()
    return leadership
  }

  async #look(scope: 'host' | 'all', signal: AbortSignal) {
    const survey = await this.#parts.look(scope, signal)
    return survey === undefined ? undefined : (await checkIpam(survey)).findings
  }

  #dueHere(findings: Parameters<typeof collectableHere>[0]): readonly Collectable[] {
    const { node, standing, clock } = this.#parts
    // What the first scan and the second have in common is older than anything that this daemon has begun.
    const neededMs = this.#scans === 2 ? Math.min(this.#graceMs, START_GRACE_MS) : this.#graceMs
    return this.#own.note(collectableHere(findings, node, standing()), clock(), neededMs)
  }

  async #dueElsewhere(signal: AbortSignal): Promise<readonly Collectable[]> {
    const findings = await this.#look('all', signal)
    return findings === undefined ? [] : this.#led.note(collectableByLeader(findings), this.#parts.clock(), this.#graceMs)
  }

  async #collect(due: readonly Collectable[], leadership: Leadership | undefined, signal: AbortSignal): Promise<void> {
    const { ipam, node, standing, settings } = this.#parts
    const isDryRun = settings().collect === 'dry-run'
    // A check reads everything: not again for what was told.
    if (isDryRun && due.every(({ repair }) => this.#told.has(identityOf(repair)))) return
    const { findings } = await ipam.check(signal)
    const led = leadership === undefined ? [] : collectableByLeader(findings)
    const confirmed = confirm([...collectableHere(findings, node, standing()), ...led], due)
    if (isDryRun) return this.#tell(confirmed)
    const done = await collect(ipam, confirmed, leadership, signal)
    for (const finding of confirmed) if (done.has(finding.repair)) this.#noteCollected(finding)
    this.#own.forget([...done])
    this.#led.forget([...done])
  }

  #noteCollected({ subject, reason, repair }: Collectable): void {
    const { counter, message } = COLLECTED[repair.action]
    this.#collected = { ...this.#collected, [counter]: this.#collected[counter] + 1 }
    this.#parts.log.info({ key: subject, reason }, message)
  }

  #tell(confirmed: readonly Collectable[]): void {
    for (const { subject, reason, repair } of confirmed) {
      if (!this.#told.has(identityOf(repair))) this.#parts.log.info({ key: subject, reason }, 'would be collected, if this were no dry run')
    }
    this.#told = new Set(confirmed.map(({ repair }) => identityOf(repair)))
  }
}

const COLLECTED = {
  'release-address': { counter: 'addresses', message: 'leaked address released' },
  'release-block': { counter: 'blocks', message: 'block or claim of a host given back' },
  'delete-block': { counter: 'blocks', message: 'empty block removed' },
  'delete-handle': { counter: 'handles', message: 'handle without addresses removed' },
} as const satisfies Record<Repair['action'], { readonly counter: keyof CollectorReport['collected']; readonly message: string }>
