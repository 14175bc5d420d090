import { decodeEntry } from '../codec.ts'
import { parseKey } from '../keys.ts'
import { type AnyResource, RESOURCE_KINDS, type ResourceKind } from '../kinds.ts'
import type { Trial } from './trial.ts'

/** One resource as it is while a trial holds. */
export interface TrialChange {
  readonly kind: ResourceKind
  /** As in a view: the name, with the namespace before it. */
  readonly id: string
  /** Undefined: it is removed. */
  readonly resource: AnyResource | undefined
}

/**
 * What a trial changes; what it moves from an older key to a newer one is one change.
 *
 * @throws {ValidationError} if a document is not what its key says
 */
export function readTrialChanges({ writes, revision }: Trial): readonly TrialChange[] {
  const changes = new Map<string, TrialChange>()
  for (const write of writes) {
    const isPut = 'put' in write
    const kind = parseKey(isPut ? write.put : write.remove)?.kind
    if (kind === undefined || !isResourceKind(kind)) continue
    const decoded = isPut ? decodeEntry(write.put, write.value, revision) : undefined
    const id = decoded?.id ?? ('id' in write ? write.id : '')
    // Of its own kind: the key of a resource holds nothing else.
    const resource = decoded?.value as AnyResource | undefined
    if (resource !== undefined || !changes.has(`${kind}/${id}`)) changes.set(`${kind}/${id}`, { kind, id, resource })
  }
  return [...changes.values()]
}

function isResourceKind(kind: string): kind is ResourceKind {
  return (RESOURCE_KINDS as readonly string[]).includes(kind)
}
