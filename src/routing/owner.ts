import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { IPPool } from '../model/ip-pool.ts'

/** Who writes the routes of a pool's blocks on this host. `nobody`: what the pool asks for is not built. */
export interface RouteOwner {
  readonly owner: 'margay' | 'bird' | 'nobody'
  /** Why no route of the pool is written, for status. */
  readonly problem?: string
}

/**
 * Who programs the cluster routes of a pool: the one place that decides (ARCHITECTURE.md, section 5).
 * A tunnel's routes are always ours; without encapsulation they are BIRD's unless FelixConfiguration gives them to us.
 */
export function routeOwner(pool: IPPool, felix: Pick<FelixConfigurationSpec, 'programClusterRoutes'>): RouteOwner {
  const { cidr, vxlanMode = 'Never', ipipMode = 'Never' } = pool.spec
  if (vxlanMode !== 'Never') return { owner: 'margay' }
  if (ipipMode !== 'Never') {
    return { owner: 'nobody', problem: `pool ${cidr} has ipipMode ${ipipMode}, and IP-in-IP is not built in this version: use vxlanMode` }
  }
  const setting = felix.programClusterRoutes ?? 'EnabledIPIPOnly'
  if (setting === 'Enabled' || setting === 'EnabledNoEncapOnly') return { owner: 'margay' }
  return {
    owner: 'bird',
    problem:
      `pool ${cidr} has no encapsulation and FelixConfiguration programClusterRoutes is ${JSON.stringify(setting)}: its routes are left to BGP, ` +
      'which is not built in this version; set it to "Enabled", or give the pool a vxlanMode',
  }
}
