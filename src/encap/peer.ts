import type { Node } from '../model/node.ts'
import { vtepMac } from '../model/vtep-mac.ts'
import { ipOf } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import type { Peer, Vtep } from './driver.ts'

/** What a Node record says of how its host is reached. A VTEP needs a tunnel address and an underlay address of its family. */
export function peerOf(node: Node): Peer {
  const [v4, v6] = [underlayOf(node, 4), underlayOf(node, 6)]
  const [vtep4, vtep6] = [vtepOf(node, 4), vtepOf(node, 6)]
  return {
    node: node.metadata.name,
    underlay: { ...(v4 === undefined ? {} : { 4: v4 }), ...(v6 === undefined ? {} : { 6: v6 }) },
    vtep: { ...(vtep4 === undefined ? {} : { 4: vtep4 }), ...(vtep6 === undefined ? {} : { 6: vtep6 }) },
  }
}

/** A host's VXLAN tunnel endpoint of one family: the MAC is Calico's, made of the node's name, unless the record overrides it. */
export function vtepOf(node: Node, family: Family): Vtep | undefined {
  const { spec } = node
  const ip = family === 4 ? spec.ipv4VXLANTunnelAddr : spec.ipv6VXLANTunnelAddr
  const mac = family === 4 ? spec.vxlanTunnelMACAddr : spec.vxlanTunnelMACAddrV6
  return ip === undefined ? undefined : { ip, mac: mac ?? vtepMac(node.metadata.name, family) }
}

/** A host's address for other hosts: spec.bgp, else what an orchestrator wrote, as Calico reads it. */
export function underlayOf(node: Node, family: Family): Ip | undefined {
  const { bgp, addresses = [] } = node.spec
  const stated = family === 4 ? bgp?.ipv4Address : bgp?.ipv6Address
  if (stated !== undefined) return ipOf(stated)
  for (const type of ['CalicoNodeIP', 'InternalIP', 'ExternalIP'] as const) {
    const found = addresses.find((entry) => entry.type === type && familyOf(entry.address) === family)
    if (found !== undefined) return ipOf(found.address)
  }
  return undefined
}

/** The addresses of a host for other hosts. */
export function underlayAddresses(node: Node): readonly Ip[] {
  return FAMILIES.flatMap((family) => underlayOf(node, family) ?? [])
}
