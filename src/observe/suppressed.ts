import type { FlowVerdict } from '../model/own/flows.ts'

/** How many packets a rule told of, and how many it would have told of without its limit. */
interface Balance {
  verdict: FlowVerdict
  /** Counted and not told: also what is on its way still. */
  owed: number
  told: number
}

/**
 * How many packets nothing was told of one by one, from what rules counted. An event may come after its count was read, so that only
 * what is missing at two readings is called suppressed.
 */
export class Suppressed {
  readonly #balances = new Map<string, Balance>()

  /** An event of the rule with this counter came. */
  tell(counter: string, verdict: FlowVerdict): void {
    const balance = this.#balances.get(counter)
    if (balance) balance.told++
    else this.#balances.set(counter, { verdict, owed: 0, told: 1 })
  }

  /** Takes in how much more rules have counted; `verdictOf` is undefined for a rule that tells nothing unless it was seen to. */
  settle(
    more: ReadonlyMap<string, number>,
    verdictOf: (counter: string) => FlowVerdict | undefined,
  ): readonly { readonly counter: string; readonly verdict: FlowVerdict; readonly packets: number }[] {
    for (const counter of more.keys()) {
      const verdict = this.#balances.has(counter) ? undefined : verdictOf(counter)
      if (verdict !== undefined) this.#balances.set(counter, { verdict, owed: 0, told: 0 })
    }
    return [...this.#balances].flatMap(([counter, balance]) => {
      const before = balance.owed
      const now = before + (more.get(counter) ?? 0) - balance.told
      const packets = Math.max(0, Math.min(before, now))
      balance.owed = now - packets
      balance.told = 0
      if (balance.owed === 0 && packets === 0) this.#balances.delete(counter)
      return packets === 0 ? [] : [{ counter, verdict: balance.verdict, packets }]
    })
  }
}
