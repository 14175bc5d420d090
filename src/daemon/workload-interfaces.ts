import { WORKLOAD_INTERFACES } from '../policy/frame.ts'
import { WORKLOAD_PREFIX } from '../workloads/interfaces.ts'
import type { PlanContext } from './plan-context.ts'

/** Names of this host's workloads' interfaces, a trailing `*` being a wildcard: ours, and those that another program made. */
export function workloadInterfaces({ view, endpoints }: Pick<PlanContext, 'view' | 'endpoints'>): readonly string[] {
  const names = [...endpoints].map((id) => view.get('WorkloadEndpoint').get(id)?.spec.interfaceName ?? '')
  const foreign = new Set(names.filter((name) => name !== '' && !name.startsWith(WORKLOAD_PREFIX)))
  return [...WORKLOAD_INTERFACES, ...[...foreign].sort()]
}
