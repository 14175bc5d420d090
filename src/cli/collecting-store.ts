import { decodeEntry } from '../model/codec.ts'
import { parseKey } from '../model/keys.ts'
import type { TrialWrite } from '../model/own/trial.ts'
import type { Compare, Entry, Store } from '../store/store.ts'
import { dryRunStore } from './dry-run.ts'

/** One transaction that does what several would have done. */
export interface Collected {
  /** Of each key that was relied on or is written, how it was before. */
  readonly compares: readonly Compare[]
  readonly writes: readonly TrialWrite[]
}

/** A store that writes nothing: reads see what would be written, and all of it can be had as one transaction. */
export function collectingStore(store: Store): { readonly store: Store; readonly collected: () => Collected } {
  const dry = dryRunStore(store)
  const compares = new Map<string, Compare>()
  const writes = new Map<string, TrialWrite>()
  const collecting: Store = {
    ...dry,
    commit: async (given, changes, signal) => {
      const removed = new Map<string, string>()
      const entries = await Promise.all(changes.map((write) => dry.get('put' in write ? write.put : write.remove, signal)))
      for (const [index, write] of changes.entries()) {
        const key = 'put' in write ? write.put : write.remove
        const before = entries[index]
        if ('remove' in write) removed.set(key, idOf(key, before))
        if (!compares.has(key) && !writes.has(key)) compares.set(key, { key, modRevision: before?.modRevision ?? 0 })
      }
      const result = await dry.commit(given, changes, signal)
      if (!result.isDone) return result
      for (const compare of given) if (!writes.has(compare.key) && !compares.has(compare.key)) compares.set(compare.key, compare)
      for (const write of changes) {
        if ('put' in write) writes.set(write.put, { put: write.put, value: write.value })
        else writes.set(write.remove, { remove: write.remove, id: removed.get(write.remove) ?? '' })
      }
      return result
    },
  }
  return { store: collecting, collected: () => ({ compares: [...compares.values()], writes: [...writes.values()] }) }
}

/** As in a view. */
function idOf(key: string, entry: Entry | undefined): string {
  const fromKey = parseKey(key)?.id ?? ''
  try {
    return (entry && decodeEntry(key, entry.value, entry.modRevision)?.id) ?? fromKey
  } catch {
    // What does not parse can be removed all the same.
    return fromKey
  }
}
