import { describeError } from '../errors.ts'
import { decodeEntry } from '../model/codec.ts'
import { BLOCKS_PREFIX, LIVE_PREFIX, parseKey, RESOURCES_PREFIX } from '../model/keys.ts'
import type { ModelKind, ModelTypes } from '../model/kinds.ts'
import type { Entry } from './store.ts'

/**
 * The store's content at one revision, one read-only map a kind. Ids: the resource's name, `<namespace>/<name>` for namespaced
 * kinds, the CIDR for IPAMBlock, the node's name for Live. Maps are not copied: they change only between passes.
 */
export interface View {
  /** Every resource up to this revision is in it: who wrote one and got a revision waits for that. */
  readonly revision: number
  get<K extends ModelKind>(kind: K): ReadonlyMap<string, ModelTypes[K]>
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

/** A view that whoever follows the store writes to. */
export class MutableView implements View {
  readonly #maps = new Map<ModelKind, Map<string, ModelTypes[ModelKind]>>()
  readonly #records = new Map<string, Stored>()
  readonly #broken = new Map<string, Broken>()
  readonly #revisions = new Map<string, number>()

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

  /** Takes one key's newest entry, undefined if it is gone. Gives what changed; undefined if nothing did, or nobody follows the key. */
  apply(key: string, entry: Entry | undefined): Change | undefined {
    const parsed = parseKey(key)
    if (!parsed || !this.isNews(key, entry)) return undefined
    const { kind, id } = parsed
    this.#broken.delete(`${kind}/${id}`)
    if (entry) this.#put(parsed, entry)
    else {
      this.#records.delete(key)
      this.#map(kind).delete(id)
    }
    return { kind, id }
  }

  /** Whether the key's newest entry is not the one that the view has. */
  isNews(key: string, entry: Entry | undefined): boolean {
    const known = this.#records.get(key)?.newest
    return known?.modRevision !== entry?.modRevision || known?.value !== entry?.value
  }

  /** The keys that the view holds something of, broken or not. */
  keys(): Iterable<string> {
    return this.#records.keys()
  }

  /** What the view was made of, without what does not parse: applied to an empty view it gives the same. */
  entries(): Entry[] {
    return [...this.#records.values()].flatMap(({ good }) => (good ? [good] : []))
  }

  #put({ kind, id }: Change, entry: Entry): void {
    const before = this.#records.get(entry.key)?.good
    try {
      const decoded = decodeEntry(entry.key, entry.value, entry.modRevision)
      if (!decoded) return
      this.#map(kind).set(id, decoded.value)
      this.#records.set(entry.key, { newest: entry, good: entry })
    } catch (error) {
      this.#records.set(entry.key, { newest: entry, good: before })
      this.#broken.set(`${kind}/${id}`, { kind, id, reason: describeError(error), hasGoodVersion: before !== undefined })
    }
  }

  #map<K extends ModelKind>(kind: K): Map<string, ModelTypes[K]> {
    const map = this.#maps.get(kind) ?? new Map<string, ModelTypes[ModelKind]>()
    this.#maps.set(kind, map)
    // Values come from decodeEntry alone, which gives each kind its own type.
    return map as Map<string, ModelTypes[K]>
  }
}

/** What the store has under a key, and the newest version of it that parses. */
interface Stored {
  readonly newest: Entry
  readonly good: Entry | undefined
}

function prefixOf(kind: ModelKind): string {
  if (kind === 'IPAMBlock') return BLOCKS_PREFIX
  return kind === 'Live' ? LIVE_PREFIX : RESOURCES_PREFIX
}
