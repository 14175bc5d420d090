import * as z from 'zod'
import type { Issue } from '../errors.ts'
import {
  asNumberField,
  cidrField,
  type DeepReadonly,
  interfaceAddressField,
  interfaceAddressOf,
  ipField,
  ipv4Field,
  ipv6Field,
  macField,
} from './fields.ts'
import type { Resource } from './resource.ts'
import { soundEntries } from './sound-parts.ts'
import { enforced, later, stored } from './tags.ts'

/** A public key of WireGuard: 32 bytes in base64. */
const PUBLIC_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/

/** The spec of a Node: who this host is, and what its daemon found or took for it. */
export const nodeSpecSchema = z.object({
  bgp: z
    .object({
      asNumber: later("The host's AS number; without it that of BGPConfiguration `default`.", asNumberField).optional(),
      ipv4Address: enforced(
        "The host's IPv4 address with the length of its subnet; hosts in one subnet need no tunnel with CrossSubnet.",
        interfaceAddressOf(4),
      ).optional(),
      ipv6Address: enforced("The host's IPv6 address with the length of its subnet.", interfaceAddressOf(6)).optional(),
      ipv4IPIPTunnelAddr: later('Address of the IP-in-IP device, from a pool.', ipv4Field).optional(),
      routeReflectorClusterID: later('Makes the host a route reflector of this cluster id (RFC 4456).', ipv4Field).optional(),
    })
    .optional(),
  ipv4VXLANTunnelAddr: enforced('Address of the VXLAN device, from a pool.', ipv4Field).optional(),
  vxlanTunnelMACAddr: enforced('MAC of the VXLAN device; without it the one that follows from the name of the Node.', macField).optional(),
  ipv6VXLANTunnelAddr: enforced('Address of the VXLAN device over IPv6, from a pool.', ipv6Field).optional(),
  vxlanTunnelMACAddrV6: enforced('MAC of the VXLAN device over IPv6.', macField).optional(),
  orchRefs: z
    .array(
      z.object({
        nodeName: stored('What an orchestrator calls this host.', z.string()).optional(),
        orchestrator: stored('The orchestrator, such as `k8s`.', z.string()),
      }),
    )
    .optional(),
  wireguard: z
    .object({
      interfaceIPv4Address: later('Address of the WireGuard device, from a pool.', ipv4Field).optional(),
      interfaceIPv6Address: later('Address of the WireGuard device over IPv6, from a pool.', ipv6Field).optional(),
    })
    .optional(),
  addresses: z
    .array(
      z.object({
        address: enforced('A further address of the host.', interfaceAddressField),
        type: enforced('Where it comes from: CalicoNodeIP, InternalIP or ExternalIP.', z.string()).optional(),
      }),
    )
    .optional(),
  interfaces: z
    .array(
      z.object({
        name: enforced('An interface of the host, for automatic host endpoints.', z.string()).optional(),
        addresses: enforced('Its addresses.', z.array(ipField)).optional(),
      }),
    )
    .optional(),
})

/** What a Node's own daemon publishes. */
export const nodeStatusSchema = z.object({
  wireguardPublicKey: later('Public key of the WireGuard device: 32 bytes in base64.', z.string()).optional(),
  wireguardPublicKeyV6: later('Public key of the WireGuard device over IPv6.', z.string()).optional(),
  podCIDRs: stored('Ranges that Kubernetes gave this host.', z.array(cidrField)).optional(),
})

export type NodeSpec = DeepReadonly<z.infer<typeof nodeSpecSchema>>
export type NodeStatus = DeepReadonly<z.infer<typeof nodeStatusSchema>>

/** One host of the network. */
export type Node = Resource<'Node', NodeSpec, NodeStatus>

const ADDRESS_TYPES = ['CalicoNodeIP', 'InternalIP', 'ExternalIP']

/**
 * What is wrong with a Node beyond the shape of its fields. What hosts can do without is judged here and not where it is read:
 * a Node that can't be read is a host that can't be reached.
 */
export function checkNode({ spec, status }: Node): readonly Issue[] {
  const issues: Issue[] = []
  const { bgp, addresses } = spec
  if (bgp !== undefined && Object.values(bgp).every((value) => value === undefined)) {
    issues.push({ path: 'spec.bgp', message: 'is empty: leave it out, or give an address' })
  }
  for (const [index, { type }] of soundEntries(addresses)) {
    if (type === undefined || ADDRESS_TYPES.includes(type)) continue
    issues.push({ path: `spec.addresses[${index}].type`, message: `${JSON.stringify(type)} is not one of ${ADDRESS_TYPES.join(', ')}` })
  }
  for (const field of ['wireguardPublicKey', 'wireguardPublicKeyV6'] as const) {
    const key = status?.[field]
    if (key === undefined || PUBLIC_KEY.test(key)) continue
    issues.push({ path: `status.${field}`, message: `${JSON.stringify(key)} is not a key of WireGuard (32 bytes in base64)` })
  }
  return issues
}
