import { ConflictError, ValidationError } from '../errors.ts'
import { type AnyResource, RESOURCE_KINDS } from '../model/kinds.ts'
import { DEFAULT_TIER } from '../model/policy.ts'
import { isTieredPolicy } from '../model/policy-storage.ts'
import { BUILT_IN_TIERS } from '../model/tier.ts'
import { getResource, listResources } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { nameOf } from './kind.ts'

/** So many policies of a tier are named. */
const MOST_NAMED = 5

/**
 * That the tier of a policy is there: in one that is not, it would stand after all others and deny what it selects.
 *
 * @throws {ValidationError} naming the tiers that there are
 */
export async function checkTierExists(store: Store, given: AnyResource, signal: AbortSignal): Promise<void> {
  const tier = isTieredPolicy(given.kind) ? tierOf(given) : DEFAULT_TIER
  if (Object.hasOwn(BUILT_IN_TIERS, tier) || (await getResource(store, { kind: 'Tier', name: tier }, signal)) !== undefined) return
  const { resources } = await listResources(store, { kind: 'Tier' }, signal)
  const names = new Set([...Object.keys(BUILT_IN_TIERS), ...resources.map(({ metadata }) => metadata.name)])
  const { name, namespace } = given.metadata
  throw new ValidationError(
    `${nameOf(given.kind, name, namespace)}: there is no tier ${JSON.stringify(tier)}, create it first (there are ${[...names].sort().join(', ')})`,
  )
}

/**
 * That a tier which is to be deleted has no policies: they would deny what they select.
 *
 * @throws {ConflictError} `conflict`, naming some of them
 */
export async function checkTierUnused(store: Store, tier: string, signal: AbortSignal): Promise<void> {
  const used: string[] = []
  for (const kind of RESOURCE_KINDS.filter(isTieredPolicy)) {
    const { resources } = await listResources(store, { kind }, signal)
    const own = resources.filter((policy) => tierOf(policy) === tier)
    used.push(...own.map(({ metadata }) => nameOf(kind, metadata.name, metadata.namespace)))
  }
  if (used.length === 0) return
  const more = used.length > MOST_NAMED ? ` and ${used.length - MOST_NAMED} more` : ''
  throw new ConflictError(
    'conflict',
    `the tier ${JSON.stringify(tier)} has policies, delete them first: ${used.slice(0, MOST_NAMED).join(', ')}${more}`,
  )
}

function tierOf({ spec }: AnyResource): string {
  return ('tier' in spec && typeof spec.tier === 'string' && spec.tier) || DEFAULT_TIER
}
