import { SLICE_MS, yieldToLoop } from '../kernel/netlink/socket.ts'
import type { TableName } from '../kernel/objects.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Change, View } from '../store/view.ts'
import type { Facts } from './facts.ts'
import { advance, allGroups, type GroupId } from './groups.ts'
import { Memo } from './memo.ts'
import type { PlanContext } from './plan-context.ts'
import { planGroup } from './plan-view.ts'

/** Plans what changes touch, group by group, and keeps the merged result up. */
export class Planner {
  readonly #memo: Memo
  readonly #waits = new Map<GroupId, readonly string[]>()
  #context: PlanContext | undefined
  #isBrokenOff = false

  constructor(merger: Merger) {
    this.#memo = new Memo(merger)
  }

  /** What the last plan was made from; undefined before the first. */
  get context(): PlanContext | undefined {
    return this.#context
  }

  /** Pairs `<peer> <pool>` for which a switch of the pool's mode waits. */
  waits(): ReadonlySet<string> {
    return new Set([...this.#waits.values()].flat())
  }

  /** What could not be planned, in words. */
  problems(): readonly string[] {
    return [...new Set([...this.#memo.problems().values()].flat())]
  }

  /** What could not be planned of one group. */
  problemsOf(group: GroupId): readonly string[] {
    return this.#memo.problems().get(group) ?? []
  }

  /** Plans the groups that the changes or other facts touch, in slices, and adds what may be wanted otherwise to `dirty`. */
  async plan(view: View, changes: readonly Change[], facts: Facts, dirty: Map<TableName, Set<string>>): Promise<void> {
    const before = this.#isBrokenOff ? undefined : this.#context
    // A plan that breaks off is made anew from nothing: `advance` has taken the changes into the context's memory already.
    this.#isBrokenOff = true
    const { context, isFull, groups, keys } = advance(before, view, changes, facts)
    const touched = new Set(groups)
    for (const key of keys) for (const group of this.#memo.readersOf(key)) touched.add(group)
    const all = isFull ? allGroups(context) : undefined
    if (all !== undefined) {
      this.#memo.keepOnly(all, dirty)
      for (const group of [...this.#waits.keys()]) if (!all.has(group)) this.#waits.delete(group)
    }
    let sliceStart = performance.now()
    for (const group of all ?? touched) {
      this.#planOne(group, context, dirty)
      if (performance.now() - sliceStart < SLICE_MS) continue
      await yieldToLoop()
      sliceStart = performance.now()
    }
    this.#context = context
    this.#isBrokenOff = false
  }

  #planOne(group: GroupId, context: PlanContext, dirty: Map<TableName, Set<string>>): void {
    const planned = planGroup(group, context)
    this.#memo.set(group, planned, dirty)
    if (planned.waits.length > 0) this.#waits.set(group, planned.waits)
    else this.#waits.delete(group)
  }
}
