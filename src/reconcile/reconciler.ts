import { KernelError } from '../errors.ts'
import { APPLY_ORDER, type TableName, type TableTypes } from '../kernel/objects.ts'
import { Pace } from '../kernel/pace.ts'
import type { Delta, KernelEvent, KernelTables } from '../kernel/table.ts'
import { Backoff } from './backoff.ts'
import type { DesiredTables, DirtyKeys } from './merge.ts'
import { Mirror } from './mirror.ts'

/** What one pass did. */
export interface PassOutcome {
  readonly put: number
  readonly removed: number
  readonly refused: number
}

/** One object that is not as it should be, with the kernel's reason. */
export interface Failure {
  readonly table: TableName
  readonly key: string
  readonly error: KernelError
}

/** An entry was not tried, because the link that it hangs on could not be made; the cause says why. */
export class LinkMissing extends KernelError {
  constructor(link: string, cause: KernelError) {
    super(`waits for ${link}`, { cause })
  }
}

/** A workload's interface was not made, because the rules that it must stand under could not be; the cause says why. */
export class RulesMissing extends KernelError {
  constructor(cause: KernelError) {
    super('waits for the rules of this host', { cause })
  }
}

type Mirrors = { readonly [T in TableName]: Mirror<TableTypes[T]> }
type Backoffs = { readonly [T in TableName]: Backoff }

/** Tables whose entries hang on a link: the kernel drops them with it. */
const ON_LINKS = ['sysctls', 'addresses', 'neighbours', 'fdb', 'routes'] as const satisfies readonly TableName[]

/**
 * Brings the kernel to what is wanted, at the cost of what changed: it keeps a mirror of each table and compares only dirty keys.
 * The kernel is listed at the start, when events say that the mirror may be wrong, after a refusal, and when `distrust` is called.
 */
export class Reconciler {
  readonly #mirrors: Mirrors
  readonly #backoffs: Backoffs
  readonly #now: () => number
  #repairs = 0
  /** Something that was refused is done in this pass. */
  #hasHealed = false

  constructor(tables: KernelTables, now: () => number) {
    this.#mirrors = {
      policy: new Mirror(tables.policy),
      links: new Mirror(tables.links),
      sysctls: new Mirror(tables.sysctls),
      addresses: new Mirror(tables.addresses),
      neighbours: new Mirror(tables.neighbours),
      fdb: new Mirror(tables.fdb),
      rules: new Mirror(tables.rules),
      routes: new Mirror(tables.routes),
    }
    this.#backoffs = {
      policy: new Backoff(),
      links: new Backoff(),
      sysctls: new Backoff(),
      addresses: new Backoff(),
      neighbours: new Backoff(),
      fdb: new Backoff(),
      rules: new Backoff(),
      routes: new Backoff(),
    }
    this.#now = now
  }

  /** Objects of ours that somebody else changed or removed and that had to be put right, since the start. */
  get repairs(): number {
    return this.#repairs
  }

  /** What is refused now. */
  failures(): readonly Failure[] {
    return APPLY_ORDER.flatMap((table) => [...this.#backoffs[table].entries()].map(([key, error]) => ({ table, key, error })))
  }

  /** When the next refused object may be tried again, on the clock given to the constructor; undefined when there is none. */
  nextDueMs(): number | undefined {
    const due = APPLY_ORDER.map((table) => this.#backoffs[table].nextDueMs()).filter((ms) => ms !== undefined)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  /** These keys are wanted otherwise than before: they are compared in the next pass, whatever was refused before. */
  want(dirty: DirtyKeys): void {
    for (const [table, keys] of dirty) {
      for (const key of keys) {
        this.#mirrors[table].dirty.add(key)
        this.#backoffs[table].clear(key)
      }
    }
  }

  /** Takes over what happened in the kernel without us. */
  notice(event: KernelEvent, desired: DesiredTables): void {
    if (event.type === 'stale') {
      this.#mirrors[event.table].isStale = true
      // Who has changed it may have been what stood in the way.
      this.#backoffs[event.table].forgive()
    } else if (event.type === 'changed') this.#noticeChange(event, desired)
    else {
      // An interface went down or came back: the kernel drops IPv4 routes through it without a word (Linux 6.1).
      this.#mirrors.routes.isStale = true
      for (const table of APPLY_ORDER) this.#backoffs[table].forgive()
    }
  }

  /** Nothing is believed any more: every table is listed in the next pass. */
  distrust(): void {
    for (const table of APPLY_ORDER) this.#mirrors[table].isStale = true
  }

  /**
   * Lists what must be listed, then commits puts in APPLY_ORDER and removes in reverse. A refused entry stops no other.
   * `keepsInherited`: what is wanted may be older than what another run of the daemon has put into the kernel, so nothing of that is
   * changed or removed, only what is missing is put.
   */
  async pass(desired: DesiredTables, signal: AbortSignal, { keepsInherited = false } = {}): Promise<PassOutcome> {
    for (const table of APPLY_ORDER) {
      this.#mirrors[table].keepsInherited = keepsInherited
      await this.#list(table, desired, signal)
    }
    let put = 0
    let removed = 0
    let refused = 0
    for (const table of APPLY_ORDER) {
      const outcome = await this.#commit(table, desired, 'put', signal)
      put += outcome.done
      refused += outcome.refused
    }
    for (const table of APPLY_ORDER.toReversed()) {
      const outcome = await this.#commit(table, desired, 'remove', signal)
      removed += outcome.done
      refused += outcome.refused
    }
    // What else was refused may only have waited for it.
    if (this.#hasHealed) for (const table of APPLY_ORDER) this.#backoffs[table].forgive()
    this.#hasHealed = false
    return { put, removed, refused }
  }

  async #list<T extends TableName>(table: T, desired: DesiredTables, signal: AbortSignal): Promise<void> {
    const mirror: Mirror<TableTypes[T]> = this.#mirrors[table]
    if (!mirror.isStale) return
    // Cleared first: an event that comes while the kernel is listed must cause another list.
    mirror.isStale = false
    try {
      const drifted = await mirror.replace(await mirror.table.list(signal), desired[table])
      this.#repairs += drifted
    } catch (cause) {
      mirror.isStale = true
      throw new KernelError(`could not read back the ${table} of the kernel`, { cause })
    }
  }

  async #commit<T extends TableName>(table: T, desired: DesiredTables, step: 'put' | 'remove', signal: AbortSignal) {
    const delta = await this.#delta(table, desired, step)
    const size = delta.put.size + delta.remove.size
    if (size === 0) return { done: 0, refused: 0 }
    const mirror: Mirror<TableTypes[T]> = this.#mirrors[table]
    const failures = await mirror.table.commit(delta, signal)
    const [nowMs, pace] = [this.#now(), new Pace()]
    for (const [key, value] of delta.put) {
      if (pace.isDue) await pace.giveWay()
      if (this.#settle(table, key, failures.get(key), nowMs)) mirror.own(key, value)
    }
    for (const key of delta.remove.keys()) {
      if (this.#settle(table, key, failures.get(key), nowMs)) mirror.entries.delete(key)
    }
    if (table === 'links') this.#forgetWhatHangsOn(new Set([...delta.put.keys(), ...delta.remove.keys()]), desired)
    return { done: size - failures.size, refused: failures.size }
  }

  /** The dirty keys of this step that differ and may be tried now. What is the same loses its dirt. */
  async #delta<T extends TableName>(table: T, desired: DesiredTables, step: 'put' | 'remove'): Promise<Delta<TableTypes[T]>> {
    const mirror: Mirror<TableTypes[T]> = this.#mirrors[table]
    const put = new Map<string, TableTypes[T]>()
    const remove = new Map<string, TableTypes[T]>()
    const nowMs = this.#now()
    const pace = new Pace()
    for (const key of mirror.dirty) {
      if (pace.isDue) await pace.giveWay()
      const want = desired[table].get(key)
      const have = mirror.entries.get(key)
      if (mirror.isSame(want, have)) {
        this.#settle(table, key, undefined, nowMs)
      } else if (!mirror.isKept(key) && this.#backoffs[table].isDue(key, nowMs)) {
        const obstacle = want !== undefined && step === 'put' ? this.#obstacle(table, key, want, desired) : undefined
        if (obstacle !== undefined) this.#backoffs[table].refuse(key, obstacle, nowMs)
        else if (want !== undefined && step === 'put') put.set(key, want)
        if (want === undefined && have !== undefined && step === 'remove') remove.set(key, have)
      }
    }
    return { put, remove }
  }

  /** Why an entry can't be tried now: the kernel would only say "no such device", or would let in what nobody guards. */
  #obstacle<T extends TableName>(table: T, key: string, want: TableTypes[T], desired: DesiredTables): KernelError | undefined {
    if (table === 'links') {
      const isNewWorkload = 'kind' in want && want.kind === 'veth' && !this.#mirrors.links.entries.has(key)
      const rules = isNewWorkload ? this.#refusalOfRules(desired) : undefined
      return rules && new RulesMissing(rules)
    }
    const link = linkOf(want)
    const missing = link === undefined ? undefined : this.#refusalOfMissing(link)
    return missing && new LinkMissing(link ?? '', missing)
  }

  /** Why chains that filter packets and are called by the kernel could not be put: a workload's rules would not be asked. */
  #refusalOfRules(desired: DesiredTables): KernelError | undefined {
    for (const [key, error] of this.#backoffs.policy.entries()) {
      const object = desired.policy.get(key)
      if (object?.kind === 'chain' && object.hook?.type === 'filter') return error
    }
    return undefined
  }

  #refusalOfMissing(link: string): KernelError | undefined {
    if (this.#mirrors.links.entries.has(link)) return undefined
    for (const [key, error] of this.#backoffs.links.entries()) if (key === link) return error
    return undefined
  }

  #settle(table: TableName, key: string, error: KernelError | undefined, nowMs: number): boolean {
    if (error !== undefined) {
      this.#backoffs[table].refuse(key, error, nowMs)
      // What was refused may have been done in part: the next try begins with what the kernel says.
      this.#mirrors[table].isStale = true
      return false
    }
    this.#mirrors[table].dirty.delete(key)
    if (this.#backoffs[table].clear(key)) this.#hasHealed = true
    return true
  }

  /** A link that was made, made anew or removed has lost its addresses, neighbours, FDB entries, routes and sysctls. */
  #forgetWhatHangsOn(links: ReadonlySet<string>, desired: DesiredTables): void {
    for (const table of ON_LINKS) this.#forgetOf(table, links, desired)
  }

  #forgetOf<T extends TableName>(table: T, links: ReadonlySet<string>, desired: DesiredTables): void {
    const mirror: Mirror<TableTypes[T]> = this.#mirrors[table]
    for (const [key, value] of mirror.entries) {
      const link = linkOf(value)
      if (link === undefined || !links.has(link)) continue
      mirror.entries.delete(key)
      if (desired[table].has(key)) mirror.dirty.add(key)
    }
    for (const [key] of this.#backoffs[table].entries()) {
      const link = linkOf(desired[table].get(key))
      if (link !== undefined && links.has(link)) this.#backoffs[table].clear(key)
    }
  }

  #noticeChange(event: Extract<KernelEvent, { type: 'changed' }>, desired: DesiredTables): void {
    const { table, key } = event
    const mirror = this.#mirrors[table] as Mirror<TableTypes[typeof table]>
    const known = mirror.entries.get(key)
    if (mirror.isSame(known, event.value) || mirror.isSame(desired[table].get(key), event.value)) {
      if (event.value === undefined) mirror.entries.delete(key)
      else mirror.entries.set(key, event.value)
      return
    }
    if (event.value === undefined) mirror.entries.delete(key)
    else mirror.entries.set(key, event.value)
    mirror.dirty.add(key)
    if (known !== undefined && desired[table].has(key)) this.#repairs++
    if (table !== 'links') return
    // Whoever changed a link may have taken everything on it away, and the kernel does not tell of each entry.
    for (const name of ON_LINKS) this.#mirrors[name].isStale = true
  }
}

/** The link that an object hangs on, where there is one. A sysctl below `conf/LINK/` or `neigh/LINK/` counts. */
function linkOf(value: TableTypes[TableName] | undefined): string | undefined {
  if (value === undefined) return undefined
  if ('link' in value) return value.link
  if ('key' in value) return /^net\/ipv[46]\/(?:conf|neigh)\/([^/]+)\//.exec(value.key)?.[1]
  return undefined
}
