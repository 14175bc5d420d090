import { describeError } from '../errors.ts'
import { type DecodedEntry, decodeEntry } from '../model/codec.ts'
import { DEFAULT_ALLOW, isDefaultAllow } from '../model/default-allow.ts'
import { BLOCKS_PREFIX, LIVE_PREFIX, parseKey, RESOURCES_PREFIX, SERVICES_PREFIX, TRIALS_PREFIX } from '../model/keys.ts'
import type { ModelKind, ModelTypes } from '../model/kinds.ts'
import { newerStorageName, olderStorageName } from '../model/policy-storage.ts'
import { isGoverning, type Reach, readReach } from '../model/unreadable.ts'
import { fingerprintOf, Gist } from './gist.ts'
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
  /** Of the store's own text, where the entry's is another form of it. */
  readonly fingerprint?: number | undefined
}

/** Reads an entry for `apply`, which may come much later. */
export function decode(entry: Entry): Decoded {
  try {
    return { object: decodeEntry(entry.key, entry.value, entry.modRevision), reason: '' }
  } catch (error) {
    return { reason: describeError(error) }
  }
}

/** A view that whoever follows the store writes to. */
export class MutableView implements View {
  readonly #maps = new Map<ModelKind, Map<string, ModelTypes[ModelKind]>>()
  readonly #records = new Map<string, Stored>()
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
   * two things where a policy's older form came to mean another name. `decoded` is what `decode` gave for the entry, if it was called.
   */
  apply(key: string, entry: Entry | undefined, decoded?: Decoded): readonly Change[] {
    const parsed = parseKey(key)
    if (!parsed || isDefaultAllow(parsed.kind, parsed.id) || !this.isNews(key, entry)) return []
    const { kind, id } = parsed
    const before = this.#records.get(key)
    this.#broken.delete(`${kind}/${id}`)
    this.#unreadable.delete(`${kind}/${id}`)
    if (entry) this.#records.set(key, this.#read(parsed, decoded ?? decode(entry), { entry, before }))
    else this.#records.delete(key)
    const named = [before?.id, this.#records.get(key)?.id].filter((given) => given !== undefined)
    const ids = new Set(named.length === 0 ? [id] : named)
    for (const touched of ids) this.#settle(kind, touched, key)
    return [...ids].map((touched) => ({ kind, id: touched }))
  }

  /** Whether the key's newest entry is not the one that the view has. */
  isNews(key: string, entry: Entry | undefined): boolean {
    const known = this.#records.get(key)?.newest
    if (known?.modRevision !== entry?.modRevision) return true
    if (known instanceof Gist && entry !== undefined) return !known.isOf(entry.value)
    return known?.value !== entry?.value
  }

  /** The keys that the view holds something of, broken or not. */
  keys(): Iterable<string> {
    return this.#records.keys()
  }

  /** What the view was made of, without what does not parse. */
  entries(): Entry[] {
    return [...this.#records.values()].flatMap(({ good }) => (good ? [good] : []))
  }

  /** What the view was made of, and what does not parse after its last good version: applied to an empty view it gives the same. */
  history(): Entry[] {
    return [...this.#records.values()].flatMap(({ newest, good }) => (good === undefined || good === newest ? [newest] : [good, newest]))
  }

  #read(
    { kind, id }: Change,
    { object, reason, fingerprint }: Decoded,
    { entry, before }: { readonly entry: Entry; readonly before: Stored | undefined },
  ): Stored {
    if (object?.kind === 'WorkloadEndpoint') {
      const gist = new Gist(entry, object.value, fingerprint ?? fingerprintOf(entry.value))
      return { newest: gist, good: gist, id: object.id, value: object.value }
    }
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
