import { randomUUID } from 'node:crypto'
import { ConflictError, describeError, ValidationError } from '../errors.ts'
import { decodeResource, encodeResource } from '../model/codec.ts'
import { DEFAULT_ALLOW, isDefaultAllow } from '../model/default-allow.ts'
import { parseKey, resourcePrefix } from '../model/keys.ts'
import type { AnyResource, ResourceKind, ResourceTypes } from '../model/kinds.ts'
import { prepareCreate, prepareUpdate } from '../model/prepare.ts'
import { workloadEndpointName } from '../model/workload-endpoint-name.ts'
import { bornOf } from './born.ts'
import { comparesOf, currentOf, expectNone, findPlace, isSuperseded, type Place, type ResourceRef, writesTo } from './place.ts'
import type { Compare, Entry, Store } from './store.ts'

export type { ResourceRef } from './place.ts'

/** All resources of a kind at one revision, in the order of their keys. */
export interface ResourceList<K extends ResourceKind> {
  readonly revision: number
  readonly resources: readonly ResourceTypes[K][]
  /** What stands in the store and does not parse. */
  readonly broken: readonly { readonly id: string; readonly reason: string }[]
}

/** What `applyResource` did. */
export type Outcome = 'created' | 'updated' | 'unchanged'

/** So often a change is tried again because somebody else was faster. */
const MOST_TRIES = 5

/**
 * A resource as it is in the store, or undefined.
 *
 * @throws {ValidationError} if what stands there does not parse
 */
export async function getResource<K extends ResourceKind>(
  store: Store,
  ref: ResourceRef<K>,
  signal: AbortSignal,
): Promise<ResourceTypes[K] | undefined> {
  if (isDefaultAllow(ref.kind, ref.name)) return DEFAULT_ALLOW as ResourceTypes[K]
  const entry = currentOf(await findPlace(store, ref, signal))
  return entry && decodeResource(ref.kind, entry.value, entry.modRevision)
}

/** All resources of a kind, of one namespace if given; of a policy that stands under an older form of its name too, the newer one. */
export async function listResources<K extends ResourceKind>(
  store: Store,
  of: { readonly kind: K; readonly namespace?: string | undefined },
  signal: AbortSignal,
): Promise<ResourceList<K>> {
  const found: { readonly entry: Entry; readonly resource: ResourceTypes[K] }[] = []
  const broken: { id: string; reason: string }[] = []
  const keys = new Set<string>()
  let revision = 0
  for await (const page of store.list(resourcePrefix(of.kind, of.namespace), {}, signal)) {
    revision = page.revision
    for (const entry of page.entries) {
      const id = parseKey(entry.key)?.id
      if (id === undefined || isDefaultAllow(of.kind, id)) continue
      keys.add(entry.key)
      try {
        found.push({ entry, resource: decodeResource(of.kind, entry.value, entry.modRevision) })
      } catch (error) {
        broken.push({ id, reason: describeError(error) })
      }
    }
  }
  const resources = found.flatMap(({ entry, resource }) => (isSuperseded(of.kind, entry, (key) => keys.has(key)) ? [] : [resource]))
  return { revision, resources: of.kind === 'Profile' ? [...resources, DEFAULT_ALLOW as ResourceTypes[K]] : resources, broken }
}

/**
 * Writes a resource that is not there yet; gives it as it was stored, with its resourceVersion.
 *
 * @throws {ValidationError} with everything that is wrong with it
 * @throws {ConflictError} `exists`, with the one that exists
 */
export async function createResource<R extends AnyResource>(store: Store, given: R, signal: AbortSignal): Promise<R> {
  return createResourceIf(store, given, [], signal)
}

/**
 * The same, provided that other keys are still as the caller has read them.
 *
 * @throws {ConflictError} also `conflict`, when one of them is not
 */
export async function createResourceIf<R extends AnyResource>(
  store: Store,
  given: R,
  conditions: readonly Compare[],
  signal: AbortSignal,
): Promise<R> {
  const resource = prepareCreate(given, new Date(), randomUUID())
  const ref = refOf(resource)
  for (let tries = 1; ; tries++) {
    const place = await expectNone(store, ref, signal)
    let existing = currentOf(place)
    if (!existing) {
      const compares = [...comparesOf(place), ...conditions]
      const result = await store.commit(compares, writesTo(place, encodeResource(resource)), signal)
      if (result.isDone) return at(resource, result.revision)
      existing = result.current.get(place.key)
      const broken = conditions.find(({ key, modRevision }) => (result.current.get(key)?.modRevision ?? 0) !== modRevision)
      if (!existing && broken) throw new ConflictError('conflict', `${describe(ref)} was not written: ${broken.key} was changed meanwhile`)
    }
    if (existing || tries === MOST_TRIES) {
      throw new ConflictError('exists', `${describe(ref)} exists already`, { existing: decodeQuietly(resource.kind, existing) })
    }
  }
}

/**
 * Replaces a resource as the caller has read it: its resourceVersion must be the stored one. Members of the stored one that this
 * version does not know are kept. Nothing is written if nothing is different.
 *
 * @throws {ValidationError} with everything that is wrong with it, or because it has no resourceVersion
 * @throws {ConflictError} `not-found` or `conflict`, naming both revisions
 */
export async function updateResource<R extends AnyResource>(store: Store, given: R, signal: AbortSignal): Promise<R> {
  refuseBuiltIn(refOf(given), 'written')
  const { resourceVersion } = given.metadata
  if (resourceVersion === undefined) {
    throw new ValidationError(`an update of ${describe(refOf(given))} needs the resourceVersion that was read`, [
      { path: 'metadata.resourceVersion', message: 'is missing' },
    ])
  }
  const place = await findPlace(store, refOf(given), signal)
  const entry = currentOf(place)
  if (!entry) throw notFound(refOf(given))
  if (String(entry.modRevision) !== resourceVersion) throw changed(refOf(given), resourceVersion, entry.modRevision)
  return (await replace(store, { place, entry, given }, signal)).resource
}

/**
 * Creates a resource, or replaces the one that is there. With a resourceVersion it only replaces that version; without one it
 * tries again when somebody else was faster.
 *
 * @throws {ValidationError} with everything that is wrong with it
 * @throws {ConflictError} `conflict`, or `not-found` for a resourceVersion of what is gone
 */
export async function applyResource<R extends AnyResource>(
  store: Store,
  given: R,
  signal: AbortSignal,
): Promise<{ readonly resource: R; readonly outcome: Outcome }> {
  const named = withName(given)
  refuseBuiltIn(refOf(named), 'written')
  const { resourceVersion } = named.metadata
  for (let tries = 1; ; tries++) {
    try {
      const place = await findPlace(store, refOf(named), signal)
      const entry = currentOf(place)
      if (!entry && resourceVersion !== undefined) throw notFound(refOf(named))
      if (!entry) return { resource: await createResource(store, named, signal), outcome: 'created' }
      if (resourceVersion !== undefined && String(entry.modRevision) !== resourceVersion) {
        throw changed(refOf(named), resourceVersion, entry.modRevision)
      }
      return await replace(store, { place, entry, given: named }, signal)
    } catch (error) {
      if (!(error instanceof ConflictError) || resourceVersion !== undefined || tries === MOST_TRIES) throw error
    }
  }
}

/**
 * Removes a resource; gives the last version, undefined if that did not parse.
 *
 * @throws {ConflictError} `not-found`, or `conflict` if it is not at the revision given
 */
export async function removeResource<K extends ResourceKind>(
  store: Store,
  ref: ResourceRef<K> & { readonly revision?: number },
  signal: AbortSignal,
): Promise<ResourceTypes[K] | undefined> {
  refuseBuiltIn(ref, 'deleted')
  for (let tries = 1; ; tries++) {
    const place = await findPlace(store, ref, signal)
    const entry = currentOf(place)
    if (!entry) throw notFound(ref)
    if (ref.revision !== undefined && ref.revision !== entry.modRevision) throw changed(ref, String(ref.revision), entry.modRevision)
    const result = await store.commit(comparesOf(place), writesTo(place, undefined), signal)
    if (result.isDone) return decodeQuietly(ref.kind, entry)
    if (tries === MOST_TRIES) throw changed(ref, String(entry.modRevision), result.current.get(entry.key)?.modRevision)
  }
}

/** @throws {ValidationError} for the profile that is in no store */
function refuseBuiltIn(ref: ResourceRef, verb: 'written' | 'deleted'): void {
  if (isDefaultAllow(ref.kind, ref.name)) throw new ValidationError(`${describe(ref)} is built in and can't be ${verb}`)
}

/** Replaces what an entry holds, if it still holds it; a policy under an older form of its name is moved to the newer in the same moment. */
async function replace<R extends AnyResource>(
  store: Store,
  { place, entry, given }: { readonly place: Place; readonly entry: Entry; readonly given: R },
  signal: AbortSignal,
): Promise<{ readonly resource: R; readonly outcome: Outcome }> {
  const ref = refOf(given)
  const stored = decodeQuietly(given.kind, entry) as R | undefined
  const resource = stored ? prepareUpdate(stored, given) : repair(entry, given)
  const value = encodeResource(resource)
  const isMoved = place.older?.entry !== undefined
  if (stored && !isMoved && value === encodeResource(stored)) return { resource: at(resource, entry.modRevision), outcome: 'unchanged' }
  const result = await store.commit(comparesOf(place), writesTo(place, value), signal)
  if (result.isDone) return { resource: at(resource, result.revision), outcome: 'updated' }
  const current = result.current.get(place.key) ?? result.current.get(entry.key)
  throw current ? changed(ref, String(entry.modRevision), current.modRevision) : notFound(ref)
}

/** What stands there does not parse, so nothing of it can be merged; its uid and time of creation are kept where they can be read. */
function repair<R extends AnyResource>(entry: Entry, given: R): R {
  const { resourceVersion: _, ...metadata } = { ...given.metadata, ...bornOf(entry.value) }
  return prepareCreate({ ...given, metadata }, new Date(), randomUUID())
}

function decodeQuietly<K extends ResourceKind>(kind: K, entry: Entry | undefined): ResourceTypes[K] | undefined {
  try {
    return entry && decodeResource(kind, entry.value, entry.modRevision)
  } catch {
    return undefined
  }
}

/** A workload endpoint may be given without its name, which follows from its spec. */
function withName<R extends AnyResource>(given: R): R {
  if (given.kind !== 'WorkloadEndpoint' || given.metadata.name !== '') return given
  return { ...given, metadata: { ...given.metadata, name: workloadEndpointName(given.spec) } }
}

function at<R extends AnyResource>(resource: R, revision: number): R {
  return { ...resource, metadata: { ...resource.metadata, resourceVersion: String(revision) } }
}

function refOf(resource: AnyResource): ResourceRef {
  const { name, namespace } = resource.metadata
  return { kind: resource.kind, name, namespace }
}

function describe({ kind, name, namespace }: ResourceRef): string {
  return `${kind} ${JSON.stringify(namespace === undefined || namespace === '' ? name : `${namespace}/${name}`)}`
}

function notFound(ref: ResourceRef): ConflictError {
  return new ConflictError('not-found', `${describe(ref)} does not exist`)
}

function changed(ref: ResourceRef, relied: string, current: number | undefined): ConflictError {
  const now = current === undefined ? 'it is gone' : `it is at revision ${current} now`
  return new ConflictError('conflict', `${describe(ref)} was changed by somebody else: revision ${relied} was relied on, ${now}`)
}
