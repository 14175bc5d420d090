/**
 * What we last knew the kernel to hold of one table: from a list, from our own changes, from events. An event that says
 * the same is no news. This is needed because the kernel does not name the sender of every notice (Linux 6.1: FDB entries,
 * IPv6 addresses and links come with port id 0), and some come later than the call that caused them.
 */
export class Held<V> {
  private entries = new Map<string, V>()
  private touched: Set<string> | undefined
  private readonly isSame: (a: V, b: V) => boolean

  constructor(isSame: (a: V, b: V) => boolean) {
    this.isSame = isSame
  }

  has(key: string): boolean {
    return this.entries.has(key)
  }

  forget(isGone: (value: V) => boolean): void {
    for (const [key, value] of this.entries) if (isGone(value)) this.learn(key, undefined)
  }

  /** Takes in what is so now (undefined: gone); true if that is news. */
  learn(key: string, value: V | undefined): boolean {
    const before = this.entries.get(key)
    const isNews = value === undefined || before === undefined ? value !== before : !this.isSame(before, value)
    this.touched?.add(key)
    if (value === undefined) this.entries.delete(key)
    else this.entries.set(key, value)
    return isNews
  }

  /** To be called before the kernel is listed: what is learned meanwhile is newer than the list. */
  beginList(): void {
    this.touched = new Set()
  }

  /** Takes a list over, but for what was learned since `beginList`. */
  endList(listed: ReadonlyMap<string, V>): void {
    const next = new Map(listed)
    for (const key of this.touched ?? []) {
      const value = this.entries.get(key)
      if (value === undefined) next.delete(key)
      else next.set(key, value)
    }
    this.entries = next
    this.touched = undefined
  }
}
