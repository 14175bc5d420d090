import * as z from 'zod'
import { describeError, type Issue } from '../errors.ts'
import { ipOf, lengthOf } from '../net/cidr.ts'
import { addressBits, familyOf } from '../net/ip.ts'
import { checkEndpointPorts, checkInterfaceName } from './endpoint-check.ts'
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
import { workloadEndpointName } from './workload-endpoint-name.ts'

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

/** What is wrong with a WorkloadEndpoint beyond the shape of its fields. */
export function checkWorkloadEndpoint(endpoint: WorkloadEndpoint): readonly Issue[] {
  const { spec } = endpoint
  return [
    ...checkIdentity(endpoint),
    ...checkInterface(spec.interfaceName),
    ...checkNetworks(spec),
    ...checkNats(spec),
    ...checkEndpointPorts(spec.ports),
  ]
}

function checkIdentity(endpoint: WorkloadEndpoint): readonly Issue[] {
  try {
    const name = workloadEndpointName(endpoint.spec)
    if (endpoint.metadata.name === name) return []
    const message = `${JSON.stringify(endpoint.metadata.name)} does not fit the spec: the name is ${JSON.stringify(name)}`
    return [{ path: 'metadata.name', message }]
  } catch (error) {
    return [{ path: 'spec', message: describeError(error) }]
  }
}

function checkInterface(name: string | undefined): readonly Issue[] {
  const path = 'spec.interfaceName'
  if (name === undefined) return [{ path, message: 'is required (the name of the interface on the host)' }]
  const message = checkInterfaceName(name)
  return message === undefined ? [] : [{ path, message }]
}

function checkNetworks(spec: WorkloadEndpointSpec): readonly Issue[] {
  return (spec.ipNetworks ?? []).flatMap((network, index) => {
    const length = addressBits(familyOf(network))
    if (lengthOf(network) === length) return []
    return [{ path: `spec.ipNetworks[${index}]`, message: `${network} is more than one address: write ${ipOf(network)}/${length}` }]
  })
}

function checkNats(spec: WorkloadEndpointSpec): readonly Issue[] {
  const own = new Set((spec.ipNetworks ?? []).map(ipOf))
  return (spec.ipNATs ?? []).flatMap(({ internalIP, externalIP }, index) => {
    const issues: Issue[] = []
    const path = `spec.ipNATs[${index}]`
    if (familyOf(internalIP) !== familyOf(externalIP)) {
      issues.push({ path, message: `${internalIP} and ${externalIP} are of different IP versions` })
    }
    if (!own.has(internalIP)) issues.push({ path: `${path}.internalIP`, message: `${internalIP} is not in ipNetworks` })
    return issues
  })
}
