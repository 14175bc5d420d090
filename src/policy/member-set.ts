/** What came and went in a set since it was last looked at. */
export interface MemberChange {
  readonly added: ReadonlySet<string>
  readonly removed: ReadonlySet<string>
}

/** Members of which each may be given by several: it goes when the last of them goes. */
export class MemberSet {
  readonly id: string
  readonly #touched: Set<MemberSet>
  readonly #members = new Set<string>()
  /** How often a member is given, where it is more than once: nearly none are. */
  readonly #repeats = new Map<string, number>()
  #added = new Set<string>()
  #removed = new Set<string>()

  /** It puts itself among `touched` whenever a member comes or goes. */
  constructor(id: string, touched: Set<MemberSet>) {
    this.id = id
    this.#touched = touched
  }

  /** Read-only, and changing with the next change of the set. */
  get members(): ReadonlySet<string> {
    return this.#members
  }

  add(member: string): void {
    const before = this.#members.size
    if (this.#members.add(member).size === before) {
      this.#repeats.set(member, (this.#repeats.get(member) ?? 1) + 1)
      return
    }
    this.#touched.add(this)
    if (this.#removed.size === 0 || !this.#removed.delete(member)) this.#added.add(member)
  }

  remove(member: string): void {
    const times = this.#repeats.get(member) ?? 1
    if (times > 2) this.#repeats.set(member, times - 1)
    else this.#repeats.delete(member)
    if (times > 1 || !this.#members.delete(member)) return
    this.#touched.add(this)
    if (!this.#added.delete(member)) this.#removed.add(member)
  }

  /** The changes since the last time, which are forgotten. */
  takeChange(): MemberChange {
    const change = { added: this.#added, removed: this.#removed }
    this.#added = new Set()
    this.#removed = new Set()
    return change
  }
}
