import type { Reconciler } from '../reconcile/reconciler.ts'
import type { Planner } from './planner.ts'
import { describeFailures } from './refusals.ts'

/** Why what is tried can't hold on this host: what of it could not be planned, and what the kernel refuses. */
export function trialProblems({ generations }: Pick<Planner, 'generations'>, reconciler: Pick<Reconciler, 'failures'>): readonly string[] {
  if (generations?.overlay === undefined) return []
  const keys = generations.trialKeys
  const refused = describeFailures(reconciler.failures().filter(({ table, key }) => table === 'policy' && keys.has(key)))
  return [...generations.trialProblems, ...refused.map(({ key, reason }) => `${key}: ${reason}`)]
}
