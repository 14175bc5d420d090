import { keyOf, type NftObject } from '../kernel/objects.ts'
import { FAMILIES } from '../net/ip.ts'
import type { Pieces, UsedSet } from './chains.ts'
import type { CountedRule } from './counted-rule.ts'
import type { KeptObjects } from './kept-objects.ts'

/** Something that several pieces have in them. */
interface Counted<T> {
  readonly value: T
  count: number
}

/** Pieces that refer to others, or the name of somebody outside who needs them. */
type Holder = Pieces | string

/**
 * Which pieces of the rule set are needed: those that are held, and all that they refer to. What nobody refers to any more is found by
 * counting, at the cost of what changed. Whoever replaces a piece holds the new one before it releases the old one, so that what both
 * refer to stays.
 */
export class HeldPieces {
  readonly #objects: KeptObjects
  readonly #holders = new Map<Pieces, Set<Holder>>()
  readonly #counted = new Map<string, Counted<NftObject>>()
  /** What each counter stands for, by its name. */
  readonly rules = new Map<string, CountedRule>()
  /** Objects that nobody refers to, until `settle`. */
  readonly #idle = new Set<string>()
  readonly #used = new Map<string, Counted<UsedSet>>()
  /** The pieces that name a set themselves, by its id. */
  readonly #users = new Map<string, Set<Pieces>>()
  /** Sets that came into use or went out of it. */
  readonly #changedSets = new Set<string>()
  readonly #dropped = new Set<Pieces>()

  /** Chains, fixed sets and counters of what is held are kept in `objects`. */
  constructor(objects: KeptObjects) {
    this.#objects = objects
  }

  /** From now on the owner needs these pieces; others may need them, too. */
  hold(root: Pieces, owner: string): void {
    this.#hold(root, owner)
  }

  /** The owner needs them no longer. */
  release(root: Pieces, owner: string): void {
    this.#release(root, owner)
  }

  isHeld(pieces: Pieces): boolean {
    return this.#holders.has(pieces)
  }

  /** A set that is named in one family, by its id. */
  usedSet(id: string, family: UsedSet['family']): UsedSet | undefined {
    const used = this.#used.get(usedKey(id, family))
    return used?.value
  }

  /** The held pieces that name one of these sets, also by something that they refer to, and their owners. */
  usersOf(sets: ReadonlySet<string>): ReadonlySet<Holder> {
    const found = new Set<Holder>()
    const visit = (holder: Holder): void => {
      if (found.has(holder)) return
      found.add(holder)
      if (typeof holder !== 'string') for (const other of this.#holders.get(holder) ?? []) visit(other)
    }
    for (const id of sets) for (const user of this.#users.get(id) ?? []) visit(user)
    return found
  }

  /** The sets that may have come into use or gone out of it since the last time, by id. */
  takeChangedSets(): ReadonlyMap<string, readonly UsedSet[]> {
    const changed = new Map<string, readonly UsedSet[]>()
    for (const id of this.#changedSets) {
      changed.set(
        id,
        FAMILIES.flatMap((family) => this.usedSet(id, family) ?? []),
      )
    }
    this.#changedSets.clear()
    return changed
  }

  /** Forgets what is not needed; gives the pieces that went. */
  settle(): Iterable<Pieces> {
    for (const key of this.#idle) {
      const object = this.#counted.get(key)?.value
      if (object?.kind === 'counter') this.rules.delete(object.name)
      this.#counted.delete(key)
      this.#objects.delete(key)
    }
    this.#idle.clear()
    const dropped = [...this.#dropped]
    this.#dropped.clear()
    return dropped
  }

  #hold(pieces: Pieces, holder: Holder): void {
    const known = this.#holders.get(pieces)
    if (known !== undefined) {
      known.add(holder)
      return
    }
    this.#holders.set(pieces, new Set([holder]))
    this.#dropped.delete(pieces)
    for (const part of pieces.parts) this.#hold(part, pieces)
    for (const chain of pieces.chains.values()) this.#count(chain)
    for (const set of pieces.fixed.values()) this.#count(set)
    for (const { object, rule } of pieces.counters.values()) {
      this.#count(object)
      this.rules.set(object.name, rule)
    }
    for (const used of pieces.used.values()) this.#use(used, pieces)
  }

  #release(pieces: Pieces, holder: Holder): void {
    const holders = this.#holders.get(pieces)
    if (holders === undefined || !holders.delete(holder) || holders.size > 0) return
    this.#holders.delete(pieces)
    this.#dropped.add(pieces)
    for (const part of pieces.parts) this.#release(part, pieces)
    for (const chain of pieces.chains.values()) this.#discount(chain)
    for (const set of pieces.fixed.values()) this.#discount(set)
    for (const { object } of pieces.counters.values()) this.#discount(object)
    for (const used of pieces.used.values()) this.#unuse(used, pieces)
  }

  /** Of objects of one name, which are equal, the first is taken. */
  #count(object: NftObject): void {
    const key = keyOf.policy(object)
    const known = this.#counted.get(key)
    this.#idle.delete(key)
    if (known !== undefined) {
      known.count++
      return
    }
    this.#counted.set(key, { value: object, count: 1 })
    this.#objects.put(object)
  }

  #discount(object: NftObject): void {
    const key = keyOf.policy(object)
    const known = this.#counted.get(key)
    if (known !== undefined && --known.count === 0) this.#idle.add(key)
  }

  #use(used: UsedSet, user: Pieces): void {
    const { set, family } = used
    const key = usedKey(set.id, family)
    const known = this.#used.get(key)
    if (known !== undefined) known.count++
    else {
      this.#used.set(key, { value: used, count: 1 })
      this.#changedSets.add(set.id)
    }
    const users = this.#users.get(set.id)
    if (users !== undefined) users.add(user)
    else this.#users.set(set.id, new Set([user]))
  }

  #unuse({ set, family }: UsedSet, user: Pieces): void {
    const key = usedKey(set.id, family)
    const known = this.#used.get(key)
    if (known !== undefined && --known.count === 0) {
      this.#used.delete(key)
      this.#changedSets.add(set.id)
    }
    const users = this.#users.get(set.id)
    users?.delete(user)
    if (users?.size === 0) this.#users.delete(set.id)
  }
}

function usedKey(id: string, family: UsedSet['family']): string {
  return `${id} ${family}`
}
