import * as z from 'zod'
import type { Issue } from '../../errors.ts'
import { checkResource } from '../check.ts'
import { describeIssues, faultsOf, showPath } from '../issues.ts'
import type { AnyResource } from '../kinds.ts'
import { checkMetadata, metadataSchema } from '../metadata.ts'
import { checkNamespace, namespaceProfile } from '../namespace.ts'
import type { NetworkPolicy } from '../network-policy.ts'
import { API_VERSION, type Metadata } from '../resource.ts'
import { findUnknown, isObject, type JsonObject, type UnknownMember, withoutAbsent } from '../shape.ts'
import { soundParts } from '../sound-parts.ts'
import { checkKubernetesPolicy, type KubernetesPolicySpec, kubernetesPolicySchema } from './network-policy.ts'
import { KUBERNETES_POLICY_PREFIX, translatePolicy } from './translate-policy.ts'

/** What a document of Kubernetes becomes here, or all that is wrong with it; paths are those of the document. */
export interface KubernetesDocument {
  readonly resource?: AnyResource
  readonly issues: readonly Issue[]
  readonly warnings: readonly Issue[]
  /** Members that the kind does not have. */
  readonly unknown: readonly UnknownMember[]
  /** How it is stored, in words for a person. */
  readonly note?: string
}

/** The kinds of Kubernetes that are read, with their versions. A Service is a kind of ours. */
export const KUBERNETES_KINDS = { Namespace: 'v1', NetworkPolicy: 'networking.k8s.io/v1' } as const

/** Annotation of a policy that logs what it allows and denies. */
const LOG_ANNOTATION = 'margay.io/log'
/** Written by kubectl for itself. */
const KUBECTL_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration'

const text = z.string().optional()
const ignored = z.unknown().optional()

const namespaceSchema = z.object({
  kind: text,
  apiVersion: text,
  metadata: metadataSchema,
  spec: z.object({ finalizers: ignored }).optional(),
  status: ignored,
})

const policySchema = z.object({ kind: text, apiVersion: text, metadata: metadataSchema, spec: kubernetesPolicySchema, status: ignored })

/**
 * A Service as `kubectl get -o yaml` shows it, without what that cluster wrote: a status tells that one did, for we write none. Its
 * resourceVersion would be taken for one of ours.
 */
export function withoutClusterMembers(raw: JsonObject): JsonObject {
  const { status, metadata, ...rest } = raw
  if (status === undefined || !isObject(metadata)) return raw
  const { name, namespace, labels, annotations } = metadata
  const given = Object.entries({ name, namespace, labels, annotations: withoutKubectl(annotations) })
  return { ...rest, metadata: Object.fromEntries(given.filter(([, member]) => member !== undefined)) }
}

function withoutKubectl(annotations: unknown): unknown {
  if (!isObject(annotations)) return annotations
  const { [KUBECTL_ANNOTATION]: _, ...others } = annotations
  return Object.keys(others).length === 0 ? undefined : others
}

/** Reads a Namespace: here it is a profile with the namespace's labels (namespace.ts). */
export function readNamespace(raw: JsonObject): KubernetesDocument {
  const cleaned = withoutAbsent(namespaceSchema, raw)
  const unknown = findUnknown(namespaceSchema, raw)
  const { data } = namespaceSchema.safeParse(cleaned)
  if (data === undefined) return { issues: faultsOf(namespaceSchema, cleaned), warnings: [], unknown }
  const { name, labels = {}, namespace } = data.metadata
  const issues = [
    ...checkNamespace({ name, labels }),
    ...(namespace === undefined ? [] : [{ path: 'metadata.namespace', message: 'a namespace is in none: leave it out' }]),
  ]
  const profile = namespaceProfile(name, labels)
  const note = `kept as Profile ${JSON.stringify(profile.metadata.name)}, which its workloads and policies go by`
  return { resource: profile, issues, warnings: [], unknown, note }
}

/** Reads a NetworkPolicy: here it is one of Calico's, under a name that tells where it is from. */
export function readNetworkPolicy(raw: JsonObject, namespace: string): KubernetesDocument {
  const cleaned = withoutAbsent(policySchema, { ...raw, spec: raw['spec'] ?? {} }) as JsonObject
  const members = findUnknown(policySchema, raw)
  const audit = members.filter(({ path }) => showPath(path) === 'spec.audit')
  const unknown = members.filter((member) => !audit.includes(member))
  const { data } = policySchema.safeParse(cleaned)
  const spec = (data ?? soundParts(policySchema, cleaned))['spec']
  const faults = data === undefined ? faultsOf(policySchema, cleaned) : []
  const metadata = metadataSchema.safeParse(cleaned['metadata']).data
  const told = new Set(faults.map(({ path }) => path))
  const issues = [
    ...(metadata === undefined ? [] : checkMetadata({ ...metadata, namespace: metadata.namespace ?? namespace }, true)),
    ...faults,
    ...(isObject(spec) ? checkKubernetesPolicy(spec) : []).filter(({ path }) => !told.has(path)),
  ]
  if (data === undefined || issues.length > 0) return { issues, warnings: warningsOf(spec, audit.length > 0), unknown }
  const policy = policyOf(data.metadata, data.spec, { namespace, isLogged: audit.length > 0 })
  return {
    resource: policy,
    issues: asTranslated(policy),
    warnings: warningsOf(data.spec, audit.length > 0),
    unknown,
    note: noteOf(policy),
  }
}

function policyOf(
  given: Metadata,
  spec: KubernetesPolicySpec,
  by: { readonly namespace: string; readonly isLogged: boolean },
): NetworkPolicy {
  const { [KUBECTL_ANNOTATION]: _, ...annotations } = given.annotations ?? {}
  const logged = by.isLogged ? { [LOG_ANNOTATION]: 'true', ...annotations } : annotations
  return {
    apiVersion: API_VERSION,
    kind: 'NetworkPolicy',
    metadata: {
      name: `${KUBERNETES_POLICY_PREFIX}${given.name}`,
      namespace: given.namespace ?? by.namespace,
      ...(Object.keys(given.labels ?? {}).length > 0 ? { labels: given.labels } : {}),
      ...(Object.keys(logged).length > 0 ? { annotations: logged } : {}),
    },
    spec: translatePolicy(spec),
  }
}

/** What the limits of our own kind leave no room for. */
function asTranslated(policy: NetworkPolicy): readonly Issue[] {
  const issues = checkResource(policy)
  return issues.length === 0
    ? []
    : [{ path: '', message: `can't be stored as a NetworkPolicy of ${API_VERSION}: ${describeIssues(issues)}` }]
}

function warningsOf(spec: unknown, isAudited: boolean): readonly Issue[] {
  const warnings: Issue[] = []
  if (isAudited) {
    const meaning = 'what the policy allows and denies is logged'
    warnings.push({
      path: 'spec.audit',
      message: `is no field of a NetworkPolicy of Kubernetes; it is taken as annotation ${LOG_ANNOTATION}: "true", so ${meaning}`,
    })
  }
  if (!isObject(spec) || !Array.isArray(spec['policyTypes']) || spec['policyTypes'].length === 0) return warnings
  for (const [rules, type] of [['ingress', 'Ingress'] as const, ['egress', 'Egress'] as const]) {
    const given = spec[rules]
    if (!Array.isArray(given) || given.length === 0 || spec['policyTypes'].includes(type)) continue
    warnings.push({ path: `spec.${rules}`, message: `has no effect: policyTypes does not name ${type}` })
  }
  return warnings
}

function noteOf({ metadata, spec }: NetworkPolicy): string {
  return `kept as NetworkPolicy ${JSON.stringify(metadata.name)} of ${API_VERSION} in namespace ${metadata.namespace}, order ${spec.order}`
}
