import { ValidationError } from '../errors.ts'

/** The identity of a workload endpoint, of which its name is made. */
export interface WorkloadEndpointIdentity {
  readonly node?: string | undefined
  readonly orchestrator?: string | undefined
  readonly workload?: string | undefined
  readonly pod?: string | undefined
  readonly containerID?: string | undefined
  readonly endpoint?: string | undefined
}

/**
 * The name of a workload endpoint: `<node>-<orchestrator>-<workload>-<endpoint>`, where a `-` inside a part is doubled, so that
 * no two identities give one name. Kubernetes, CNI and libnetwork have their own third part.
 *
 * @throws {ValidationError} naming the part that is missing or begins or ends with `-`
 */
export function workloadEndpointName(identity: WorkloadEndpointIdentity): string {
  return nameParts(identity)
    .map(([field, value]) => escapePart(field, value))
    .join('-')
}

/** What the names of all workload endpoints of a node begin with. */
export function workloadEndpointPrefix(node: string): string {
  return `${escapePart('node', node)}-`
}

type Part = readonly [field: string, value: string | undefined]

function nameParts(identity: WorkloadEndpointIdentity): readonly Part[] {
  const { node, orchestrator, endpoint } = identity
  return [['node', node], ['orchestrator', orchestrator], workloadPart(identity), ['endpoint', endpoint]]
}

function workloadPart(identity: WorkloadEndpointIdentity): Part {
  if (identity.orchestrator === 'k8s') return ['pod', identity.pod]
  if (identity.orchestrator === 'cni') return ['containerID', identity.containerID]
  if (identity.orchestrator === 'libnetwork') return ['workload', 'libnetwork']
  return ['workload', identity.workload]
}

function escapePart(field: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new ValidationError(`a workload endpoint needs ${field}`)
  if (value.startsWith('-') || value.endsWith('-')) {
    throw new ValidationError(`${field} ${JSON.stringify(value)} of a workload endpoint begins or ends with "-"`)
  }
  return value.replaceAll('-', '--')
}
