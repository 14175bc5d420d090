/** The API version of every resource of Calico's model. */
export const API_VERSION = 'projectcalico.org/v3'

/** The API version of what is taken from Kubernetes' core as it stands: Service. */
export const CORE_VERSION = 'v1'

/** What every resource carries beside its spec (Kubernetes' ObjectMeta, as far as etcd mode uses it). */
export interface Metadata {
  readonly name: string
  readonly namespace?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly uid?: string | undefined
  /** RFC 3339, UTC, seconds. */
  readonly creationTimestamp?: string | undefined
  /** The store's mod revision as a decimal string; never stored. */
  readonly resourceVersion?: string | undefined
  /** Set by Kubernetes only; a resource that has it is on its way out. */
  readonly deletionTimestamp?: string | undefined
}

/** One resource: members that this version does not know are kept wherever they stand. */
export interface Resource<Kind extends string, Spec, Status = unknown> {
  readonly apiVersion: typeof API_VERSION | typeof CORE_VERSION
  readonly kind: Kind
  readonly metadata: Metadata
  readonly spec: Spec
  readonly status?: Status | undefined
}
