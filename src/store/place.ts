import { ValidationError } from '../errors.ts'
import { resourceKey } from '../model/keys.ts'
import { kindInfo, type ResourceKind } from '../model/kinds.ts'
import { newerStorageName, olderStorageName, storedPolicyName } from '../model/policy-storage.ts'
import type { Compare, Entry, Store, Write } from './store.ts'

/** One resource, by what it is called. */
export interface ResourceRef<K extends ResourceKind = ResourceKind> {
  readonly kind: K
  readonly name: string
  /** For namespaced kinds, and only for them. */
  readonly namespace?: string | undefined
}

/** Where a resource stands. A policy may stand under the key that Calico before 3.32 gave it, or under both. */
export interface Place {
  /** Where it is written to. */
  readonly key: string
  /** What stands there. */
  readonly own: Entry | undefined
  /** For policies: the older key, what revision it is at (0 without anything), and what stands there if it is this policy. */
  readonly older?: { readonly key: string; readonly modRevision: number; readonly entry: Entry | undefined }
}

/**
 * Looks where a resource stands.
 *
 * @throws {ValidationError} if the namespace is missing, or given to a kind that has none, or a name can't be one
 */
export async function findPlace(store: Store, ref: ResourceRef, signal: AbortSignal): Promise<Place> {
  const key = keyOf(ref)
  const olderName = olderStorageName(ref.kind, ref.name)
  if (olderName === undefined) return { key, own: await store.get(key, signal) }
  const olderKey = keyOf({ ...ref, name: olderName })
  const [own, found] = await Promise.all([store.get(key, signal), store.get(olderKey, signal)])
  // What can't be read may be this policy: who writes it must not make a second one.
  const isThis = found !== undefined && (storedPolicyName(found.value) ?? ref.name) === ref.name
  return { key, own, older: { key: olderKey, modRevision: found?.modRevision ?? 0, entry: isThis ? found : undefined } }
}

/** The place of what is not expected to be there yet: only older forms are looked for, the rest shows when it is written. */
export async function expectNone(store: Store, ref: ResourceRef, signal: AbortSignal): Promise<Place> {
  if (olderStorageName(ref.kind, ref.name) === undefined) return { key: keyOf(ref), own: undefined }
  return await findPlace(store, ref, signal)
}

/** The resource as it stands; of two forms the newer. */
export function currentOf({ own, older }: Place): Entry | undefined {
  return own ?? older?.entry
}

/** That nothing has changed since the place was looked at. */
export function comparesOf({ key, own, older }: Place): readonly Compare[] {
  const compare = { key, modRevision: own?.modRevision ?? 0 }
  return older === undefined ? [compare] : [compare, { key: older.key, modRevision: older.modRevision }]
}

/** The writes that leave this text under the one right key; undefined: that leave nothing. */
export function writesTo({ key, own, older }: Place, value: string | undefined): readonly Write[] {
  const writes: Write[] = value !== undefined ? [{ put: key, value }] : own === undefined ? [] : [{ remove: key }]
  return older?.entry === undefined ? writes : [...writes, { remove: older.key }]
}

/** Whether what stands under this key is an older form of what stands under another. */
export function isSuperseded(kind: ResourceKind, entry: Entry, isThere: (key: string) => boolean): boolean {
  const slash = entry.key.lastIndexOf('/') + 1
  const newer = newerStorageName(kind, entry.key.slice(slash))
  if (newer === undefined || !isThere(`${entry.key.slice(0, slash)}${newer}`)) return false
  return (storedPolicyName(entry.value) ?? newer) === newer
}

/** @throws {ValidationError} if the namespace is missing, or given to a kind that has none */
function keyOf({ kind, name, namespace }: ResourceRef): string {
  const { isNamespaced } = kindInfo(kind)
  if (isNamespaced && (namespace ?? '') === '') throw new ValidationError(`${kind} ${JSON.stringify(name)} needs a namespace`)
  if (!isNamespaced && (namespace ?? '') !== '')
    throw new ValidationError(`${kind} ${JSON.stringify(name)} has no namespace, ${JSON.stringify(namespace)} was given`)
  // Both stand in the key as they are: a slash would make it the key of something else.
  for (const part of [name, namespace ?? 'none']) {
    if (part === '' || part.includes('/')) throw new ValidationError(`not the name of a ${kind}: ${JSON.stringify(part)}`)
  }
  return resourceKey(kind, name, isNamespaced ? namespace : undefined)
}
