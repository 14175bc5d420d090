import { APPLY_ORDER, type Desired, emptyTables, keyOf, type TableName, type TableTypes } from '../kernel/objects.ts'

/** What is wanted in the kernel: one map a table, by the kernel's own key. */
export type DesiredTables = { readonly [T in TableName]: ReadonlyMap<string, TableTypes[T]> }

/** Keys whose desired value may be different from before, by table. */
export type DirtyKeys = ReadonlyMap<TableName, ReadonlySet<string>>

/** Two groups want the same object; the one whose name sorts first has it. A bug in a planner, or two records that contradict. */
export interface Clash {
  readonly table: TableName
  readonly key: string
  readonly owner: string
  readonly loser: string
}

/**
 * Puts the parts of all planning groups together to what is wanted in the kernel.
 * The result depends only on the parts that are set now, never on the order in which they came.
 */
export class Merger {
  readonly #tables: { readonly [T in TableName]: Map<string, TableTypes[T]> }
  readonly #parts = new Map<string, Desired>()
  /** Claimants of a key that more than one group wants, by table and key, sorted. */
  readonly #shared = new Map<string, string[]>()
  /** How often parts of a table were replaced. */
  readonly #revisions = new Map<TableName, number>()
  /** The group that owns a key, by table. */
  readonly #owners: { readonly [T in TableName]: Map<string, string> }

  constructor() {
    this.#tables = emptyTables()
    this.#owners = {
      policy: new Map(),
      links: new Map(),
      sysctls: new Map(),
      addresses: new Map(),
      neighbours: new Map(),
      fdb: new Map(),
      rules: new Map(),
      routes: new Map(),
    }
  }

  /** What is wanted now; the maps are live. */
  get tables(): DesiredTables {
    return this.#tables
  }

  /** What is wanted of a table is the same as long as this number is. */
  revisionOf(table: TableName): number {
    return this.#revisions.get(table) ?? 0
  }

  /** The groups that have a part. */
  groups(): Iterable<string> {
    return this.#parts.keys()
  }

  /** The part that a group contributed last. */
  partOf(group: string): Desired | undefined {
    return this.#parts.get(group)
  }

  /** Replaces a group's part (undefined: the group is gone) and adds what may have changed to `dirty`. */
  set(group: string, part: Desired | undefined, dirty: Map<TableName, Set<string>>): void {
    const before = this.#parts.get(group)
    if (before === part) return
    for (const table of APPLY_ORDER) this.#setTable(table, group, before?.[table], part?.[table], dirty)
    if (part === undefined) this.#parts.delete(group)
    else this.#parts.set(group, part)
  }

  /** Every key that more than one group wants. */
  clashes(): readonly Clash[] {
    return [...this.#shared].flatMap(([id, [owner = '', ...losers]]) => {
      const [table, key] = splitOnce(id)
      return losers.map((loser) => ({ table: table as TableName, key, owner, loser }))
    })
  }

  #setTable<T extends TableName>(
    table: T,
    group: string,
    before: readonly TableTypes[T][] | undefined,
    after: readonly TableTypes[T][] | undefined,
    dirty: Map<TableName, Set<string>>,
  ): void {
    if (before === after) return
    this.#revisions.set(table, this.revisionOf(table) + 1)
    const wanted = new Map((after ?? []).map((value) => [keyOf[table](value), value]))
    const touched = dirtySet(dirty, table)
    for (const value of before ?? []) {
      const key = keyOf[table](value)
      if (wanted.has(key)) continue
      this.#drop(table, key, group)
      touched.add(key)
    }
    for (const [key, value] of wanted) {
      this.#claim(table, key, group, value)
      touched.add(key)
    }
  }

  #claim<T extends TableName>(table: T, key: string, group: string, value: TableTypes[T]): void {
    const owners = this.#owners[table]
    const owner = owners.get(key)
    if (owner === undefined || owner === group) {
      owners.set(key, group)
      this.#tables[table].set(key, value)
      return
    }
    const id = `${table} ${key}`
    const claimants = [...new Set([...(this.#shared.get(id) ?? [owner]), group])].sort()
    this.#shared.set(id, claimants)
    if (claimants[0] !== group) return
    owners.set(key, group)
    this.#tables[table].set(key, value)
  }

  #drop(table: TableName, key: string, group: string): void {
    const id = `${table} ${key}`
    const others = this.#shared.get(id)?.filter((name) => name !== group)
    if (others === undefined) {
      this.#owners[table].delete(key)
      this.#tables[table].delete(key)
      return
    }
    if (others.length > 1) this.#shared.set(id, others)
    else this.#shared.delete(id)
    const [heir] = others
    if (heir !== undefined && this.#owners[table].get(key) === group) this.#inherit(table, key, heir)
  }

  #inherit<T extends TableName>(table: T, key: string, heir: string): void {
    const value = this.#parts.get(heir)?.[table]?.find((candidate) => keyOf[table](candidate) === key)
    if (value === undefined) return
    this.#owners[table].set(key, heir)
    this.#tables[table].set(key, value)
  }
}

/** The set for a table in a map of dirty keys, made if it is not there. */
export function dirtySet(dirty: Map<TableName, Set<string>>, table: TableName): Set<string> {
  const known = dirty.get(table)
  if (known !== undefined) return known
  const fresh = new Set<string>()
  dirty.set(table, fresh)
  return fresh
}

function splitOnce(text: string): readonly [string, string] {
  const at = text.indexOf(' ')
  return [text.slice(0, at), text.slice(at + 1)]
}
