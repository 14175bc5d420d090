import * as z from 'zod'
import { describeError, type Issue } from '../errors.ts'
import { ipOf, lengthOf } from '../net/cidr.ts'
import { addressBits, familyOf } from '../net/ip.ts'
import { dscpField } from './dscp.ts'
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
import { checkName } from './metadata.ts'
import type { Resource } from './resource.ts'
import { soundEntries } from './sound-parts.ts'
import { enforced, later, stored } from './tags.ts'
import { workloadEndpointName } from './workload-endpoint-name.ts'

/** Bits or packets a second, bytes, connections; Calico limits them where they are made. */
const limit = (description: string) => stored(description, zeroIsAbsent(integerField(0, Number.MAX_SAFE_INTEGER))).optional()

/** Limits and marks of a workload's traffic; margay acts on none of them. */
const qosControls = z.object({
  ingressBandwidth: limit('Most bits a second to the workload.'),
  egressBandwidth: limit('Most bits a second from the workload.'),
  ingressBurst: limit('Bits to the workload that may exceed ingressBandwidth for a moment.'),
  egressBurst: limit('Bits from the workload that may exceed egressBandwidth for a moment.'),
  ingressPeakrate: limit('Most bits a second to the workload within a burst.'),
  egressPeakrate: limit('Most bits a second from the workload within a burst.'),
  ingressMinburst: limit('Bytes to the workload that ingressPeakrate lets through at once.'),
  egressMinburst: limit('Bytes from the workload that egressPeakrate lets through at once.'),
  ingressPacketRate: limit('Most packets a second to the workload.'),
  egressPacketRate: limit('Most packets a second from the workload.'),
  ingressPacketBurst: limit('Packets to the workload that may exceed ingressPacketRate for a moment.'),
  egressPacketBurst: limit('Packets from the workload that may exceed egressPacketRate for a moment.'),
  ingressMaxConnections: limit('Most connections to the workload.'),
  egressMaxConnections: limit('Most connections from the workload.'),
  dscp: stored('Mark of packets that leave the cluster (RFC 2474): 0 to 63 or a name such as `EF`.', dscpField).optional(),
})

/** The spec of a WorkloadEndpoint: one interface of one workload. */
export const workloadEndpointSpecSchema = z.object({
  orchestrator: enforced('Who made it: `margay`, `libnetwork`, `cni`, `k8s`, … Part of the name.', z.string()).optional(),
  workload: enforced(
    'What the workload is called; part of the name, if the orchestrator is none of cni, k8s, libnetwork.',
    z.string(),
  ).optional(),
  node: enforced('The host where the workload is; part of the name.', z.string()).optional(),
  containerID: enforced('The container; part of the name with the orchestrator cni.', z.string()).optional(),
  pod: enforced('The pod; part of the name with the orchestrator k8s.', z.string()).optional(),
  endpoint: enforced('The interface as the workload has it, `eth0`; part of the name.', z.string()).optional(),
  serviceAccountName: enforced('Service account of the workload, which policies can select.', z.string()).optional(),
  ipNetworks: enforced('Addresses of the workload, one each: /32 or /128.', z.array(interfaceAddressField)).optional(),
  ipNATs: z
    .array(
      z.object({
        internalIP: later('An address of the workload.', ipField),
        externalIP: later('Address of the same family that others reach it by.', ipField),
      }),
    )
    .optional(),
  ipv4Gateway: stored('Gateway that the workload was told.', ipv4Field).optional(),
  ipv6Gateway: stored('IPv6 gateway that the workload was told.', ipv6Field).optional(),
  profiles: enforced('Profiles, in this order, whose rules hold where no policy applies.', z.array(z.string())).optional(),
  interfaceName: enforced('The interface on the host.', z.string()).optional(),
  mac: enforced("MAC of the workload's interface.", macField).optional(),
  ports: z
    .array(
      z.object({
        name: enforced('The name by which rules know the port.', z.string()).optional(),
        protocol: enforced('TCP, UDP or SCTP.', protocolField).optional(),
        port: enforced('The port, 1 to 65535.', integerField(0, 65_535)),
        hostPort: stored('Port of the host that leads to it.', zeroIsAbsent(integerField(0, 65_535))).optional(),
        hostIP: stored('Address of the host that leads to it.', ipField).optional(),
      }),
    )
    .optional(),
  allowSpoofedSourcePrefixes: enforced(
    'Prefixes from which the workload may send; needs workloadSourceSpoofing `Any` in FelixConfiguration.',
    z.array(interfaceAddressField),
  ).optional(),
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
    ...checkNames(spec),
    ...checkContainer(spec.containerID),
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

const CONTAINER_ID = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/

function checkContainer(id: string | undefined): readonly Issue[] {
  if (id === undefined || CONTAINER_ID.test(id)) return []
  return [{ path: 'spec.containerID', message: `${JSON.stringify(id)} is not the id of a container (letters, digits and inner "-")` }]
}

/** The names that it refers to; those of which its own is made are judged with it. */
function checkNames({ profiles, serviceAccountName }: WorkloadEndpointSpec): readonly Issue[] {
  const named: (readonly [string, string])[] = soundEntries(profiles).map(([index, name]) => [`profiles[${index}]`, name])
  if (serviceAccountName !== undefined) named.push(['serviceAccountName', serviceAccountName])
  return named.flatMap(([field, name]) => {
    const message = checkName(name)
    return message === undefined ? [] : [{ path: `spec.${field}`, message }]
  })
}

function checkNetworks(spec: WorkloadEndpointSpec): readonly Issue[] {
  return soundEntries(spec.ipNetworks).flatMap(([index, network]) => {
    const length = addressBits(familyOf(network))
    // Beside a field that is wrong this one is as it was given: an address alone is one.
    if (!network.includes('/') || lengthOf(network) === length) return []
    return [{ path: `spec.ipNetworks[${index}]`, message: `${network} is more than one address: write ${ipOf(network)}/${length}` }]
  })
}

function checkNats(spec: WorkloadEndpointSpec): readonly Issue[] {
  const own = new Set(soundEntries(spec.ipNetworks).map(([, network]) => network.split('/', 1)[0]))
  return soundEntries(spec.ipNATs).flatMap(([index, { internalIP, externalIP }]) => {
    const issues: Issue[] = []
    if (internalIP === undefined || externalIP === undefined) return issues
    const path = `spec.ipNATs[${index}]`
    if (familyOf(internalIP) !== familyOf(externalIP)) {
      issues.push({ path, message: `${internalIP} and ${externalIP} are of different IP versions` })
    }
    if (!own.has(internalIP)) issues.push({ path: `${path}.internalIP`, message: `${internalIP} is not in ipNetworks` })
    return issues
  })
}
