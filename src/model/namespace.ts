import type { Issue } from '../errors.ts'
import { checkLabelKey, checkLabelValue, isDnsLabel } from './metadata.ts'
import type { Profile } from './profile.ts'
import { API_VERSION } from './resource.ts'
import { NAMESPACE_PREFIX } from './scoped-selector.ts'

/** A namespace of workloads, policies and network sets. Without Kubernetes it is stored as the profile `kns.<name>`. */
export interface Namespace {
  readonly name: string
  /** What people gave it, for selectors of namespaces; without the labels that every namespace has. */
  readonly labels: Readonly<Record<string, string>>
  /** RFC 3339, where it is stored. */
  readonly creationTimestamp?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** What the names of the profiles that are namespaces begin with. */
export const NAMESPACE_PROFILE_PREFIX = 'kns.'

/** Labels by which selectors name a namespace, in Calico's form and in Kubernetes'; nobody may give them another value. */
const FIXED_LABELS = ['projectcalico.org/name', 'kubernetes.io/metadata.name'] as const
/** Another that people's selectors use; who gives it another value means that. */
const USUAL_LABEL = 'name'

/** The name of the profile that is a namespace. */
export function namespaceProfileName(namespace: string): string {
  return `${NAMESPACE_PROFILE_PREFIX}${namespace}`
}

/**
 * The profile that is a namespace: all traffic allowed both ways (as Calico's, else every workload without a policy would be closed),
 * and the labels that its endpoints inherit. It must be there before any workload endpoint of the namespace.
 */
export function namespaceProfile(namespace: string, labels: Namespace['labels'] = {}): Profile {
  return {
    apiVersion: API_VERSION,
    kind: 'Profile',
    metadata: { name: namespaceProfileName(namespace) },
    spec: { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }], labelsToApply: inherited(namespace, labels) },
  }
}

/** The name of the namespace that a profile with this name is, or undefined where it is none. */
export function namespaceNamed(profileName: string): string | undefined {
  const name = profileName.slice(NAMESPACE_PROFILE_PREFIX.length)
  return profileName.startsWith(NAMESPACE_PROFILE_PREFIX) && isDnsLabel(name) ? name : undefined
}

/** The namespace that a profile is, or undefined for another profile. */
export function namespaceOf(profile: Profile): Namespace | undefined {
  const { name: profileName, creationTimestamp, resourceVersion } = profile.metadata
  const name = namespaceNamed(profileName)
  if (name === undefined) return undefined
  const every = inherited(name, {})
  const given = Object.entries(profile.spec.labelsToApply ?? {}).filter(
    ([key, value]) => key.startsWith(NAMESPACE_PREFIX) && every[key] !== value,
  )
  const labels = Object.fromEntries(given.map(([key, value]) => [key.slice(NAMESPACE_PREFIX.length), value]))
  return { name, labels, creationTimestamp, resourceVersion }
}

/** The profile of a namespace with other labels; its rules and what else it lets its endpoints inherit stay. */
export function withNamespaceLabels(profile: Profile, labels: Namespace['labels']): Profile {
  const name = profile.metadata.name.slice(NAMESPACE_PROFILE_PREFIX.length)
  const others = Object.entries(profile.spec.labelsToApply ?? {}).filter(([key]) => !key.startsWith(NAMESPACE_PREFIX))
  return { ...profile, spec: { ...profile.spec, labelsToApply: { ...Object.fromEntries(others), ...inherited(name, labels) } } }
}

/** What is wrong with a namespace that somebody gives; paths as in a Namespace of Kubernetes. */
export function checkNamespace({ name, labels }: Pick<Namespace, 'name' | 'labels'>): readonly Issue[] {
  const issues: Issue[] = []
  if (!isDnsLabel(name)) {
    const rule = 'lower-case letters, digits and inner "-", up to 63'
    issues.push({ path: 'metadata.name', message: `${JSON.stringify(name)} is not a namespace (${rule})` })
  }
  for (const [key, value] of Object.entries(labels)) {
    const message = labelFault(name, key, value)
    if (message !== undefined) issues.push({ path: `metadata.labels.${key}`, message })
  }
  return issues
}

function inherited(name: string, labels: Namespace['labels']): Readonly<Record<string, string>> {
  const whole = { [USUAL_LABEL]: name, ...labels, ...Object.fromEntries(FIXED_LABELS.map((key) => [key, name])) }
  return Object.fromEntries(Object.entries(whole).map(([key, value]) => [`${NAMESPACE_PREFIX}${key}`, value]))
}

function labelFault(name: string, key: string, value: string): string | undefined {
  const fault = checkLabelKey(key) ?? checkLabelValue(value)
  if (fault !== undefined) return fault
  if (FIXED_LABELS.some((fixed) => fixed === key) && value !== name)
    return `${JSON.stringify(value)} is not the namespace's name: leave this label out, every namespace has it`
  const stored = `${NAMESPACE_PREFIX}${key}`
  if (checkLabelKey(stored) === undefined) return undefined
  return `is too long: endpoints inherit it as ${JSON.stringify(stored)}, whose name may have 63 characters`
}
