import { describeError } from '../errors.ts'
import type { Desired, TableName } from '../kernel/objects.ts'
import { Pace } from '../kernel/pace.ts'
import type { Ip } from '../net/ip.ts'
import type { PolicyChanges } from '../policy/change-log.ts'
import type { CountedRule } from '../policy/counted-rule.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import type { Generations } from '../policy/generations.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Change, View } from '../store/view.ts'
import type { Facts } from './facts.ts'
import { type Advance, advance, allGroups, type GroupId } from './groups.ts'
import { Memo } from './memo.ts'
import { createContextInSteps, type PlanContext } from './plan-context.ts'
import { planGroup } from './plan-view.ts'
import { POLICY_GROUP, PolicyPart } from './policy-part.ts'

/** Plans what changes touch, group by group, and keeps the merged result up. */
export class Planner {
  readonly #memo: Memo
  readonly #waits = new Map<GroupId, readonly string[]>()
  readonly #failed = new Set<GroupId>()
  readonly #policy: PolicyPart
  /** Parts that others than this planner want; undefined: no more. */
  readonly #given = new Map<GroupId, Desired | undefined>()
  readonly #standing = new Set<GroupId>()
  #context: PlanContext | undefined
  #planned: ReadonlySet<GroupId> = new Set()
  #isBrokenOff = false

  /** `canLog`: whether the kernel can tell of packets. */
  constructor(merger: Merger, canLog?: () => boolean) {
    this.#memo = new Memo(merger)
    this.#policy = new PolicyPart(canLog)
  }

  /** What the last plan was made from; undefined before the first. */
  get context(): PlanContext | undefined {
    return this.#context
  }

  /** What the counters of the rules stand for, by their names. */
  get countedRules(): ReadonlyMap<string, CountedRule> {
    return this.#policy.countedRules
  }

  /** The rule sets of endpoints, committed and tried; undefined before the first plan. */
  get generations(): Generations | undefined {
    return this.#policy.generations
  }

  /** The groups that the last plan made anew. */
  get planned(): ReadonlySet<GroupId> {
    return this.#planned
  }

  /** Another number whenever what decides about packets may be another. */
  get policyVersion(): number {
    return this.#policy.version
  }

  /** What of that changed since this was last asked; to be asked while nothing changes. */
  takePolicyChanges(): PolicyChanges {
    return this.#policy.takeChanges()
  }

  /** What decides about packets is changing just now: what `policed` gave before may be neither what was nor what will be. */
  get isPlanningPolicy(): boolean {
    return this.#policy.isPlanning
  }

  /** Something is on trial: what it decides is not settled. */
  get hasTrial(): boolean {
    return this.#policy.generations?.overlay !== undefined
  }

  /**
   * What decides about packets, as the last plan has it, or what is on trial does; undefined while it is planned anew, and without
   * such a trial. It is good for as long as nothing is awaited.
   */
  policed(isHost: (ip: Ip) => boolean, { onTrial = false } = {}): PolicedHost | undefined {
    const { implicit } = this.#context ?? {}
    const isPeer = (set: string, ip: Ip) => implicit?.isIn(isHost, set, ip) === true
    return onTrial ? this.#policy.policedOnTrial(isPeer) : this.#policy.policed(isPeer)
  }

  /** Wants a part of its own for a group that follows from nothing in the view, from the next plan on; undefined: not any more. */
  give(group: GroupId, part: Desired | undefined): void {
    this.#given.set(group, part)
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
    if (before === undefined) this.#policy.forget()
    const { context, isFull, groups, keys } = before === undefined ? await begin(view, facts) : advance(before, view, changes, facts)
    const touched = new Set([...groups, ...this.#failed])
    for (const key of keys) for (const group of this.#memo.readersOf(key)) touched.add(group)
    const all = isFull ? allGroups(context) : undefined
    if (all !== undefined) {
      this.#memo.keepOnly(new Set([...all, POLICY_GROUP, ...this.#standing]), dirty)
      for (const group of [...this.#waits.keys()]) if (!all.has(group)) this.#waits.delete(group)
      this.#failed.clear()
    }
    this.#takeGiven(dirty)
    const pace = new Pace()
    this.#planned = all ?? touched
    for (const group of this.#planned) {
      this.#planOne(group, context, dirty)
      if (pace.isDue) await pace.giveWay()
    }
    await this.#planPolicy(context, changes, pace, dirty)
    this.#context = context
    this.#isBrokenOff = false
  }

  #takeGiven(dirty: Map<TableName, Set<string>>): void {
    for (const [group, part] of this.#given) {
      this.#memo.set(group, { part, reads: [], problems: [] }, dirty)
      if (part === undefined) this.#standing.delete(group)
      else this.#standing.add(group)
    }
    this.#given.clear()
  }

  /** The rules of endpoints are planned by what remembers them; a fault there leaves what was, and they are planned from nothing then. */
  async #planPolicy(context: PlanContext, changes: readonly Change[], pace: Pace, dirty: Map<TableName, Set<string>>): Promise<void> {
    try {
      const steps = this.#policy.plan(context, changes)
      let step = steps.next()
      for (; !step.done; step = steps.next()) if (pace.isDue) await pace.giveWay()
      const { delta, isFresh, problems } = step.value
      if (isFresh) this.#memo.set(POLICY_GROUP, { part: { policy: delta.put }, reads: [], problems }, dirty)
      else this.#memo.patch(POLICY_GROUP, { table: 'policy', ...delta }, problems, dirty)
    } catch (error) {
      this.#policy.forget()
      this.#memo.fail(POLICY_GROUP, `the rules of endpoints could not be planned, what they were stays: ${describeError(error)}`)
    }
  }

  /** A fault in one group must not stop the others: it is named, and the group is planned again in each pass until it succeeds. */
  #planOne(group: GroupId, context: PlanContext, dirty: Map<TableName, Set<string>>): void {
    try {
      const planned = planGroup(group, context)
      this.#memo.set(group, planned, dirty)
      if (planned.waits.length > 0) this.#waits.set(group, planned.waits)
      else this.#waits.delete(group)
      this.#failed.delete(group)
    } catch (error) {
      this.#failed.add(group)
      this.#memo.fail(group, `${group} could not be planned, what it was stays: ${describeError(error)}`)
    }
  }
}

/** The first step: everything is planned. */
async function begin(view: View, facts: Facts): Promise<Advance> {
  const steps = createContextInSteps(view, facts)
  const pace = new Pace()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return { context: value, isFull: true, groups: new Set(), keys: new Set() }
    if (pace.isDue) await pace.giveWay()
  }
}
