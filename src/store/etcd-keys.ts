import type { KeyValue } from './generated/kv_pb.js'
import type { Entry } from './store.ts'

/** A key or value in UTF-8. */
export function toBytes(text: string): Uint8Array {
  return Buffer.from(text)
}

/** The range of all keys with this prefix, as etcd asks for it. */
export function keyRange(prefix: string): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  return { key: toBytes(prefix), rangeEnd: prefixEnd(prefix) }
}

/** The smallest key that is above all keys with this prefix. */
export function prefixEnd(prefix: string): Uint8Array {
  const bytes = Buffer.from(prefix)
  for (let i = bytes.length - 1; i >= 0; i--) {
    const byte = bytes[i] ?? 0
    if (byte < 0xff) return Buffer.from([...bytes.subarray(0, i), byte + 1])
  }
  // etcd's sign for "to the last key".
  return Buffer.from([0])
}

/** The smallest key that is above this one. */
export function nextKey(key: string): Uint8Array {
  return Buffer.from(`${key}\0`)
}

/** A key with its value as etcd stores it. */
export function toEntry(kv: KeyValue): Entry {
  return { key: decode(kv.key), value: decode(kv.value), modRevision: Number(kv.modRevision), lease: kv.lease }
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
