import { type Issue, ValidationError } from '../errors.ts'
import { assertResource } from './check.ts'
import { mergeUnknown } from './codec.ts'
import { describeIssues } from './issues.ts'
import { type AnyResource, kindInfo } from './kinds.ts'
import { asSeen } from './policy-storage.ts'
import { checkImmutable } from './pools.ts'
import type { Metadata } from './resource.ts'
import { NAMESPACE_LABEL } from './scoped-selector.ts'
import type { WorkloadEndpoint } from './workload-endpoint.ts'
import { workloadEndpointName } from './workload-endpoint-name.ts'

/** The label that every workload endpoint gets from its orchestrator. */
const ORCHESTRATOR_LABEL = 'projectcalico.org/orchestrator'

/**
 * A new resource as it is stored: with defaults, uid, time of creation, the labels that its kind must carry, and for a workload
 * endpoint without a name its name.
 *
 * @throws {ValidationError} with everything that is wrong with it
 */
export function prepareCreate<R extends AnyResource>(given: R, now: Date, uuid: string): R {
  if (given.metadata.resourceVersion !== undefined) {
    throw new ValidationError(`a new ${given.kind} has no resourceVersion, ${JSON.stringify(given.metadata.name)} was given one`)
  }
  const { metadata } = given
  const born = { uid: metadata.uid ?? uuid, creationTimestamp: metadata.creationTimestamp ?? formatTime(now) }
  return complete(given, { ...metadata, ...born })
}

/**
 * A stored resource as it is after an update: what was given, under the stored uid, time of creation and resourceVersion, with the
 * stored members that this version does not know, and the stored status where none was given. Labels and annotations are replaced.
 *
 * @throws {ValidationError} with everything that is wrong with it, and what may not change
 */
export function prepareUpdate<R extends AnyResource>(stored: R, given: R): R {
  const { uid, creationTimestamp, resourceVersion } = stored.metadata
  const metadata = { ...others(stored.metadata), ...given.metadata, uid, creationTimestamp, resourceVersion }
  const status = given.status ?? stored.status
  const whole = complete({ ...given, ...(status === undefined ? {} : { status }) }, metadata)
  const issues = stored.kind === 'IPPool' && whole.kind === 'IPPool' ? checkImmutable(stored, whole) : []
  if (issues.length > 0) throw refused(whole, issues)
  return mergeUnknown(stored, whole)
}

/** RFC 3339 in UTC with whole seconds, as Kubernetes writes times. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`
}

function complete<R extends AnyResource>(given: R, metadata: Metadata): R {
  const spec = kindInfo(given.kind).defaults(given.spec, metadata.name)
  const whole = asSeen({ ...given, metadata, spec } as R)
  const result = whole.kind === 'WorkloadEndpoint' ? (completeEndpoint(whole) as R) : whole
  assertResource(result)
  return result
}

function completeEndpoint(endpoint: WorkloadEndpoint): WorkloadEndpoint {
  const { metadata, spec } = endpoint
  const name = metadata.name === '' ? workloadEndpointName(spec) : metadata.name
  const forced = { [NAMESPACE_LABEL]: metadata.namespace ?? '', [ORCHESTRATOR_LABEL]: spec.orchestrator ?? '' }
  return { ...endpoint, metadata: { ...metadata, name, labels: { ...metadata.labels, ...forced } } }
}

/** What stored metadata has beside what an update states. */
function others(metadata: Metadata): Partial<Metadata> {
  const { labels: _, annotations: __, ...rest } = metadata
  return rest
}

function refused(resource: AnyResource, issues: readonly Issue[]): ValidationError {
  return new ValidationError(
    `${resource.kind} ${JSON.stringify(resource.metadata.name)} can't be changed so: ${describeIssues(issues)}`,
    issues,
  )
}
