import type { Merger } from '../reconcile/merge.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import type { AppliedRules } from './boot-rules.ts'
import type { Planner } from './planner.ts'

/** What rules follow from. */
export interface AppliedParts {
  readonly planner: Pick<Planner, 'context' | 'generations'>
  readonly reconciler: Pick<Reconciler, 'failures'>
  readonly merger: Pick<Merger, 'tables' | 'revisionOf'>
}

/** What the table of the policy holds after a pass over etcd's view; undefined where it may be otherwise than it is wanted by the store. */
export function appliedRules({ planner, reconciler, merger }: AppliedParts): AppliedRules | undefined {
  if (planner.context === undefined || reconciler.failures().some(({ table }) => table === 'policy')) return undefined
  const { policy } = merger.tables
  const { generations } = planner
  return {
    revision: merger.revisionOf('policy'),
    // Made when it is asked for: with a trial it is a copy.
    get objects() {
      return generations?.committedOf(policy) ?? policy
    },
  }
}
