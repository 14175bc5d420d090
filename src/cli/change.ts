import { ConflictError, ValidationError } from '../errors.ts'
import { readResource } from '../model/codec.ts'
import { type DocumentIssue, parseDocument } from '../model/document.ts'
import { describeIssues } from '../model/issues.ts'
import type { AnyResource } from '../model/kinds.ts'
import { isObject, type JsonObject } from '../model/shape.ts'
import { getResource, type ResourceRef, updateResource } from '../store/resource-store.ts'
import { nameOf } from './kind.ts'
import { retryConflicts } from './retry.ts'
import type { Session } from './session.ts'
import { checkTierExists } from './tier-steps.ts'

/** A resource before and after it was changed. */
export interface Changed {
  readonly before: AnyResource
  readonly after: AnyResource
  /** Whether anything was different, so that it was written. */
  readonly isChanged: boolean
}

/**
 * Reads a resource, changes it and writes it, again while somebody else is faster (unless the change itself names a resourceVersion).
 *
 * @throws {ConflictError} `not-found`, or `conflict`
 * @throws {ValidationError} when what the change makes is not a resource, or another one
 */
export async function changeResource(
  { store }: Session,
  ref: ResourceRef,
  change: (stored: AnyResource) => unknown,
  signal: AbortSignal,
): Promise<Changed> {
  let isConditional = false
  const attempt = async (): Promise<Changed> => {
    const stored = await getResource(store, ref, signal)
    if (stored === undefined) throw new ConflictError('not-found', `there is no ${nameOf(ref.kind, ref.name, ref.namespace)}`)
    const changed = readChanged(stored, change(stored))
    await checkTierExists(store, changed, signal)
    isConditional = changed.metadata.resourceVersion !== stored.metadata.resourceVersion
    const after = await updateResource(store, changed, signal)
    return { before: stored, after, isChanged: after.metadata.resourceVersion !== stored.metadata.resourceVersion }
  }
  return retryConflicts(attempt, signal, () => !isConditional)
}

/** What a change made, as strictly read as a document; only what the stored one has beyond our knowledge may stay in it. */
function readChanged(stored: AnyResource, value: unknown): AnyResource {
  const { kind, metadata } = stored
  checkIdentity(stored, value)
  const source = { value, warnings: [], placeOf: () => ({ line: 1, column: 1 }) }
  const { resource, issues } = parseDocument(source, metadata.namespace ?? 'default')
  const faults = issues.filter((issue) => !isKept(issue, stored))
  if (faults.length > 0) {
    const said = describeIssues(
      faults.map(({ path, message, unknown }) => ({ path, message: unknown === undefined ? message : `unknown field${unknown.meant}` })),
    )
    throw new ValidationError(`${nameOf(kind, metadata.name, metadata.namespace)} can't be changed so: ${said}`)
  }
  return resource ?? readResource(kind, value as JsonObject).resource ?? stored
}

/** Whether the issue is a member that this version does not know, and that was there before. */
function isKept({ path, unknown }: DocumentIssue, stored: AnyResource): boolean {
  if (unknown === undefined) return false
  const parts = path.split(/[.[\]]+/).filter((part) => part !== '')
  const found = parts.reduce<unknown>(
    (value, part) => (isObject(value) || Array.isArray(value) ? (value as Record<string, unknown>)[part] : undefined),
    stored,
  )
  return found !== undefined
}

/** @throws {ValidationError} when a change would make another resource of it */
function checkIdentity({ kind, apiVersion, metadata }: AnyResource, value: unknown): void {
  const given = isObject(value) ? value : {}
  const meta = isObject(given['metadata']) ? given['metadata'] : {}
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['kind', kind, given['kind']],
    ['apiVersion', apiVersion, given['apiVersion']],
    ['metadata.name', metadata.name, meta['name']],
    ['metadata.namespace', metadata.namespace, meta['namespace']],
  ]
  for (const [path, before, after] of pairs) {
    if (before !== after) throw new ValidationError(`${path} can't be changed from ${JSON.stringify(before)} to ${JSON.stringify(after)}`)
  }
}
