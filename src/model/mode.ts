import type { BGPConfigurationSpec } from './bgp-configuration.ts'
import type { FelixConfigurationSpec } from './felix-configuration.ts'
import type { IPPool, IPPoolSpec } from './ip-pool.ts'

/** How packets of a pool get from host to host, in the words of the configuration's `mode`; `direct` is without encapsulation. */
export type PoolMode = 'direct' | 'vxlan' | 'vxlan-cross-subnet' | 'ipip' | 'ipip-cross-subnet'

/** The modes that this version can give to an empty etcd, with what each writes (ARCHITECTURE.md, section 5). */
export const MODE_SETTINGS = {
  'vxlan-cross-subnet': { pool: { vxlanMode: 'CrossSubnet', ipipMode: 'Never' }, bgp: {}, felix: {} },
  vxlan: { pool: { vxlanMode: 'Always', ipipMode: 'Never' }, bgp: {}, felix: {} },
  direct: {
    pool: { vxlanMode: 'Never', ipipMode: 'Never' },
    bgp: { nodeToNodeMeshEnabled: false, programClusterRoutes: 'Disabled' },
    felix: { programClusterRoutes: 'Enabled' },
  },
} as const satisfies Readonly<Record<string, ModeSettings>>

/** A mode that this version can give to an empty etcd. */
export type ModeName = keyof typeof MODE_SETTINGS

/** What a mode writes into pools and beside them. */
export interface ModeSettings {
  readonly pool: Pick<IPPoolSpec, 'vxlanMode' | 'ipipMode'>
  readonly bgp: BGPConfigurationSpec
  readonly felix: FelixConfigurationSpec
}

/** The mode of a pool. */
export function modeOf(pool: IPPool): PoolMode {
  const { vxlanMode = 'Never', ipipMode = 'Never' } = pool.spec
  if (vxlanMode !== 'Never') return vxlanMode === 'Always' ? 'vxlan' : 'vxlan-cross-subnet'
  if (ipipMode !== 'Never') return ipipMode === 'Always' ? 'ipip' : 'ipip-cross-subnet'
  return 'direct'
}

/** Who programs the routes of pools without encapsulation: the daemon itself, or BIRD (Calico's default). */
export function programsDirectRoutes(felix: FelixConfigurationSpec | undefined): boolean {
  return felix?.programClusterRoutes === 'Enabled' || felix?.programClusterRoutes === 'EnabledNoEncapOnly'
}

/** The modes of all pools in one text for status: one name, several with a comma, or `none`. */
export function showModes(pools: Iterable<IPPool>): string {
  const modes = new Set([...pools].map(modeOf))
  return modes.size === 0 ? 'none' : [...modes].sort().join(', ')
}
