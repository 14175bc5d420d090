import type { Issue } from '../errors.ts'
import { didYouMean, showValue } from './issues.ts'
import { findKind, KINDS, RESOURCE_KINDS, type ResourceKind } from './kinds.ts'
import { KUBERNETES_KINDS } from './kubernetes/read.ts'
import { API_VERSION } from './resource.ts'
import { isObject } from './shape.ts'

/** What a document is: a resource of ours, or a kind of Kubernetes that becomes one, or what leaves no way to tell. */
export type DocumentKind =
  | { readonly kind: ResourceKind }
  | { readonly kubernetes: keyof typeof KUBERNETES_KINDS }
  | { readonly issues: readonly Issue[] }

/** The kind of a document, by its `apiVersion` and `kind`. */
export function documentKind(value: unknown): DocumentKind {
  if (!isObject(value)) return { issues: [{ path: '', message: 'a document must be an object with apiVersion, kind, metadata and spec' }] }
  const { kind, apiVersion } = value
  const kubernetes = kubernetesKinds.find((name) => name === kind)
  if (kubernetes !== undefined && KUBERNETES_KINDS[kubernetes] === apiVersion) return { kubernetes }
  const own = RESOURCE_KINDS.find((name) => name === kind)
  if (own !== undefined && KINDS[own].apiVersion === apiVersion) return { kind: own }
  return { issues: faultsOf(kind, apiVersion) }
}

const kubernetesKinds = Object.keys(KUBERNETES_KINDS) as readonly (keyof typeof KUBERNETES_KINDS)[]

function faultsOf(kind: unknown, apiVersion: unknown): readonly Issue[] {
  const own = RESOURCE_KINDS.find((name) => name === kind)
  const kubernetes = kubernetesKinds.find((name) => name === kind)
  const isForeign = typeof apiVersion === 'string' && KUBERNETES_VERSION.test(apiVersion)
  if (isForeign && typeof kind === 'string' && own === undefined && kubernetes === undefined) {
    return [{ path: 'kind', message: `${kind} of ${apiVersion} is not taken: ${TAKEN}` }]
  }
  const wanted = kubernetes !== undefined && (own === undefined || isForeign) ? KUBERNETES_KINDS[kubernetes] : own && KINDS[own].apiVersion
  const given = apiVersion === undefined ? 'is required' : `${showValue(apiVersion)} is not known`
  const version = { path: 'apiVersion', message: `${given}: write ${wanted ?? API_VERSION}` }
  if (wanted !== undefined) return [version]
  return [...(apiVersion === API_VERSION ? [] : [version]), { path: 'kind', message: kindFault(kind) }]
}

/** Versions of Kubernetes' own kinds, also of old ones. */
const KUBERNETES_VERSION = /^(?:v1|(?:apps|batch|extensions|autoscaling|policy|[a-z.]+\.k8s\.io)\/v\d\w*)$/
const TAKEN =
  "margay runs no workloads; of Kubernetes' kinds it takes Namespace and Service of v1, and NetworkPolicy of networking.k8s.io/v1"

function kindFault(kind: unknown): string {
  if (typeof kind !== 'string') return kind === undefined ? 'is required' : `must be a string, not ${showValue(kind)}`
  const meant = findKind(kind)
  const hint = meant === undefined ? didYouMean(kind, [...RESOURCE_KINDS, ...kubernetesKinds]) : `: did you mean ${JSON.stringify(meant)}?`
  return `${JSON.stringify(kind)} is not a kind${hint}`
}
