import { stringifyJson } from '../model/json.ts'
import { ENDPOINTS_PREFIX } from '../model/keys.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import type { Entry } from './store.ts'

/**
 * An endpoint's entry without its key and its text, which are made again of its id and of what was read of it: there may be a hundred
 * thousand endpoints, and both would take twice the memory. The text may have its members in another order than the store's; `isOf`
 * knows the store's all the same.
 */
export class Gist implements Entry {
  readonly id: string
  readonly modRevision: number
  readonly fingerprint: number
  readonly endpoint: WorkloadEndpoint

  constructor(id: string, { modRevision }: Entry, endpoint: WorkloadEndpoint, fingerprint: number) {
    this.id = id
    this.modRevision = modRevision
    this.fingerprint = fingerprint
    this.endpoint = endpoint
  }

  get key(): string {
    return `${ENDPOINTS_PREFIX}${this.id}`
  }

  get lease(): bigint {
    return 0n
  }

  get value(): string {
    const { resourceVersion: _, ...metadata } = this.endpoint.metadata
    const endpoint = { ...this.endpoint, metadata }
    try {
      return JSON.stringify(endpoint)
    } catch {
      // A member that nobody knows has a number of more digits than V8 writes.
      return stringifyJson(endpoint)
    }
  }

  /** Whether this was made of that entry's text, or of one that is equal by all likelihood. */
  isOf(entry: Entry): boolean {
    return this.fingerprint === fingerprintOfEntry(entry)
  }
}

/** The fingerprint of the text that the store has. */
export function fingerprintOfEntry(entry: Entry): number {
  return entry instanceof Gist ? entry.fingerprint : fingerprintOf(entry.value)
}

/** A number by which a text is told from others (FNV-1a, 30 bits of it: V8 keeps those without an object). */
function fingerprintOf(text: string): number {
  let hash = 0x811c_9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  return (hash >>> 2) & 0x3fff_ffff
}
