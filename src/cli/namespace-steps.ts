import { namespaceOf, withNamespaceLabels } from '../model/namespace.ts'
import type { Profile } from '../model/profile.ts'
import { getResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'

/**
 * The profile of a Namespace's document as it is written. The document says labels and nothing of rules: the rules of the profile that
 * is there stay, else applying a manifest once more would open what somebody closed.
 */
export async function withStoredRules(store: Store, given: Profile, signal: AbortSignal): Promise<Profile> {
  const stored = await getResource(store, { kind: 'Profile', name: given.metadata.name }, signal)
  const labels = namespaceOf(given)?.labels
  return stored === undefined || labels === undefined ? given : withNamespaceLabels(stored, labels)
}
