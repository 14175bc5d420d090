import { StoreError } from '../errors.ts'
import type { Compare, Write } from './store.ts'

/** etcd's limit (`--max-txn-ops`) for compares and for writes, each. */
export const MOST_OPERATIONS = 128

/**
 * Refuses what etcd would refuse, in words that name the key.
 *
 * @throws {StoreError} `store`, not transient
 */
export function checkTransaction(compares: readonly Compare[], writes: readonly Write[]): void {
  if (compares.length > MOST_OPERATIONS || writes.length > MOST_OPERATIONS) {
    const sizes = `${compares.length} compares and ${writes.length} writes`
    throw new StoreError(`a transaction has at most ${MOST_OPERATIONS} of each, not ${sizes}`, { isTransient: false })
  }
  const keys = new Set<string>()
  for (const write of writes) {
    const key = 'put' in write ? write.put : write.remove
    if (keys.has(key)) throw new StoreError(`a transaction writes a key once, not twice: ${JSON.stringify(key)}`, { isTransient: false })
    keys.add(key)
  }
}
