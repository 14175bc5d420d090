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

/** What changes in a group's part of one table. */
export interface Patch<V> {
  readonly put: readonly V[]
  /** Keys. */
  readonly remove: readonly string[]
}

/**
 * Puts the parts of all planning groups together to what is wanted in the kernel.
 * The result depends only on the parts that are set now, never on the order in which they came.
 */
export class Merger {
  readonly #tables: { readonly [T in TableName]: Map<string, TableTypes[T]> }
  readonly #parts = new Map<string, Desired>()
  /** By group and table, what was told change by change instead of whole. */
  readonly #patched = new Map<string, { readonly [T in TableName]?: Map<string, TableTypes[T]> }>()
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
    const part = this.#parts.get(group)
    const patched = Object.entries(this.#patched.get(group) ?? {}).map(([table, values]) => [table, [...values.values()]])
    return patched.length === 0 ? part : { ...part, ...Object.fromEntries(patched) }
  }

  /** Replaces a group's part (undefined: the group is gone) and adds what may have changed to `dirty`. */
  set(group: string, part: Desired | undefined, dirty: Map<TableName, Set<string>>): void {
    if (this.#parts.get(group) === part && !this.#patched.has(group)) return
    const before = this.partOf(group)
    for (const table of APPLY_ORDER) this.#setTable(table, group, before?.[table], part?.[table], dirty)
    this.#patched.delete(group)
    if (part === undefined) this.#parts.delete(group)
    else this.#parts.set(group, part)
  }

  /** Changes a group's part in one table at the cost of what changes, and adds that to `dirty`: for parts of thousands of objects. */
  patch<T extends TableName>(group: string, table: T, { put, remove }: Patch<TableTypes[T]>, dirty: Map<TableName, Set<string>>): void {
    if (put.length === 0 && remove.length === 0) return
    this.#revisions.set(table, this.revisionOf(table) + 1)
    const values = this.#patchedOf(group, table)
    const touched = dirtySet(dirty, table)
    for (const key of remove) {
      if (!values.delete(key)) continue
      this.#drop(table, key, group)
      touched.add(key)
    }
    for (const value of put) {
      const key = keyOf[table](value)
      values.set(key, value)
      this.#claim(table, key, group, value)
      touched.add(key)
    }
  }

  /** Every key that more than one group wants. */
  clashes(): readonly Clash[] {
    return [...this.#shared].flatMap(([id, [owner = '', ...losers]]) => {
      const [table, key] = splitOnce(id)
      return losers.map((loser) => ({ table: table as TableName, key, owner, loser }))
    })
  }

  /** What a group wants in a table, to be changed; what it was told whole is taken over. */
  #patchedOf<T extends TableName>(group: string, table: T): Map<string, TableTypes[T]> {
    const known = this.#patched.get(group)?.[table]
    if (known !== undefined) return known
    const { [table]: whole, ...rest } = this.#parts.get(group) ?? {}
    const values = new Map(((whole as Desired[T]) ?? []).map((value) => [keyOf[table](value), value]))
    this.#parts.set(group, rest)
    this.#patched.set(group, { ...this.#patched.get(group), [table]: values })
    return values
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
    const patched = this.#patched.get(heir)?.[table]
    const value = patched ? patched.get(key) : this.#parts.get(heir)?.[table]?.find((candidate) => keyOf[table](candidate) === key)
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
