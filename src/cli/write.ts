import { ConflictError, ValidationError } from '../errors.ts'
import { resourceKey } from '../model/keys.ts'
import type { AnyResource, ResourceKind } from '../model/kinds.ts'
import { namespaceNamed, namespaceProfile, namespaceProfileName } from '../model/namespace.ts'
import { BUILT_IN_TIERS } from '../model/tier.ts'
import {
  applyResource,
  createResource,
  getResource,
  type ResourceRef,
  removeResource,
  updateResource,
  type Outcome as Written,
} from '../store/resource-store.ts'
import type { Context } from './context.ts'
import { nameOf } from './kind.ts'
import { checkNamespaceUnused } from './namespace-steps.ts'
import { removeNodeLeftovers } from './node-steps.ts'
import { checkNewPool, emptyPool, yieldToOlderPool } from './pool-steps.ts'
import { retryConflicts } from './retry.ts'
import type { Session } from './session.ts'
import { checkTierExists, checkTierUnused } from './tier-steps.ts'

/** What is done with resources that a person gives. */
export type Verb = 'apply' | 'create' | 'replace'

/**
 * Writes one resource; gives what was done, in words.
 *
 * @throws {ValidationError} when it may not be written so
 * @throws {ConflictError} when it exists, does not exist, or was changed by somebody else
 */
export async function writeResource(
  session: Session,
  context: Context,
  { verb, skipExists }: { readonly verb: Verb; readonly skipExists: boolean },
  document: AnyResource,
): Promise<string> {
  const given = asGiven(document)
  const { metadata, kind } = given
  const { name, namespace } = metadata
  const said = (done: string) => `${nameOf(kind, name, namespace)} ${done}`
  if (skipExists && (await getResource(session.store, { kind, name, namespace }, context.signal)) !== undefined)
    return said('exists already')
  await prepare(session, verb, given, context.signal)
  if (verb === 'replace') return said(await writeAgain(session, context, given, await replaceResource(session, given, context.signal)))
  const { resource, outcome } =
    verb === 'apply'
      ? await applyResource(session.store, given, context.signal)
      : { resource: await createResource(session.store, given, context.signal), outcome: 'created' as const }
  if (resource.kind === 'IPPool' && outcome === 'created') await yieldToOlderPool(session.store, resource, context.signal)
  return said(await writeAgain(session, context, given, outcome))
}

/** calicoctl writes what is equal too, and its users tell by the resourceVersion that it has written. */
async function writeAgain({ store }: Session, { program, signal }: Context, given: AnyResource, outcome: Written): Promise<Written> {
  if (program === 'margay' || outcome !== 'unchanged') return outcome
  const { name, namespace } = given.metadata
  const entry = await store.get(resourceKey(given.kind, name, namespace), signal)
  if (entry !== undefined) await store.commit([entry], [{ put: entry.key, value: entry.value }], signal)
  return 'updated'
}

/** A resource with the metadata that a person may give, as calicoctl takes it; the rest is the store's, here or where it was read. */
function asGiven<R extends AnyResource>(given: R): R {
  const { name, namespace, resourceVersion, labels, annotations } = given.metadata
  const kept = Object.entries({ name, namespace, resourceVersion, labels, annotations }).filter(([, value]) => value !== undefined)
  return { ...given, metadata: Object.fromEntries(kept) as unknown as R['metadata'] }
}

/** Kinds of which one that is new must fulfil more; of others, of which files have thousands, nobody needs to know before they are written. */
const LOOKED_AT_WHEN_NEW: ReadonlySet<ResourceKind> = new Set<ResourceKind>(['ClusterInformation', 'Profile', 'IPPool', 'WorkloadEndpoint'])

/** What must hold, or be there, before the resource is written. */
async function prepare({ store }: Session, verb: Verb, given: AnyResource, signal: AbortSignal): Promise<void> {
  await checkTierExists(store, given, signal)
  if (!LOOKED_AT_WHEN_NEW.has(given.kind)) return
  const { name, namespace } = given.metadata
  const isNew =
    verb === 'create' || (verb === 'apply' && (await getResource(store, { kind: given.kind, name, namespace }, signal)) === undefined)
  if (!isNew) return
  if (given.kind === 'ClusterInformation')
    throw new ValidationError(
      'create or apply is not supported on ClusterInformation: the first host of an empty etcd makes it, it can only be replaced',
    )
  if (given.kind === 'Profile' && name === 'projectcalico-default-allow')
    throw new ValidationError(`the profile name ${JSON.stringify(name)} is reserved`)
  if (given.kind === 'IPPool') await checkNewPool(store, given, signal)
  if (given.kind === 'WorkloadEndpoint') await ensureNamespace({ store }, namespace ?? 'default', signal)
}

/** Without its namespace's profile first in its list, a workload would be closed to everybody. */
async function ensureNamespace({ store }: Pick<Session, 'store'>, namespace: string, signal: AbortSignal): Promise<void> {
  const ref = { kind: 'Profile', name: namespaceProfileName(namespace) } as const
  if ((await getResource(store, ref, signal)) !== undefined) return
  try {
    await createResource(store, namespaceProfile(namespace), signal)
  } catch (error) {
    if (!(error instanceof ConflictError) || error.code !== 'exists') throw error
  }
}

/** Replaces what is there, whatever its version, unless the person named one. */
async function replaceResource({ store }: Session, given: AnyResource, signal: AbortSignal): Promise<Written> {
  const { name, namespace, resourceVersion } = given.metadata
  const ref = { kind: given.kind, name, namespace }
  const attempt = async (): Promise<Written> => {
    const stored = await getResource(store, ref, signal)
    if (stored === undefined)
      throw new ConflictError('not-found', `there is no ${nameOf(given.kind, name, namespace)} to replace, "margay apply" creates it`)
    const version = resourceVersion ?? stored.metadata.resourceVersion
    const done = await updateResource(store, { ...given, metadata: { ...given.metadata, resourceVersion: version } }, signal)
    return done.metadata.resourceVersion === stored.metadata.resourceVersion ? 'unchanged' : 'updated'
  }
  return retryConflicts(attempt, signal, () => resourceVersion === undefined)
}

/**
 * Deletes one resource and what hangs on it; gives what was done, in words.
 *
 * @throws {ConflictError} when it does not exist, or is in use
 * @throws {ValidationError} when it may not be deleted
 */
export async function deleteResource(
  session: Session,
  context: Context,
  { ref, skipMissing, version }: { readonly ref: ResourceRef; readonly skipMissing: boolean; readonly version?: string | undefined },
): Promise<string> {
  refuseBuiltIn(ref)
  const { store } = session
  const { signal } = context
  if (version !== undefined) await checkVersion(store, ref, version, signal)
  if (skipMissing && !(await isThere(store, ref, signal))) return `${nameOf(ref.kind, ref.name, ref.namespace)} does not exist`
  const details = await unhang(session, ref, signal)
  await removeResource(store, ref, signal)
  return `${nameOf(ref.kind, ref.name, ref.namespace)} deleted${details.length > 0 ? ` (${details.join(', ')})` : ''}`
}

/** @throws {ConflictError} when a person named another version than the one that is there */
async function checkVersion(store: Session['store'], ref: ResourceRef, version: string, signal: AbortSignal): Promise<void> {
  const stored = (await getResource(store, ref, signal))?.metadata.resourceVersion
  if (stored === undefined || stored === version) return
  const what = nameOf(ref.kind, ref.name, ref.namespace)
  throw new ConflictError(
    'conflict',
    `${what} was changed by somebody else: revision ${version} was relied on, it is at revision ${stored} now`,
  )
}

/** What stands there counts although it can't be read: it can be deleted. */
async function isThere(store: Session['store'], ref: ResourceRef, signal: AbortSignal): Promise<boolean> {
  try {
    return (await getResource(store, ref, signal)) !== undefined
  } catch (error) {
    if (error instanceof ValidationError) return true
    throw error
  }
}

function refuseBuiltIn({ kind, name }: ResourceRef): void {
  if (kind === 'ClusterInformation') throw new ValidationError('delete is not supported on ClusterInformation: it belongs to the cluster')
  if (kind === 'Tier' && Object.hasOwn(BUILT_IN_TIERS, name))
    throw new ValidationError(`the tier ${JSON.stringify(name)} is built in, it cannot be deleted`)
}

/** Removes what hangs on a resource that is to be deleted; gives it in words. */
async function unhang(session: Session, ref: ResourceRef, signal: AbortSignal): Promise<readonly string[]> {
  if (ref.kind === 'Node') {
    const left = await removeNodeLeftovers(session, ref.name, signal)
    return left.length > 0 ? [`with ${left.join(', ')}`] : []
  }
  if (ref.kind === 'Tier') await checkTierUnused(session.store, ref.name, signal)
  const namespace = ref.kind === 'Profile' ? namespaceNamed(ref.name) : undefined
  if (namespace !== undefined) await checkNamespaceUnused(session.store, namespace, signal)
  if (ref.kind !== 'IPPool') return []
  const pool = await getResource(session.store, { ...ref, kind: 'IPPool' }, signal)
  const held = pool === undefined ? 0 : await emptyPool(session, pool, signal)
  if (held === 0) return []
  const blocks = held === 1 ? '1 block still holds' : `${held} blocks still hold`
  return [`${blocks} addresses, to which there is no route any more`]
}
