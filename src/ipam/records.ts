import type { BlockAffinity } from '../model/ipam-affinity.ts'
import type { Block } from '../model/ipam-block.ts'
import { decodeBlock, encodeBlock } from '../model/ipam-block-codec.ts'
import type { IpamHandle } from '../model/ipam-handle.ts'
import { decodeAffinity, decodeHandle, encodeAffinity, encodeHandle } from '../model/ipam-record-codec.ts'
import { affinityKey, blockKey, handleKey } from '../model/keys.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Entry, Store } from '../store/store.ts'
import type { Change } from './context.ts'

/** A record as it was read, or that it wasn't there: revision 0. */
export interface Stored<T> {
  readonly value: T | undefined
  readonly revision: number
}

/** One sort of record: how it is read, and how it is changed against the revision at which it was read. */
export interface RecordKind<T, Id extends readonly string[]> {
  read(store: Store, id: Id, signal: AbortSignal): Promise<Stored<T>>
  /** What a commit that was refused found. */
  current(found: ReadonlyMap<string, Entry | undefined>, id: Id): Stored<T>
  /** Writes the record, or removes it (undefined), if it is still as it was read. */
  change(id: Id, before: Stored<T>, after: T | undefined): Change
  /** Changes nothing, but holds only while the record is as it was read. */
  keep(id: Id, before: Stored<T>): Change
}

/** Blocks by prefix. */
export const blocks = recordKind<Block, [cidr: Cidr]>(blockKey, (entry) => decodeBlock(entry.value), encodeBlock)

/** Handles by id. */
export const handles = recordKind<IpamHandle, [handleId: string]>(handleKey, (entry) => decodeHandle(entry.value), encodeHandle)

/** Affinities by host and block. */
export const affinities = recordKind<BlockAffinity, [host: string, cidr: Cidr]>(
  affinityKey,
  (entry) => decodeAffinity(entry.value),
  encodeAffinity,
)

function recordKind<T, Id extends readonly string[]>(
  keyOf: (...id: Id) => string,
  decode: (entry: Entry) => T,
  encode: (value: T) => string,
): RecordKind<T, Id> {
  const stored = (entry: Entry | undefined): Stored<T> =>
    entry === undefined ? { value: undefined, revision: 0 } : { value: decode(entry), revision: entry.modRevision }
  return {
    read: async (store, id, signal) => stored(await store.get(keyOf(...id), signal)),
    current: (found, id) => stored(found.get(keyOf(...id))),
    change: (id, before, after) => ({
      key: keyOf(...id),
      revision: before.revision,
      value: after === undefined ? undefined : encode(after),
    }),
    keep: (id, before) => ({ key: keyOf(...id), revision: before.revision, value: 'keep' }),
  }
}
