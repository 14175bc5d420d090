import * as z from 'zod'
import type { Issue } from '../../errors.ts'
import { doubles } from '../doubles.ts'
import { portOrNameField } from '../endpoint-check.ts'
import { type DeepReadonly, defaultsTo, integerField, ipField, zeroIsAbsent } from '../fields.ts'
import { checkLabels, isDnsLabel, isSubdomain } from '../metadata.ts'
import type { Resource } from '../resource.ts'
import { enforced, later, stored } from '../tags.ts'

const port = integerField(1, 65_535)
const word = z.string()

/**
 * The spec of a Service as Kubernetes has it, kept under `/margay/v1/service/<namespace>/<name>`. What of it is for load balancers
 * and for Kubernetes' nodes is kept and has no effect.
 */
export const serviceSpecSchema = z.object({
  ports: z
    .array(
      z.object({
        name: enforced('The name of the port; needed where there are several.', word).optional(),
        protocol: enforced('The protocol of the port.', defaultsTo('TCP', z.enum(['TCP', 'UDP', 'SCTP']))).optional(),
        appProtocol: stored('What is spoken over the port.', word).optional(),
        port: enforced('The port of the service.', port),
        targetPort: enforced('The port of the workloads, by number or by name; absent: the same.', portOrNameField).optional(),
        nodePort: stored('A port of every host that leads to the service.', zeroIsAbsent(integerField(0, 65_535))).optional(),
      }),
    )
    .optional(),
  selector: enforced(
    'The labels of the workloads of the same namespace that are the service; without any, none is.',
    z.record(word, word),
  ).optional(),
  clusterIP: later('An address of the service itself; None: it has none.', defaultsTo('None', word)).optional(),
  clusterIPs: later('As clusterIP, for both IP versions.', defaultsTo(['None'], z.array(word))).optional(),
  type: later(
    'ClusterIP: for workloads of the network alone; others lead to it from outside, or elsewhere.',
    defaultsTo('ClusterIP', z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'])),
  ).optional(),
  externalIPs: stored('Addresses of hosts that lead to the service.', z.array(ipField)).optional(),
  sessionAffinity: stored('Whether a client stays with one workload.', defaultsTo('None', z.enum(['None', 'ClientIP']))).optional(),
  loadBalancerIP: stored('The address of a load balancer.', word).optional(),
  loadBalancerSourceRanges: stored('Who may use the load balancer.', z.array(word)).optional(),
  externalName: stored('The name that the service is another name of.', word).optional(),
  externalTrafficPolicy: stored('Whether hosts pass on to other hosts.', word).optional(),
  healthCheckNodePort: stored("A load balancer's port for health checks.", zeroIsAbsent(integerField(0, 65_535))).optional(),
  publishNotReadyAddresses: stored('Whether workloads that are not ready are members; here all are.', zeroIsAbsent(z.boolean())).optional(),
  sessionAffinityConfig: stored('How long a client stays with one workload.', z.looseObject({})).optional(),
  ipFamilies: enforced('The IP versions of the addresses; absent: both.', z.array(z.enum(['IPv4', 'IPv6']))).optional(),
  ipFamilyPolicy: stored('Whether one IP version is enough.', defaultsTo('SingleStack', word)).optional(),
  allocateLoadBalancerNodePorts: stored('Whether a load balancer gets ports of hosts.', z.boolean()).optional(),
  loadBalancerClass: stored('The kind of load balancer.', word).optional(),
  internalTrafficPolicy: stored('Whether workloads of other hosts are used.', defaultsTo('Cluster', word)).optional(),
  trafficDistribution: stored('Which workloads are preferred.', word).optional(),
})

export type ServiceSpec = DeepReadonly<z.infer<typeof serviceSpecSchema>>

/** Workloads under one name, by their labels. */
export type Service = Resource<'Service', ServiceSpec>

/** What is wrong with a Service beyond the shape of its fields. */
export function checkService({ metadata, spec }: Service): readonly Issue[] {
  const issues: Issue[] = []
  if (isSubdomain(metadata.name) && !isDnsLabel(metadata.name)) {
    const rule = 'lower-case letters, digits and inner "-", up to 63'
    issues.push({ path: 'metadata.name', message: `${JSON.stringify(metadata.name)} is not the name of a service (${rule})` })
  }
  return [...issues, ...checkLabels(spec.selector, 'spec.selector'), ...checkPorts(spec.ports)]
}

type ServicePort = NonNullable<ServiceSpec['ports']>[number]

function checkPorts(ports: ServiceSpec['ports']): readonly Issue[] {
  const given = (ports ?? []).filter((one) => one !== undefined)
  const names = new Set(doubles(given.map(({ name }) => name)))
  const numbers = new Set(doubles(given.map(numberOf)))
  return (ports ?? []).flatMap((one, index) => {
    if (one === undefined) return []
    const path = `spec.ports[${index}]`
    const message = portNameFault(one.name, { isAlone: given.length === 1, isDoubled: names.has(one.name) })
    return [
      ...(message === undefined ? [] : [{ path: `${path}.name`, message }]),
      ...(numbers.has(numberOf(one)) ? [{ path, message: `port ${numberOf(one)} stands there more than once` }] : []),
    ]
  })
}

function portNameFault(name: string | undefined, { isAlone, isDoubled }: { readonly isAlone: boolean; readonly isDoubled: boolean }) {
  if (name === undefined) return isAlone ? undefined : 'is required where there are several ports'
  if (isDoubled) return `${JSON.stringify(name)} stands there more than once`
  return isDnsLabel(name) ? undefined : `${JSON.stringify(name)} is not a port name (lower-case letters, digits and inner "-", up to 63)`
}

function numberOf({ port: number, protocol = 'TCP' }: ServicePort): string {
  return `${number}/${protocol}`
}
