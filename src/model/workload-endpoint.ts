import * as z from 'zod'
import {
  type DeepReadonly,
  integerField,
  interfaceAddressField,
  ipField,
  ipv4Field,
  ipv6Field,
  macField,
  protocolField,
  zeroIsAbsent,
} from './fields.ts'
import type { Resource } from './resource.ts'

const quantity = z.union([z.number(), z.string()]).optional()

/** Limits and marks of a workload's traffic; this version acts on none of them. */
const qosControls = z.object({
  ingressBandwidth: quantity,
  egressBandwidth: quantity,
  ingressBurst: quantity,
  egressBurst: quantity,
  ingressPeakrate: quantity,
  egressPeakrate: quantity,
  ingressMinburst: quantity,
  egressMinburst: quantity,
  ingressPacketRate: quantity,
  egressPacketRate: quantity,
  ingressPacketBurst: quantity,
  egressPacketBurst: quantity,
  ingressMaxConnections: quantity,
  egressMaxConnections: quantity,
  dscp: quantity,
})

/** The spec of a WorkloadEndpoint: one interface of one workload. */
export const workloadEndpointSpecSchema = z.object({
  orchestrator: z.string().optional(),
  workload: z.string().optional(),
  node: z.string().optional(),
  containerID: z.string().optional(),
  pod: z.string().optional(),
  endpoint: z.string().optional(),
  serviceAccountName: z.string().optional(),
  ipNetworks: z.array(interfaceAddressField).optional(),
  ipNATs: z.array(z.object({ internalIP: ipField, externalIP: ipField })).optional(),
  ipv4Gateway: ipv4Field.optional(),
  ipv6Gateway: ipv6Field.optional(),
  profiles: z.array(z.string()).optional(),
  interfaceName: z.string().optional(),
  mac: macField.optional(),
  ports: z
    .array(
      z.object({
        name: z.string().optional(),
        protocol: protocolField.optional(),
        port: integerField(0, 65_535),
        hostPort: zeroIsAbsent(integerField(0, 65_535)).optional(),
        hostIP: ipField.optional(),
      }),
    )
    .optional(),
  allowSpoofedSourcePrefixes: z.array(interfaceAddressField).optional(),
  qosControls: qosControls.optional(),
})

export type WorkloadEndpointSpec = DeepReadonly<z.infer<typeof workloadEndpointSpecSchema>>

/** One interface of one workload, on the host `spec.node`. */
export type WorkloadEndpoint = Resource<'WorkloadEndpoint', WorkloadEndpointSpec>
