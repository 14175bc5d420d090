import { parseJson } from './json.ts'
import type { AnyResource, ResourceKind } from './kinds.ts'
import type { Metadata } from './resource.ts'
import { isObject } from './shape.ts'

/** Where Calico's etcd writers note the name that a policy's writer gave it. */
const NAME_ANNOTATION = 'projectcalico.org/metadata'
/** The label by which policies are looked up by tier; always there. */
const TIER_LABEL = 'projectcalico.org/tier'
const DEFAULT_TIER = 'default'
/** What Calico before 3.32 put before the name of each policy of the tier `default`, in its key and in its stored metadata. */
const OLD_PREFIX = 'default.'

const TIERED: ReadonlySet<string> = new Set<ResourceKind>([
  'GlobalNetworkPolicy',
  'NetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedNetworkPolicy',
])

/** Whether resources of this kind are stored with their name noted, and may stand under an older key. */
export function isTieredPolicy(kind: string): boolean {
  return TIERED.has(kind)
}

/** The name under which Calico before 3.32 stored a policy with this name; undefined where it stored it as it is. */
export function olderStorageName(kind: string, name: string): string | undefined {
  return isTieredPolicy(kind) && !/^(?:default|knp|ossg)\./.test(name) ? `${OLD_PREFIX}${name}` : undefined
}

/** The name that may be meant by what is stored under this name; undefined where it can only be itself. */
export function newerStorageName(kind: string, stored: string): string | undefined {
  return isTieredPolicy(kind) && stored.startsWith(OLD_PREFIX) && stored !== OLD_PREFIX ? stored.slice(OLD_PREFIX.length) : undefined
}

/** The name of a policy of which only the stored text is known; undefined where that can't be read. */
export function storedPolicyName(text: string): string | undefined {
  try {
    const raw = parseJson(text)
    const metadata = isObject(raw) ? raw['metadata'] : undefined
    const spec = isObject(raw) && isObject(raw['spec']) ? raw['spec'] : {}
    if (!isObject(metadata) || typeof metadata['name'] !== 'string') return undefined
    const annotation = isObject(metadata['annotations']) ? metadata['annotations'][NAME_ANNOTATION] : undefined
    return givenName(metadata['name'], annotation, spec['tier'])
  } catch {
    return undefined
  }
}

/** A resource as people see it: a policy under the name that it was given, without the note of that, and with its tier as a label. */
export function asRead<R extends AnyResource>(resource: R): R {
  if (!isTieredPolicy(resource.kind)) return resource
  const { metadata } = resource
  const name = givenName(metadata.name, metadata.annotations?.[NAME_ANNOTATION], tierOf(resource))
  return { ...resource, metadata: { ...withTier(resource), name } }
}

/** A resource that somebody gives as it is seen once it is stored; a copied note of another name says nothing. */
export function asSeen<R extends AnyResource>(resource: R): R {
  return isTieredPolicy(resource.kind) ? { ...resource, metadata: withTier(resource) } : resource
}

/** A resource as it is stored: a policy with a note of its name, and with its tier as a label. */
export function asStored<R extends AnyResource>(resource: R): R {
  if (!isTieredPolicy(resource.kind)) return resource
  const metadata = withTier(resource)
  const annotations = { ...metadata.annotations, [NAME_ANNOTATION]: JSON.stringify({ name: metadata.name }) }
  return { ...resource, metadata: { ...metadata, annotations } }
}

/** The noted name counts only if the stored name can be a form of it: a note that was copied from elsewhere must not rename anything. */
function givenName(stored: string, annotation: unknown, tier: unknown): string {
  const noted = typeof annotation === 'string' ? notedName(annotation) : undefined
  if (noted !== undefined && (noted === stored || `${OLD_PREFIX}${noted}` === stored)) return noted
  const isDefault = tier === undefined || tier === '' || tier === DEFAULT_TIER
  return isDefault && stored.startsWith(OLD_PREFIX) && stored !== OLD_PREFIX ? stored.slice(OLD_PREFIX.length) : stored
}

function notedName(annotation: string): string | undefined {
  try {
    const noted = parseJson(annotation)
    return isObject(noted) && typeof noted['name'] === 'string' ? noted['name'] : undefined
  } catch {
    return undefined
  }
}

/** The metadata with the tier as a label, whatever stood there, and without the note. */
function withTier(resource: AnyResource): Metadata {
  const { annotations: given, ...others } = resource.metadata
  const { [NAME_ANNOTATION]: _, ...annotations } = given ?? {}
  const labels = { ...others.labels, [TIER_LABEL]: tierOf(resource) ?? DEFAULT_TIER }
  return { ...others, labels, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) }
}

function tierOf({ spec }: AnyResource): string | undefined {
  return 'tier' in spec && typeof spec.tier === 'string' && spec.tier !== '' ? spec.tier : undefined
}
