import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { TunnelPacket } from './evaluate-path.ts'
import { type Failsafes, failsafesOf } from './failsafes.ts'

/** What FelixConfiguration says about how packets are decided about. */
export interface FelixSettings {
  /** What becomes of a workload's packet to its own host that its policies allow. */
  readonly endpointToHost: 'Drop' | 'Accept' | 'Return'
  readonly failsafes: Failsafes
  /** Packets that connection tracking can make nothing of are dropped at endpoints. */
  readonly dropsInvalid: boolean
  readonly deny: 'drop' | 'reject'
  /** What workloads may not send, whatever their policies say. */
  readonly tunnels: readonly TunnelPacket[]
}

/** IANA's port of VXLAN (RFC 7348, section 8). */
const VXLAN_PORT = 4789
const [IPIP, UDP] = [4, 17]

/** The settings of a host, with Calico's defaults for what is not set. */
export function policySettings(felix: FelixConfigurationSpec): FelixSettings {
  const deny = felix.nftablesFilterDenyAction ?? felix.iptablesFilterDenyAction
  return {
    endpointToHost: felix.defaultEndpointToHostAction ?? 'Drop',
    failsafes: failsafesOf(felix),
    dropsInvalid: felix.disableConntrackInvalidCheck !== true,
    deny: deny === 'Reject' ? 'reject' : 'drop',
    tunnels: [
      ...(felix.allowVXLANPacketsFromWorkloads === true ? [] : [{ protocol: UDP, port: felix.vxlanPort ?? VXLAN_PORT }]),
      ...(felix.allowIPIPPacketsFromWorkloads === true ? [] : [{ protocol: IPIP }]),
    ],
  }
}
