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

/** The spec of a Node: who this host is, and what its daemon found or took for it. */
export const nodeSpecSchema = z.object({
  bgp: z
    .object({
      asNumber: asNumberField.optional(),
      ipv4Address: interfaceAddressOf(4).optional(),
      ipv6Address: interfaceAddressOf(6).optional(),
      ipv4IPIPTunnelAddr: ipv4Field.optional(),
      routeReflectorClusterID: ipv4Field.optional(),
    })
    .optional(),
  ipv4VXLANTunnelAddr: ipv4Field.optional(),
  vxlanTunnelMACAddr: macField.optional(),
  ipv6VXLANTunnelAddr: ipv6Field.optional(),
  vxlanTunnelMACAddrV6: macField.optional(),
  orchRefs: z.array(z.object({ nodeName: z.string().optional(), orchestrator: z.string() })).optional(),
  wireguard: z.object({ interfaceIPv4Address: ipv4Field.optional(), interfaceIPv6Address: ipv6Field.optional() }).optional(),
  addresses: z
    .array(z.object({ address: interfaceAddressField, type: z.enum(['CalicoNodeIP', 'InternalIP', 'ExternalIP']).optional() }))
    .optional(),
  interfaces: z.array(z.object({ name: z.string().optional(), addresses: z.array(ipField).optional() })).optional(),
})

/** What a Node's own daemon publishes. */
export const nodeStatusSchema = z.object({
  wireguardPublicKey: z.string().optional(),
  wireguardPublicKeyV6: z.string().optional(),
  podCIDRs: z.array(cidrField).optional(),
})

export type NodeSpec = DeepReadonly<z.infer<typeof nodeSpecSchema>>
export type NodeStatus = DeepReadonly<z.infer<typeof nodeStatusSchema>>

/** One host of the network. */
export type Node = Resource<'Node', NodeSpec, NodeStatus>

/** What is wrong with a Node beyond the shape of its fields. */
export function checkNode(node: Node): readonly Issue[] {
  const { bgp } = node.spec
  if (bgp === undefined || Object.values(bgp).some((value) => value !== undefined)) return []
  return [{ path: 'spec.bgp', message: 'is empty: leave it out, or give an address' }]
}
