import { describeError } from '../errors.ts'
import { type DecodedEntry, decodeEntry } from '../model/codec.ts'
import { DEFAULT_ALLOW, isDefaultAllow } from '../model/default-allow.ts'
import { BLOCKS_PREFIX, ENDPOINTS_PREFIX, LIVE_PREFIX, parseKey, RESOURCES_PREFIX, SERVICES_PREFIX, TRIALS_PREFIX } from '../model/keys.ts'
import type { ModelKind, ModelTypes } from '../model/kinds.ts'
import { newerStorageName, olderStorageName } from '../model/policy-storage.ts'
import { SharedParts } from '../model/shared-parts.ts'
import { isGoverning, type Reach, readReach } from '../model/unreadable.ts'
import { fingerprintOfEntry, Gist } from './gist.ts'
import type { Entry } from './store.ts'

/**
 * The store's content at one revision, one read-only map a kind. Ids: the resource's name, `<namespace>/<name>` for namespaced
 * kinds, the CIDR for IPAMBlock, the node's name for Live. Maps are not copied: they change only between passes.
 */
export interface View {
  /** Every resource up to this revision is in it: who wrote one and got a revision waits for that. */
  readonly revision: number
  get<K extends ModelKind>(kind: K): ReadonlyMap<string, ModelTypes[K]>
  /** By `<kind>/<id>`, what decides about traffic and has no version that parses: what it would have governed must be closed. */
  readonly unreadable: ReadonlyMap<string, Unreadable>
}

/** One thing that is new, different or gone between two views. */
export interface Change {
  readonly kind: ModelKind
  readonly id: string
}

/** A value of the store that does not parse. Its last good version stands in the view, if there was one. */
export interface Broken extends Change {
  readonly reason: string
  readonly hasGoodVersion: boolean
}

/** A policy, tier, profile or host endpoint of which no version that parses is known. */
export interface Unreadable extends Change {
  readonly reason: string
  /** What it would have governed; undefined where that can't be read either. */
  readonly reach: Reach | undefined
}

/** What an entry holds, or why it does not parse. */
export interface Decoded {
  readonly object?: DecodedEntry | undefined
  /** Empty where there is an object. */
  readonly reason: string
  /** The entry without what can be made again, where there is such a form of it. */
  readonly gist?: Gist
}

/**
 * Reads an entry for `apply`, which may come much later, with the parts that it shares with others. `fingerprint`: of the store's own
 * text, where the entry's is another form of it.
 */
export function decode(entry: Entry, shared?: SharedParts, fingerprint?: number): Decoded {
  try {
    const object = decodeEntry(entry.key, entry.value, entry.modRevision, shared)
    if (object?.kind !== 'WorkloadEndpoint') return { object, reason: '' }
    return { object, reason: '', gist: new Gist(object.id, entry, object.value, fingerprint ?? fingerprintOfEntry(entry)) }
  } catch (error) {
    return { reason: describeError(error) }
  }
}

/** A view that whoever follows the store writes to. */
export class MutableView implements View {
  readonly #maps = new Map<ModelKind, Map<string, ModelTypes[ModelKind]>>()
  readonly #records = new Map<string, Stored>()
  /** By id, instead of a record, what stands for an endpoint that was understood. */
  readonly #endpoints = new Map<string, Gist>()
  readonly #shared = new SharedParts()
  readonly #broken = new Map<string, Broken>()
  readonly #unreadable = new Map<string, Unreadable>()
  readonly #revisions = new Map<string, number>()

  constructor() {
    this.#map('Profile').set(DEFAULT_ALLOW.metadata.name, DEFAULT_ALLOW)
  }

  get revision(): number {
    return this.revisionAt(RESOURCES_PREFIX)
  }

  get<K extends ModelKind>(kind: K): ReadonlyMap<string, ModelTypes[K]> {
    return this.#map(kind)
  }

  /** What does not parse now, by `<kind>/<id>`. */
  get broken(): ReadonlyMap<string, Broken> {
    return this.#broken
  }

  get unreadable(): ReadonlyMap<string, Unreadable> {
    return this.#unreadable
  }

  /** The revision up to which all objects of this kind are in the view: kinds of other prefixes are followed on streams of their own. */
  revisionOf(kind: ModelKind): number {
    return this.revisionAt(prefixOf(kind))
  }

  /** The revision up to which all keys of this followed prefix are in the view. */
  revisionAt(prefix: string): number {
    return this.#revisions.get(prefix) ?? 0
  }

  /** All keys of this prefix are in the view as they were at this revision. */
  advance(prefix: string, revision: number): void {
    this.#revisions.set(prefix, revision)
  }

  /**
   * Takes one key's newest entry, undefined if it is gone. Gives what changed: nothing if nothing did, or nobody follows the key;
   * two things where a policy's older form came to mean another name. `decoded` is what `read` gave for the entry, if it was called.
   */
  apply(key: string, entry: Entry | undefined, decoded?: Decoded): readonly Change[] {
    const gist = decoded?.gist
    const parsed = gist === undefined ? parseKey(key) : ({ kind: 'WorkloadEndpoint', id: gist.id } as const)
    if (!parsed || isDefaultAllow(parsed.kind, parsed.id) || !this.isNews(key, entry)) return []
    const { kind, id } = parsed
    const before = this.#recordOf(key, parsed)
    if (this.#broken.size > 0) this.#broken.delete(`${kind}/${id}`)
    if (this.#unreadable.size > 0) this.#unreadable.delete(`${kind}/${id}`)
    const now = entry && this.#read(parsed, decoded ?? this.read(entry), { entry, before })
    this.#remember(key, parsed, now)
    if (kind === 'WorkloadEndpoint') {
      // Under the very text that its record has: a second one would take more memory than the record.
      this.#put(kind, now?.id ?? id, now?.value)
      return [{ kind, id: now?.id ?? id }]
    }
    const named = [before?.id, now?.id].filter((given) => given !== undefined)
    const ids = new Set(named.length === 0 ? [id] : named)
    for (const touched of ids) this.#settle(kind, touched, key)
    return [...ids].map((touched) => ({ kind, id: touched }))
  }

  /** Whether the key's newest entry is not the one that the view has. */
  isNews(key: string, entry: Entry | undefined): boolean {
    const known = this.entryOf(key)
    if (known?.modRevision !== entry?.modRevision) return true
    if (known instanceof Gist && entry !== undefined) return !known.isOf(entry)
    return known?.value !== entry?.value
  }

  /** The newest entry of a key that the view has, broken or not. */
  entryOf(key: string): Entry | undefined {
    // Nothing is there yet when most keys come.
    return this.#records.get(key)?.newest ?? (this.#endpoints.size > 0 ? this.#endpoints.get(endpointIdOf(key)) : undefined)
  }

  /** Reads an entry for `apply`, which may come later. */
  read(entry: Entry, fingerprint?: number): Decoded {
    return decode(entry, this.#shared, fingerprint)
  }

  /** The keys that the view holds something of, broken or not. */
  *keys(): Generator<string, void> {
    yield* this.#records.keys()
    for (const { key } of this.#endpoints.values()) yield key
  }

  /** What the view was made of, without what does not parse. */
  entries(): Entry[] {
    return [...[...this.#records.values()].flatMap(({ good }) => (good ? [good] : [])), ...this.#endpoints.values()]
  }

  /** What the view was made of, and what does not parse after its last good version: applied to an empty view it gives the same. */
  history(): Entry[] {
    const records = [...this.#records.values()].flatMap(({ newest, good }) =>
      good === undefined || good === newest ? [newest] : [good, newest],
    )
    return [...records, ...this.#endpoints.values()]
  }

  #recordOf(key: string, { kind, id }: Change): Stored | undefined {
    const gist = kind === 'WorkloadEndpoint' ? this.#endpoints.get(id) : undefined
    return gist === undefined ? this.#records.get(key) : { newest: gist, good: gist, id, value: gist.endpoint }
  }

  #remember(key: string, { kind, id }: Change, stored: Stored | undefined): void {
    if (stored?.newest instanceof Gist) {
      this.#endpoints.set(stored.newest.id, stored.newest)
      this.#records.delete(key)
      return
    }
    if (kind === 'WorkloadEndpoint') this.#endpoints.delete(id)
    if (stored === undefined) this.#records.delete(key)
    else this.#records.set(key, stored)
  }

  #read(
    { kind, id }: Change,
    { object, reason, gist }: Decoded,
    { entry, before }: { readonly entry: Entry; readonly before: Stored | undefined },
  ): Stored {
    if (object !== undefined && gist !== undefined) return { newest: gist, good: gist, id: object.id, value: object.value }
    if (object !== undefined) return { newest: entry, good: entry, id: object.id, value: object.value }
    const hasGoodVersion = before?.good !== undefined
    this.#broken.set(`${kind}/${id}`, { kind, id, reason, hasGoodVersion })
    if (!hasGoodVersion && isGoverning(kind)) {
      this.#unreadable.set(`${kind}/${id}`, { kind, id, reason, reach: readReach(kind, id, entry.value) })
    }
    return { newest: entry, good: before?.good, id: before?.id, value: before?.value }
  }

  /** Puts into the map what now stands for an id. Of a policy that stands under two forms of its name the newer holds. */
  #settle(kind: ModelKind, id: string, key: string): void {
    const value = formsOf(kind, id, key)
      .map((form) => this.#records.get(form))
      .find((stored) => stored?.id === id)?.value
    this.#put(kind, id, value)
  }

  #put(kind: ModelKind, id: string, value: Stored['value']): void {
    if (value === undefined) this.#map(kind).delete(id)
    else this.#map(kind).set(id, value)
  }

  #map<K extends ModelKind>(kind: K): Map<string, ModelTypes[K]> {
    const map = this.#maps.get(kind) ?? new Map<string, ModelTypes[ModelKind]>()
    this.#maps.set(kind, map)
    // Values come from decodeEntry alone, which gives each kind its own type.
    return map as Map<string, ModelTypes[K]>
  }
}

/** What the store has under a key, and the newest version of it that parses, with its id and what it is. */
interface Stored {
  readonly newest: Entry
  readonly good: Entry | undefined
  readonly id: string | undefined
  readonly value: DecodedEntry['value'] | undefined
}

/** The id that follows from the key of a workload endpoint; of another key, what is no id. */
function endpointIdOf(key: string): string {
  return key.startsWith(ENDPOINTS_PREFIX) ? key.slice(ENDPOINTS_PREFIX.length) : ''
}

/** The keys under which a thing may stand, the one that holds first; `key` is one of them. */
function formsOf(kind: ModelKind, id: string, key: string): readonly string[] {
  const folder = key.slice(0, key.lastIndexOf('/') + 1)
  const name = id.slice(id.lastIndexOf('/') + 1)
  const older = olderStorageName(kind, name)
  if (older !== undefined) return [`${folder}${name}`, `${folder}${older}`]
  return newerStorageName(kind, name) === undefined ? [key] : [`${folder}${name}`]
}

function prefixOf(kind: ModelKind): string {
  if (kind === 'IPAMBlock') return BLOCKS_PREFIX
  if (kind === 'Service') return SERVICES_PREFIX
  if (kind === 'Trial') return TRIALS_PREFIX
  return kind === 'Live' ? LIVE_PREFIX : RESOURCES_PREFIX
}
