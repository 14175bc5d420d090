import { randomBytes, randomUUID } from 'node:crypto'
import type { Config, PoolConfig } from '../config.ts'
import { ConflictError, MargayError } from '../errors.ts'
import type { Interface } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import { type BootstrapPool, bootstrapResources, completeClusterInformation } from '../model/bootstrap.ts'
import { type Cidr, cidrsOverlap, parseCidr } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf } from '../net/ip.ts'
import { createResource, getResource, listResources, updateResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { hostNetworks } from './host-facts.ts'
import { chooseV4Pool, chooseV6Pool } from './pool-cidr.ts'

/** Our word in ClusterInformation's list of what takes part. */
const CLUSTER_TYPE = 'margay'

/** What bootstrapping depends on. */
export interface BootstrapContext {
  readonly store: Store
  readonly config: Config
  readonly interfaces: readonly Interface[]
  /** Whether this host has an underlay address of IPv6: without one it makes no IPv6 pool. */
  readonly hasIpv6Underlay: boolean
  readonly log: Logger
}

/**
 * Creates what must be in etcd before a host takes part, each only if it is missing; two hosts that do it at once agree, because the
 * first to create has it. Default pools only where the family has no pool at all.
 */
export async function bootstrap(context: BootstrapContext, signal: AbortSignal): Promise<void> {
  const { store, config } = context
  const pools = await defaultPools(context, signal)
  const input = { node: config.node.name, mode: config.mode, clusterType: CLUSTER_TYPE, pools, now: new Date(), uuid: randomUUID }
  for (const resource of bootstrapResources(input)) {
    const { kind, metadata } = resource
    if ((await getResource(store, { kind, name: metadata.name }, signal)) !== undefined) continue
    try {
      await createResource(store, resource, signal)
      context.log.info({ key: `${kind}/${metadata.name}` }, 'resource created')
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error
    }
  }
  while (!(await completeCluster(store, signal)));
}

/** False when somebody else wrote it at the same time: then it is looked at again. */
async function completeCluster(store: Store, signal: AbortSignal): Promise<boolean> {
  const stored = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, signal)
  const completed = stored && completeClusterInformation(stored, { clusterType: CLUSTER_TYPE, uuid: randomUUID })
  if (completed === undefined) return true
  try {
    await updateResource(store, completed, signal)
    return true
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error
    return false
  }
}

async function defaultPools(context: BootstrapContext, signal: AbortSignal): Promise<readonly BootstrapPool[]> {
  const { store, config, hasIpv6Underlay } = context
  if (!config.pools.create || !config.networking.enabled) return []
  const { resources, broken } = await listResources(store, { kind: 'IPPool' }, signal)
  // A pool that can't be read may have any range: another one beside it could give addresses out twice.
  if (broken.length > 0) return []
  const taken = resources.map(({ spec }) => spec.cidr)
  return FAMILIES.flatMap((family) => {
    const wanted = config.pools[family === 4 ? 'ipv4' : 'ipv6']
    if (taken.some((cidr) => familyOf(cidr) === family) || wanted.cidr === 'none') return []
    if (family === 6 && !hasIpv6Underlay && wanted.cidr === 'auto') return []
    return [{ ...wanted, family, cidr: poolCidr(family, wanted, context) }]
  })
}

function poolCidr(family: Family, wanted: PoolConfig, { interfaces }: BootstrapContext): Cidr {
  const networks = hostNetworks(interfaces)
  if (wanted.cidr !== 'auto') return refuseOverlap(parseCidr(wanted.cidr), networks)
  const chosen = family === 4 ? chooseV4Pool(networks) : chooseV6Pool(randomBytes(5))
  if (chosen !== undefined) return chosen
  throw new MargayError(
    'pool-overlap',
    'no range is free for the default IPv4 pool: give pools.ipv4.cidr a prefix that no interface of this host is in',
  )
}

/** A pool over the host's own networks would take their routes away. */
function refuseOverlap(cidr: Cidr, networks: readonly Cidr[]): Cidr {
  const network = networks.find((other) => cidrsOverlap(cidr, other))
  if (network === undefined) return cidr
  const key = `pools.ipv${familyOf(cidr)}.cidr`
  throw new MargayError(
    'pool-overlap',
    `${key} ${cidr} overlaps ${network}, a network that this host is in: give a prefix that is used nowhere else`,
  )
}
