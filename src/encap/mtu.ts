import type { Family } from '../net/ip.ts'
import type { EncapDriver, Local } from './driver.ts'
import { vxlanMtu } from './vxlan.ts'

/** What an interface has when nothing says otherwise: Ethernet's. Bytes. */
const ETHERNET_MTU = 1500

/** IPv6 is not possible below (RFC 8200, section 5). Bytes. */
const LEAST_IPV6_MTU = 1280

/** A pool's family with its driver: all that devices and MTU depend on. */
export interface PoolDriver {
  readonly family: Family
  readonly driver: EncapDriver
}

/**
 * The MTU of workloads with addresses of one family: the smallest that any pool of that family leaves.
 * A workload talks to others of all pools, so its own pool's would not do. Bytes.
 */
export function workloadMtu(local: Local, pools: readonly PoolDriver[], family: Family): number {
  const uplink = local.underlay[family]?.mtuBytes ?? local.underlay[family === 4 ? 6 : 4]?.mtuBytes ?? ETHERNET_MTU
  const left = pools.filter((pool) => pool.family === family).map(({ driver }) => leftBy(driver, local, family, uplink))
  return Math.max(Math.min(uplink, ...left), family === 6 ? LEAST_IPV6_MTU : 0)
}

function leftBy(driver: EncapDriver, local: Local, family: Family, uplinkMtu: number): number {
  const mayTunnel = driver.receives.includes('vxlan')
  return (mayTunnel ? vxlanMtu(local, family) : undefined) ?? uplinkMtu - driver.overhead(family)
}
