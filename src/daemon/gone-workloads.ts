import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { describeError } from '../errors.ts'
import type { Connection } from '../kernel/conntrack/connection.ts'
import { Conntrack } from '../kernel/conntrack/conntrack.ts'
import type { Logger } from '../log.ts'
import type { Ip } from '../net/ip.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import type { Change } from '../store/view.ts'
import { workloadAddresses } from '../workloads/addresses.ts'
import type { PlanContext } from './plan-context.ts'
import type { Planner } from './planner.ts'
import { writeStateFile } from './state-file.ts'
import { pause, Wake } from './wake.ts'

/** What forgetting needs of the daemon. */
export interface GoneWorkloadsParts {
  readonly planner: Pick<Planner, 'context'>
  readonly merger: Pick<Merger, 'tables'>
  readonly reconciler: Pick<Reconciler, 'failures'>
  readonly runFolder: string
  readonly log: Logger
}

/** By address the workload endpoint that has it, and which one of that name. */
type Owners = ReadonlyMap<Ip, string>

/** After a failure it is tried again after so long. Milliseconds. */
const RETRY_MS = 1000
/** Longest pause between two lists of all connections, where workloads come and go all the time. Milliseconds. */
const MOST_PAUSE_MS = 1000

/**
 * Has connection tracking forget the connections of this host's workloads that are gone, or have another address now: the next workload
 * with such an address would be reached by what was established with the one before, whatever its policies say. Whose each address was
 * outlives the daemon, in the run folder.
 */
export class GoneWorkloads {
  readonly #parts: GoneWorkloadsParts
  readonly #wake = new Wake()
  readonly #gone = new Set<Ip>()
  #owners: Owners | undefined
  /** As it stands in the run folder. */
  #written: Owners | undefined
  #isFirst = true
  #problem: string | undefined

  constructor(parts: GoneWorkloadsParts) {
    this.#parts = parts
    this.#owners = this.#written = readOwners(parts)
  }

  /** A pass over a view of the store, with these changes, is over: rules, routes and interfaces of what is gone are gone, too. */
  note(changes: readonly Change[]): void {
    const { context } = this.#parts.planner
    if (context === undefined) return
    if (this.#isFirst || changes.some(({ kind }) => kind === 'WorkloadEndpoint')) this.#compare(ownersOf(context))
    // Most endpoints that change are other hosts'.
    if (this.#owners === this.#written && this.#gone.size === 0) return
    // Where the kernel refused a removal packets could still make what is forgotten anew; it is tried again, with a pass.
    if (!this.#isAnyLeft()) this.#wake.set()
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    // Of its own: a list owns the socket until it is read.
    const conntrack = new Conntrack()
    try {
      while (!signal.aborted) await this.#turn(conntrack, signal)
    } finally {
      conntrack.close()
    }
  }

  async #turn(conntrack: Conntrack, signal: AbortSignal): Promise<void> {
    await this.#wake.wait(signal)
    if (signal.aborted) return
    const startMs = performance.now()
    try {
      await this.#forget(conntrack, signal)
      this.#problem = undefined
      await pause(Math.min(MOST_PAUSE_MS, 3 * (performance.now() - startMs)), signal)
    } catch (error) {
      if (signal.aborted) return
      const reason = describeError(error)
      const { log } = this.#parts
      if (reason !== this.#problem) log.warn({ reason }, 'connections of workloads that are gone could not be forgotten, trying again')
      this.#problem = reason
      this.#wake.set()
      await pause(RETRY_MS, signal)
    }
  }

  #compare(owners: Owners): void {
    this.#isFirst = false
    const before = this.#owners
    for (const [ip, owner] of before ?? []) if (owners.get(ip) !== owner) this.#gone.add(ip)
    if (!isDeepStrictEqual(owners, before)) this.#owners = owners
  }

  #isAnyLeft(): boolean {
    const { merger, reconciler } = this.#parts
    return reconciler.failures().some(({ table, key }) => (table === 'routes' || table === 'links') && !merger.tables[table].has(key))
  }

  async #forget(conntrack: Conntrack, signal: AbortSignal): Promise<void> {
    const { log, runFolder } = this.#parts
    const gone = new Set(this.#gone)
    // Taken now: what is gone by the next pass is not forgotten yet.
    const owners = this.#owners
    if (gone.size > 0) {
      const count = await conntrack.remove(await conntrack.list(signal, (one) => isOf(one, gone)), signal)
      for (const ip of gone) this.#gone.delete(ip)
      if (count > 0) log.info({ count }, 'connections of workloads that are gone were forgotten')
    }
    if (owners === this.#written) return
    writeStateFile(ownersPath(runFolder), JSON.stringify(Object.fromEntries(owners ?? [])))
    this.#written = owners
  }
}

function ownersOf({ view, endpoints }: Pick<PlanContext, 'view' | 'endpoints'>): Owners {
  const all = view.get('WorkloadEndpoint')
  return new Map(
    [...endpoints].flatMap((id) => {
      const endpoint = all.get(id)
      if (endpoint === undefined) return []
      return workloadAddresses(endpoint).map((ip) => [ip, `${id} ${endpoint.metadata.uid ?? ''}`] as const)
    }),
  )
}

function isOf({ original, reply }: Connection, addresses: ReadonlySet<Ip>): boolean {
  return [original.source, original.destination, reply.source, reply.destination].some((ip) => addresses.has(ip))
}

function ownersPath(runFolder: string): string {
  return join(runFolder, 'workload-addresses.json')
}

/** As the daemon before has left it; undefined where none has run since the host started. */
function readOwners({ runFolder, log }: GoneWorkloadsParts): Owners | undefined {
  const path = ownersPath(runFolder)
  try {
    const owners: Readonly<Record<string, string>> = JSON.parse(readFileSync(path, 'utf8'))
    return new Map(Object.entries(owners).map(([ip, owner]) => [ip as Ip, owner]))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ path, reason: describeError(error) }, 'whose addresses were can not be read')
    return undefined
  }
}
