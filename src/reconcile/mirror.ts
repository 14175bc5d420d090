import { isDeepStrictEqual } from 'node:util'
import type { TableTypes } from '../kernel/objects.ts'
import { Pace } from '../kernel/pace.ts'
import type { KernelTable } from '../kernel/table.ts'

/** What we know to be in the kernel of one table, and which keys may differ from what is wanted. */
export class Mirror<V extends TableTypes[keyof TableTypes]> {
  readonly table: KernelTable<V>
  readonly entries = new Map<string, V>()
  readonly dirty = new Set<string>()
  /** The kernel must be listed before the next comparison. */
  isStale = true
  /** What an earlier run of the daemon has put there stays as it is. */
  keepsInherited = false
  /** Found at the first list, and not put by this run since. */
  #inherited: Set<string> | undefined

  constructor(table: KernelTable<V>) {
    this.table = table
  }

  /** Takes a fresh list for what is in the kernel; every key of it and of what is wanted that differs is dirty. Gives how many known ones changed. */
  async replace(listed: ReadonlyMap<string, V>, desired: ReadonlyMap<string, V>): Promise<number> {
    const pace = new Pace()
    let drifted = 0
    for (const [key, known] of this.entries) {
      if (pace.isDue) await pace.giveWay()
      if (desired.has(key) && !this.isSame(known, listed.get(key))) drifted++
    }
    this.#inherited ??= new Set(listed.keys())
    this.entries.clear()
    for (const [key, value] of listed) {
      this.entries.set(key, value)
      if (!desired.has(key)) this.dirty.add(key)
    }
    for (const [key, value] of desired) {
      if (pace.isDue) await pace.giveWay()
      if (!this.isSame(value, listed.get(key))) this.dirty.add(key)
    }
    return drifted
  }

  /** This run has put it there. */
  own(key: string, value: V): void {
    this.entries.set(key, value)
    this.#inherited?.delete(key)
  }

  /** Whether the key must not be touched now: it is there, and this run did not put it there. */
  isKept(key: string): boolean {
    return this.keepsInherited && this.entries.has(key) && this.#inherited?.has(key) === true
  }

  /** Whether the kernel holds what is wanted (both may be absent). */
  isSame(desired: V | undefined, actual: V | undefined): boolean {
    if (desired === undefined || actual === undefined) return desired === actual
    return this.table.matches?.(desired, actual) ?? isDeepStrictEqual(desired, actual)
  }
}
