import type { Cidr } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'
import type { ClusterInformation } from './cluster-information.ts'
import type { IPPool } from './ip-pool.ts'
import type { AnyResource, ResourceKind, ResourceTypes } from './kinds.ts'
import { MODE_SETTINGS, type ModeName } from './mode.ts'
import { namespaceProfile } from './namespace.ts'
import { prepareCreate } from './prepare.ts'
import { API_VERSION } from './resource.ts'
import { BUILT_IN_TIERS } from './tier.ts'

/** What a host brings to an etcd in which things may be missing. */
export interface BootstrapInput {
  readonly node: string
  readonly mode: ModeName
  /** A token for ClusterInformation's clusterType. */
  readonly clusterType: string
  /** Default pools, by family, for families that have no pool yet. */
  readonly pools: readonly BootstrapPool[]
  readonly now: Date
  /** A new random UUID each time. */
  readonly uuid: () => string
}

/** A default pool whose CIDR is already chosen. */
export interface BootstrapPool {
  readonly family: Family
  readonly cidr: Cidr
  readonly blockSize: number
  readonly natOutgoing: boolean
  readonly nodeSelector: string
}

/**
 * Everything that must be in etcd before a host takes part, in the order in which it is created; each is created only if it is
 * missing. calicoVersion is never among it: calicoctl refuses to work with a version that is not its own.
 */
export function bootstrapResources(input: BootstrapInput): readonly AnyResource[] {
  const { bgp, felix } = MODE_SETTINGS[input.mode]
  const create = <K extends ResourceKind>(kind: K, name: string, spec: ResourceTypes[K]['spec']): AnyResource =>
    prepareCreate({ apiVersion: API_VERSION, kind, metadata: { name }, spec } as AnyResource, input.now, input.uuid())
  const tiers = Object.entries(BUILT_IN_TIERS).map(([name, spec]) => create('Tier', name, spec))
  return [
    create('ClusterInformation', 'default', newClusterSpec(input)),
    ...tiers,
    prepareCreate(namespaceProfile('default'), input.now, input.uuid()),
    create('KubeControllersConfiguration', 'default', { controllers: { node: { hostEndpoint: { autoCreate: 'Disabled' } } } }),
    create('FelixConfiguration', 'default', { reportingInterval: '0s', logSeverityScreen: 'Info', ...felix }),
    create('FelixConfiguration', `node.${input.node}`, { defaultEndpointToHostAction: 'Return' }),
    create('BGPConfiguration', 'default', bgp),
    create('IPAMConfiguration', 'default', { strictAffinity: false, autoAllocateBlocks: true }),
    ...input.pools.map((pool) => defaultPool(pool, input)),
  ]
}

/** The name of the default pool of a family, as Calico calls it. */
export function defaultPoolName(family: Family): string {
  return `default-ipv${family}-ippool`
}

/**
 * The ClusterInformation that is there, with what is missing in it, or undefined if nothing is. What is set stays as it is:
 * also `datastoreReady: false`, by which an administrator locks the datastore.
 */
export function completeClusterInformation(
  stored: ClusterInformation,
  input: Pick<BootstrapInput, 'clusterType' | 'uuid'>,
): ClusterInformation | undefined {
  const { clusterGUID, clusterType = '', datastoreReady } = stored.spec
  const tokens = clusterType.split(',').filter((token) => token !== '')
  if (clusterGUID !== undefined && tokens.includes(input.clusterType) && datastoreReady !== undefined) return undefined
  const spec = {
    ...stored.spec,
    clusterGUID: clusterGUID ?? newGuid(input.uuid),
    clusterType: tokens.includes(input.clusterType) ? clusterType : [...tokens, input.clusterType].join(','),
    datastoreReady: datastoreReady ?? true,
  }
  return { ...stored, spec }
}

function newClusterSpec(input: BootstrapInput): ClusterInformation['spec'] {
  return { clusterGUID: newGuid(input.uuid), clusterType: input.clusterType, datastoreReady: true }
}

/** 32 hexadecimal digits. */
function newGuid(uuid: () => string): string {
  return uuid().replaceAll('-', '')
}

function defaultPool(pool: BootstrapPool, input: BootstrapInput): AnyResource {
  const { family, cidr, blockSize, natOutgoing, nodeSelector } = pool
  const resource: IPPool = {
    apiVersion: API_VERSION,
    kind: 'IPPool',
    metadata: { name: defaultPoolName(family) },
    spec: { cidr, blockSize, natOutgoing, nodeSelector, ...MODE_SETTINGS[input.mode].pool },
  }
  return prepareCreate(resource, input.now, input.uuid())
}
