import { ipOf } from '../../net/cidr.ts'
import { familyOf, type Ip } from '../../net/ip.ts'
import type { WorkloadEndpoint } from '../workload-endpoint.ts'
import type { Service, ServiceSpec } from './service.ts'

/** One workload endpoint of a service. */
export interface ServiceMember {
  /** `<namespace>/<name>` of the endpoint. */
  readonly endpoint: string
  readonly addresses: readonly Ip[]
  /** Where the workload listens for each port of the service; a port whose name the workload does not have is left out. */
  readonly ports: readonly { readonly name?: string | undefined; readonly protocol: 'TCP' | 'UDP' | 'SCTP'; readonly port: number }[]
}

/** Whether an endpoint is one of a service: of its namespace, with every label that it selects by, with an address. */
export function isMember({ metadata, spec }: Service, endpoint: WorkloadEndpoint): boolean {
  const wanted = Object.entries(spec.selector ?? {})
  const labels = endpoint.metadata.labels ?? {}
  if (wanted.length === 0 || endpoint.metadata.namespace !== metadata.namespace) return false
  return wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value) && addressesOf(spec, endpoint).length > 0
}

/** The members of a service among endpoints, in their order: what rules that name the service match. Pure, from what both say. */
export function serviceMembers(service: Service, endpoints: Iterable<WorkloadEndpoint>): readonly ServiceMember[] {
  const members: ServiceMember[] = []
  for (const endpoint of endpoints) if (isMember(service, endpoint)) members.push(memberOf(service.spec, endpoint))
  return members
}

function memberOf(spec: ServiceSpec, endpoint: WorkloadEndpoint): ServiceMember {
  const { namespace = '', name } = endpoint.metadata
  const ports = (spec.ports ?? []).flatMap(({ name: portName, protocol = 'TCP', port, targetPort = port }) => {
    const number = typeof targetPort === 'number' ? targetPort : portNamed(endpoint, targetPort, protocol)
    return number === undefined ? [] : [{ name: portName, protocol, port: number }]
  })
  return { endpoint: `${namespace}/${name}`, addresses: addressesOf(spec, endpoint), ports }
}

function addressesOf({ ipFamilies }: ServiceSpec, endpoint: WorkloadEndpoint): readonly Ip[] {
  const addresses = (endpoint.spec.ipNetworks ?? []).map(ipOf)
  return ipFamilies?.length ? addresses.filter((address) => ipFamilies.includes(`IPv${familyOf(address)}`)) : addresses
}

function portNamed(endpoint: WorkloadEndpoint, wanted: string, protocol: string): number | undefined {
  return (endpoint.spec.ports ?? []).find(({ name, protocol: own = 'TCP' }) => name === wanted && isProtocol(own, protocol))?.port
}

/** Endpoints give protocols by name or by number. */
function isProtocol(given: number | string, wanted: string): boolean {
  return given === wanted || String(given) === NUMBERS[wanted]
}

const NUMBERS: Readonly<Record<string, string>> = { TCP: '6', UDP: '17', SCTP: '132' }
