import type { CounterValue } from '../kernel/nftables/decode.ts'

/** What counters have counted, also over the end of their objects: a table that somebody deleted begins at nothing again. */
export class RuleTotals {
  readonly #last = new Map<string, CounterValue>()
  /** What was counted by objects that are gone. */
  readonly #before = new Map<string, CounterValue>()
  #hasRead = false

  /** Takes in all counters as they were read, and gives how many packets each has counted since the last reading. */
  update(read: ReadonlyMap<string, CounterValue>): ReadonlyMap<string, number> {
    const more = new Map<string, number>()
    for (const [name, value] of read) {
      const last = this.#last.get(name)
      const isAnew = last !== undefined && value.packets < last.packets
      if (isAnew) this.#keep(name, last)
      const packets = value.packets - (isAnew ? 0 : (last?.packets ?? 0))
      // What stood there at the first reading was counted before anybody looked.
      if (packets > 0 && this.#hasRead) more.set(name, packets)
      this.#last.set(name, value)
    }
    this.#hasRead = true
    for (const [name, last] of this.#last) {
      if (read.has(name)) continue
      this.#keep(name, last)
      this.#last.set(name, NOTHING)
    }
    return more
  }

  /** Since the counter was first there. */
  get(name: string): CounterValue {
    const [before, last] = [this.#before.get(name), this.#last.get(name) ?? NOTHING]
    return before === undefined ? last : sum(before, last)
  }

  /** Forgets all but these. */
  keepOnly(isKept: (name: string) => boolean): void {
    for (const counts of [this.#last, this.#before]) for (const name of counts.keys()) if (!isKept(name)) counts.delete(name)
  }

  #keep(name: string, counted: CounterValue): void {
    this.#before.set(name, sum(this.#before.get(name) ?? NOTHING, counted))
  }
}

const NOTHING: CounterValue = { packets: 0, bytes: 0 }

function sum(a: CounterValue, b: CounterValue): CounterValue {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes }
}
