import { cidrContains, isHostCidr } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'
import type { EncapDriver, Local, Peer, Reach, Unreachable } from './driver.ts'

/** Plain routing: the next hop is the peer itself, so it must be on our subnet, as our own Node record states the subnet. */
export const direct: EncapDriver = {
  name: 'direct',
  receives: ['direct'],
  overhead: () => 0,
  devices: () => [],
  reach: reachDirectly,
}

/** Why an underlay between this host and the peer is missing, or both its ends. Every driver needs one of the workloads' family. */
export function underlayTo(local: Local, peer: Peer, family: Family) {
  const own = local.underlay[family]
  const other = peer.underlay[family]
  if (own === undefined) return unreachable(`this host has no IPv${family} address for other hosts`)
  if (other === undefined) return unreachable(`its Node has no IPv${family} address (spec.bgp.ipv${family}Address)`)
  if (own.ip === other) return unreachable(`its Node has our own address ${other}`)
  return { own, other }
}

/** A reason in the form that a driver gives it. */
export function unreachable(reason: string): Unreachable {
  return { via: 'none', reason }
}

function reachDirectly(local: Local, peer: Peer, family: Family): Reach | Unreachable {
  const underlay = underlayTo(local, peer, family)
  if ('via' in underlay) return underlay
  const { own, other } = underlay
  if (isHostCidr(own.subnet) || !cidrContains(own.subnet, other)) {
    return unreachable(`${other} is not on our subnet (${own.subnet}): direct mode needs one`)
  }
  // Onlink: the subnet of the Node record may be wider than the interface's own prefix length.
  return { via: 'direct', link: own.uplink, nextHop: other, isOnlink: true, mtuBytes: own.mtuBytes, neighbours: [], fdb: [] }
}
