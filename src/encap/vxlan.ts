import type { FdbEntry, Neighbour, VxlanLink } from '../kernel/objects.ts'
import type { Family } from '../net/ip.ts'
import { underlayTo, unreachable } from './direct.ts'
import type { EncapDriver, Local, Peer, Reach, Unreachable, Vtep } from './driver.ts'

/** Outer IPv4 20 (IPv6 40), UDP 8, VXLAN 8, inner Ethernet 14 (RFC 7348, section 5). Bytes, by family of the underlay. */
export const VXLAN_OVERHEAD: Readonly<Record<Family, number>> = { 4: 50, 6: 70 }

/** Our devices by family, of the underlay and of the workloads alike: the kernel refuses FDB entries of the other family. */
export const VXLAN_DEVICES: Readonly<Record<Family, string>> = { 4: 'margay.vxlan', 6: 'margay.vxlan6' }

/** Calico's defaults; every host of a network must use the same ones. Windows hosts need a VNI of 4096 or more. */
export const VXLAN_DEFAULTS = { vni: 4096, port: 4789 } as const

/**
 * VXLAN (RFC 7348) without multicast and without learning: the next hop of a block is the tunnel address of its host,
 * and two permanent entries lead from there to the outer address.
 *
 * ```
 *  10.65.1.0/26 via 10.65.1.0 dev margay.vxlan onlink       route: whose block it is
 *  10.65.1.0 lladdr 66:1a:2b:3c:4d:5e dev margay.vxlan      neighbour: the next hop's inner MAC
 *  66:1a:2b:3c:4d:5e dst 192.0.2.7 dev margay.vxlan         FDB: the outer destination for that MAC
 * ```
 */
export const vxlan: EncapDriver = {
  name: 'vxlan',
  receives: ['vxlan'],
  overhead: (family) => VXLAN_OVERHEAD[family],
  devices: vxlanDevices,
  reach: reachThroughTunnel,
}

/** The device's MTU: what somebody set, else the uplink's less the overhead. Undefined without an underlay. Bytes. */
export function vxlanMtu(local: Local, family: Family): number | undefined {
  const uplink = local.underlay[family]
  return uplink === undefined ? undefined : (local.vxlan.mtuBytes?.[family] ?? uplink.mtuBytes - VXLAN_OVERHEAD[family])
}

/**
 * The two static entries by which the kernel finds a VTEP without asking the network:
 * the neighbour entry gives the inner MAC for the next hop, the FDB entry the outer IP for that MAC.
 * Both are permanent, because learning is off and nothing would refresh them.
 */
export function vtepEntries(
  link: string,
  vtep: Vtep,
  underlay: FdbEntry['dst'],
): { readonly neighbours: readonly Neighbour[]; readonly fdb: readonly FdbEntry[] } {
  return { neighbours: [{ link, ip: vtep.ip, mac: vtep.mac }], fdb: [{ link, mac: vtep.mac, dst: underlay }] }
}

function vxlanDevices(local: Local, family: Family): readonly VxlanLink[] {
  const [underlay, vtep, mtuBytes] = [local.underlay[family], local.vtep[family], vxlanMtu(local, family)]
  if (underlay === undefined || vtep === undefined || mtuBytes === undefined) return []
  const { vni, port } = local.vxlan
  return [{ kind: 'vxlan', name: VXLAN_DEVICES[family], mtuBytes, mac: vtep.mac, vni, port, local: underlay.ip, uplink: underlay.uplink }]
}

function reachThroughTunnel(local: Local, peer: Peer, family: Family): Reach | Unreachable {
  const underlay = underlayTo(local, peer, family)
  if ('via' in underlay) return underlay
  const mtuBytes = vxlanMtu(local, family)
  if (local.vtep[family] === undefined || mtuBytes === undefined) return pending('this host has no VXLAN tunnel address yet')
  const vtep = peer.vtep[family]
  if (vtep === undefined) return pending(`its Node has no VXLAN tunnel address yet (spec.ipv${family}VXLANTunnelAddr)`)
  const conflict = peer.conflict?.[family]
  if (conflict !== undefined) return unreachable(conflict)
  const link = VXLAN_DEVICES[family]
  return { via: 'vxlan', link, nextHop: vtep.ip, isOnlink: true, mtuBytes, ...vtepEntries(link, vtep, underlay.other) }
}

function pending(reason: string): Unreachable {
  return { ...unreachable(reason), isPending: true }
}
