import type { NftLimit } from '../kernel/objects.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { LogSettings } from './counted-rule.ts'
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

/** The group of NFLOG that rules tell of packets; like the protocol of our routes. */
export const LOG_GROUP = 77

/** Of each rule that denies so much is told; what is more is known from its counter. */
const VERDICTS: NftLimit = { rate: 10, seconds: 1, burst: 20 }

const SECONDS: Readonly<Record<string, NftLimit['seconds']>> = { second: 1, minute: 60, hour: 3600, day: 86_400 }
const DEFAULT_BURST = 5

/** How rules tell of packets. */
export function logSettings({ logActionRateLimit, logActionRateLimitBurst }: FelixConfigurationSpec): LogSettings {
  return { group: LOG_GROUP, verdicts: VERDICTS, logAction: readRate(logActionRateLimit, logActionRateLimitBurst || DEFAULT_BURST) }
}

/** A rate as `5/second`; undefined where none is given: everything is told. */
function readRate(rate: string | undefined, burst: number): NftLimit | undefined {
  const [count, unit = ''] = rate?.split('/') ?? []
  const seconds = SECONDS[unit]
  return seconds === undefined ? undefined : { rate: Number(count), seconds, burst }
}
