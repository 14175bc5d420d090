/** A set differs from the one whose members it shares by so many at most; then it gets members of its own. */
const MOST_DIFFERENT = 512
/** So many members are copied between two `yield`s. */
const STEP = 1024

/**
 * A set that never changes and shares its members with those that it was made of: to add one to thousands costs one, and two such
 * sets are compared by where they differ.
 */
export class SharedSet<T> implements ReadonlySet<T> {
  // Not `#`-private: whoever compares deeply must see a difference rather than none.
  private readonly base: ReadonlySet<T>
  /** Not in the base. */
  private readonly added: ReadonlySet<T>
  /** In the base, and not in this set. */
  private readonly removed: ReadonlySet<T>

  /** `base` must never change afterwards. */
  constructor(base: ReadonlySet<T>, added: ReadonlySet<T> = new Set(), removed: ReadonlySet<T> = new Set()) {
    this.base = base
    this.added = added
    this.removed = removed
  }

  get size(): number {
    return this.base.size + this.added.size - this.removed.size
  }

  has(member: T): boolean {
    return this.added.has(member) || (this.base.has(member) && !this.removed.has(member))
  }

  /** The set after these came or went. */
  change(members: Iterable<T>, isMember: (member: T) => boolean): SharedSet<T> {
    const next = this.differing(members, isMember)
    return next.added.size + next.removed.size > MOST_DIFFERENT ? new SharedSet(new Set(next)) : next
  }

  /** The set after these went and then those came; with many members it takes long, and can be left and resumed at each `yield`. */
  *changeInSteps(gone: readonly T[], come: readonly T[]): Generator<undefined, SharedSet<T>> {
    const isFew = gone.length + come.length <= MOST_DIFFERENT
    const coming = isFew ? new Set(come) : undefined
    const next = coming && this.differing([...gone, ...come], (member) => coming.has(member))
    if (next && next.added.size + next.removed.size <= MOST_DIFFERENT) return next
    const members = new Set<T>()
    let count = 0
    for (const step of next ? [{ add: next }] : [{ add: this }, { remove: gone }, { add: come }]) {
      for (const member of 'add' in step ? step.add : step.remove) {
        if ('add' in step) members.add(member)
        else members.delete(member)
        if (++count % STEP === 0) yield
      }
    }
    return new SharedSet(members)
  }

  private differing(members: Iterable<T>, isMember: (member: T) => boolean): SharedSet<T> {
    const [added, removed] = [new Set(this.added), new Set(this.removed)]
    for (const member of members) {
      const [isIn, isInBase] = [isMember(member), this.base.has(member)]
      if (isIn && !isInBase) added.add(member)
      else added.delete(member)
      if (!isIn && isInBase) removed.add(member)
      else removed.delete(member)
    }
    return new SharedSet(this.base, added, removed)
  }

  /** The members that `other` lacks are among these: all, unless both share their members. */
  candidatesAgainst(other: ReadonlySet<T>): Iterable<T> {
    if (!(other instanceof SharedSet) || other.base !== this.base) return this
    return [...this.added, ...other.removed]
  }

  *values(): SetIterator<T> {
    for (const member of this.base) if (!this.removed.has(member)) yield member
    yield* this.added
  }

  [Symbol.iterator](): SetIterator<T> {
    return this.values()
  }

  keys(): SetIterator<T> {
    return this.values()
  }

  *entries(): SetIterator<[T, T]> {
    for (const member of this) yield [member, member]
  }

  forEach(visit: (value: T, key: T, set: ReadonlySet<T>) => void): void {
    for (const member of this) visit(member, member, this)
  }
}

/** The members of `of` that `elements` lacks, so many at most. */
export function missingFrom<T>(elements: ReadonlySet<T>, of: ReadonlySet<T>, most = Number.POSITIVE_INFINITY): T[] {
  const missing: T[] = []
  if (elements === of || most === 0) return missing
  const candidates = of instanceof SharedSet ? of.candidatesAgainst(elements) : of
  for (const member of candidates) {
    if (!of.has(member) || elements.has(member)) continue
    missing.push(member)
    if (missing.length === most) break
  }
  return missing
}
