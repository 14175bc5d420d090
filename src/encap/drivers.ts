import type { IPPool } from '../model/ip-pool.ts'
import type { LiveRecord, Receive } from '../model/own/live.ts'
import { crossSubnet } from './cross-subnet.ts'
import { direct, unreachable } from './direct.ts'
import type { EncapDriver } from './driver.ts'
import { vxlan } from './vxlan.ts'

/** The driver of one way to receive, for a sender that must use the way that a peer still receives. */
export const DRIVER_OF: Readonly<Record<Receive, EncapDriver>> = { direct, vxlan }

/** How a pool's packets get from host to host. */
export function driverFor(pool: IPPool): EncapDriver {
  const { vxlanMode = 'Never', ipipMode = 'Never' } = pool.spec
  if (vxlanMode !== 'Never') return vxlanMode === 'CrossSubnet' ? vxlanCrossSubnet : vxlan
  return ipipMode === 'Never' ? direct : ipip
}

/**
 * What a host that has applied these pools can say of itself: by pool, the ways in which packets may arrive.
 * A sender moves a peer's routes to a way when the peer says this.
 */
export function receivesOf(applied: Iterable<IPPool>): LiveRecord['receives'] {
  return Object.fromEntries([...applied].map((pool) => [pool.spec.cidr, driverFor(pool).receives]))
}

const vxlanCrossSubnet = crossSubnet(vxlan)

/** Calico's pools may ask for what is not built here; they are told so for each peer, and nothing else stops. */
const ipip: EncapDriver = {
  name: 'ipip',
  receives: [],
  // RFC 2003: one more IPv4 header.
  overhead: () => 20,
  devices: () => [],
  reach: () => unreachable('its pool has ipipMode, and IP-in-IP is not built in this version: use vxlanMode'),
}
