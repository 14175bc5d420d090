import type { Desired, TableName, TableTypes } from '../kernel/objects.ts'
import type { Merger, Patch } from '../reconcile/merge.ts'

/** What planning one group gave: its part of the desired state, what it read, and what could not be planned. */
export interface Planned {
  /** Undefined: the group has nothing to say any more. */
  readonly part: Desired | undefined
  /** Keys of the view (`Kind/id`) on which the result depends, beside what the whole plan depends on. */
  readonly reads: readonly string[]
  readonly problems: readonly string[]
}

/**
 * Remembers which groups read which keys of the view, so that a change plans only the groups that it touches.
 * The merged result is the same as a fresh plan of the same view: that is a property test.
 */
export class Memo {
  readonly #merger: Merger
  readonly #readers = new Map<string, Set<string>>()
  readonly #reads = new Map<string, readonly string[]>()
  readonly #problems = new Map<string, readonly string[]>()

  constructor(merger: Merger) {
    this.#merger = merger
  }

  /** The groups whose last plan read this key. */
  readersOf(key: string): Iterable<string> {
    return this.#readers.get(key) ?? []
  }

  /** Takes over the plan of one group. */
  set(group: string, planned: Planned, dirty: Map<TableName, Set<string>>): void {
    this.#forgetReads(group)
    this.#merger.set(group, planned.part, dirty)
    if (planned.problems.length > 0) this.#problems.set(group, planned.problems)
    else this.#problems.delete(group)
    if (planned.part === undefined) return
    this.#reads.set(group, planned.reads)
    for (const key of planned.reads) {
      const readers = this.#readers.get(key)
      if (readers === undefined) this.#readers.set(key, new Set([group]))
      else readers.add(group)
    }
  }

  /** Takes over what changed in the plan of a group that reads nothing by key. */
  patch<T extends TableName>(
    group: string,
    { table, ...change }: Patch<TableTypes[T]> & { readonly table: T },
    problems: readonly string[],
    dirty: Map<TableName, Set<string>>,
  ): void {
    this.#merger.patch(group, table, change, dirty)
    if (problems.length > 0) this.#problems.set(group, problems)
    else this.#problems.delete(group)
  }

  /** A group could not be planned at all: what it wanted before stands. */
  fail(group: string, problem: string): void {
    this.#problems.set(group, [problem])
  }

  /** Forgets every group that is not in the set. */
  keepOnly(groups: ReadonlySet<string>, dirty: Map<TableName, Set<string>>): void {
    for (const group of [...this.#merger.groups(), ...this.#problems.keys()]) {
      if (!groups.has(group)) this.set(group, { part: undefined, reads: [], problems: [] }, dirty)
    }
  }

  /** What could not be planned, in words, by group. */
  problems(): ReadonlyMap<string, readonly string[]> {
    return this.#problems
  }

  #forgetReads(group: string): void {
    for (const key of this.#reads.get(group) ?? []) {
      const readers = this.#readers.get(key)
      readers?.delete(group)
      if (readers?.size === 0) this.#readers.delete(key)
    }
    this.#reads.delete(group)
  }
}
