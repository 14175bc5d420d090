import { ConflictError, ValidationError } from '../errors.ts'
import { describeIssues } from '../model/issues.ts'
import { resourcePrefix } from '../model/keys.ts'
import { type AnyResource, kindInfo, RESOURCE_KINDS } from '../model/kinds.ts'
import { checkNamespace, namespaceOf, namespaceProfileName, withNamespaceLabels } from '../model/namespace.ts'
import type { Profile } from '../model/profile.ts'
import { getResource, type ResourceRef } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { nameOf } from './kind.ts'

/** The namespace that every cluster has: each host makes it again. */
const ALWAYS_THERE = 'default'
/** So much of what is in a namespace is named. */
const MOST_NAMED = 5

/**
 * The profile of a Namespace's document as it is written. The document says labels and nothing of rules: the rules of the profile that
 * is there stay, else applying a manifest once more would open what somebody closed.
 */
export async function withStoredRules(store: Store, given: Profile, signal: AbortSignal): Promise<Profile> {
  const stored = await getResource(store, { kind: 'Profile', name: given.metadata.name }, signal)
  const labels = namespaceOf(given)?.labels
  return stored === undefined || labels === undefined ? given : withNamespaceLabels(stored, labels)
}

/** What a namespace is kept as. */
export function namespaceRef(name: string): ResourceRef {
  return { kind: 'Profile', name: namespaceProfileName(name) }
}

/** Where a namespace has the labels that people gave it; who writes them is refused what can't be one. */
export const NAMESPACE_LABELS = {
  read: (profile: AnyResource): Readonly<Record<string, string>> => (profile.kind === 'Profile' && namespaceOf(profile)?.labels) || {},
  write: (profile: AnyResource, labels: Readonly<Record<string, string>>): AnyResource => {
    const namespace = profile.kind === 'Profile' ? namespaceOf(profile) : undefined
    if (profile.kind !== 'Profile' || namespace === undefined) return profile
    const issues = checkNamespace({ name: namespace.name, labels })
    if (issues.length > 0) throw new ValidationError(`namespace/${namespace.name} can't be changed so: ${describeIssues(issues)}`, issues)
    return withNamespaceLabels(profile, labels)
  },
}

/**
 * That a namespace which is to be deleted is empty: without its profile its workloads would be closed to everybody.
 *
 * @throws {ConflictError} `conflict`, naming some of what is in it
 * @throws {ValidationError} for the namespace that is always there
 */
export async function checkNamespaceUnused(store: Store, namespace: string, signal: AbortSignal): Promise<void> {
  if (namespace === ALWAYS_THERE)
    throw new ValidationError(`the namespace ${JSON.stringify(namespace)} is always there, it can't be deleted`)
  const used: string[] = []
  for (const kind of RESOURCE_KINDS.filter((each) => kindInfo(each).isNamespaced)) {
    const prefix = resourcePrefix(kind, namespace)
    // By their keys: what can't be read is in it all the same.
    for await (const page of store.list(prefix, {}, signal)) {
      used.push(...page.entries.map(({ key }) => nameOf(kind, key.slice(prefix.length), namespace)))
    }
  }
  if (used.length === 0) return
  const more = used.length > MOST_NAMED ? ` and ${used.length - MOST_NAMED} more` : ''
  const named = used.slice(0, MOST_NAMED).join(', ')
  throw new ConflictError(
    'conflict',
    `the namespace ${JSON.stringify(namespace)} is not empty, delete first what is in it: ${named}${more}`,
  )
}
