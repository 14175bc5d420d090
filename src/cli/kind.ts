import { didYouMean } from '../model/issues.ts'
import { findKind, KINDS, RESOURCE_KINDS, type ResourceKind } from '../model/kinds.ts'
import { UnknownKindError } from './context.ts'

/**
 * The kind that a person means.
 *
 * @throws {UnknownKindError} with what was probably meant, and the kinds that there are
 */
export function kindFor(text: string): ResourceKind {
  const kind = findKind(text)
  if (kind !== undefined) return kind
  const known = RESOURCE_KINDS.flatMap((each) => [each.toLowerCase(), KINDS[each].plural, ...KINDS[each].aliases])
  const meant = didYouMean(text, known)
  throw new UnknownKindError(
    text,
    `${JSON.stringify(text)} is not a kind${meant === '' ? `; kinds are ${[...RESOURCE_KINDS, 'Namespace'].toSorted().join(', ')}` : meant}`,
  )
}

/** A resource as calicoctl calls it in errors: `IPPool(p1)`, `WorkloadEndpoint(shop/w1)`. */
export function calicoNameOf(kind: ResourceKind, name: string, namespace: string | undefined): string {
  return `${kind}(${namespace === undefined ? name : `${namespace}/${name}`})`
}

/** `ippool/p1`, `workloadendpoint/shop/w1`. */
export function nameOf(kind: ResourceKind, name: string, namespace: string | undefined): string {
  return [kind.toLowerCase(), namespace, name].filter((part) => part !== undefined).join('/')
}
