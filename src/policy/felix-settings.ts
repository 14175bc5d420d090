import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { type Failsafes, failsafesOf } from './failsafes.ts'

/** What FelixConfiguration says about how packets are decided about. */
export interface FelixSettings {
  /** What becomes of a workload's packet to its own host that its policies allow. */
  readonly endpointToHost: 'Drop' | 'Accept' | 'Return'
  readonly failsafes: Failsafes
  /** Packets that connection tracking can make nothing of are dropped at endpoints. */
  readonly dropsInvalid: boolean
  readonly deny: 'drop' | 'reject'
}

/** The settings of a host, with Calico's defaults for what is not set. */
export function policySettings(felix: FelixConfigurationSpec): FelixSettings {
  const deny = felix.nftablesFilterDenyAction ?? felix.iptablesFilterDenyAction
  return {
    endpointToHost: felix.defaultEndpointToHostAction ?? 'Drop',
    failsafes: failsafesOf(felix),
    dropsInvalid: felix.disableConntrackInvalidCheck !== true,
    deny: deny === 'Reject' ? 'reject' : 'drop',
  }
}
