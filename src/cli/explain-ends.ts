import { underlayAddresses, vtepOf } from '../encap/peer.ts'
import { ConflictError } from '../errors.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Node } from '../model/node.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { ipOf } from '../net/cidr.ts'
import { FAMILIES, type Ip, isIp, parseIp } from '../net/ip.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'
import { ANY_INTERFACE } from '../policy/host-endpoints.ts'
import { UsageError } from './context.ts'

/** One end of a connection, found by its name or by its address. */
export interface End {
  readonly kind: 'workload' | 'host-endpoint' | 'host' | 'outside'
  /** `<namespace>/<workload>`, the name of a host endpoint or of a node, or the address of what is outside. */
  readonly name: string
  /** The host where it is; absent for what is outside. */
  readonly node?: string
  /** The interface of the host by which its packets come and go, where the store names it. */
  readonly interface?: string
  /** Its addresses, or the one by which it was asked for. */
  readonly addresses: readonly Ip[]
  /** It was asked for by its address. */
  readonly isByAddress: boolean
  /** Ports that it has names for. */
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[]
}

/**
 * What somebody means by a name or an address: a workload endpoint, a host endpoint or a host, for an address also what is outside.
 *
 * @throws {ConflictError} `not-found`, naming what was looked through
 * @throws {UsageError} if the name means several things, naming each as it can be written
 */
export function findEnd(maps: ResourceMaps, given: string): End {
  if (isIp(given)) return findByAddress(maps, parseIp(given))
  const found = findByName(maps, given)
  const [only] = found
  if (only === undefined) {
    const where = 'a workload (NAMESPACE/NAME), a host endpoint, a node or an address'
    throw new ConflictError('not-found', `${JSON.stringify(given)} is not the name of ${where} in this store`)
  }
  if (found.length > 1) {
    const names = found.map(({ word }) => word).join(', ')
    throw new UsageError(`${JSON.stringify(given)} means several things, write one of: ${names}`)
  }
  return only.end
}

interface Named {
  /** What means this one alone. */
  readonly word: string
  readonly end: End
}

function findByName(maps: ResourceMaps, given: string): readonly Named[] {
  const [prefix = '', ...parts] = given.split('/')
  const rest = parts.join('/')
  const workload = ['workload', 'wep'].includes(prefix) ? rest : given
  const host = prefix === 'node' ? rest : given
  const hostEndpoint = ['hep', 'hostendpoint'].includes(prefix) ? rest : given
  return [
    ...[...maps.get('WorkloadEndpoint')].flatMap(([id, endpoint]) =>
      isCalled(endpoint, workload) ? [{ word: `workload/${id}`, end: workloadEnd(endpoint) }] : [],
    ),
    ...[...maps.get('HostEndpoint').values()].flatMap((endpoint) =>
      endpoint.metadata.name === hostEndpoint ? [{ word: `hep/${hostEndpoint}`, end: hostEndpointEnd(maps, endpoint) }] : [],
    ),
    ...[...maps.get('Node').values()].flatMap((node) =>
      node.metadata.name === host ? [{ word: `node/${host}`, end: hostEnd(node) }] : [],
    ),
  ]
}

/** Of an endpoint without a workload's name its own is meant; without a namespace those of all are. */
function isCalled({ metadata, spec }: WorkloadEndpoint, given: string): boolean {
  return [metadata.name, spec.workload, spec.pod, spec.containerID].some(
    (name) => name !== undefined && (given === name || given === `${metadata.namespace}/${name}`),
  )
}

function findByAddress(maps: ResourceMaps, address: Ip): End {
  const at = (end: End): End => ({ ...end, addresses: [address], isByAddress: true })
  for (const endpoint of maps.get('WorkloadEndpoint').values()) {
    if (endpoint.spec.ipNetworks?.some((network) => ipOf(network) === address)) return at(workloadEnd(endpoint))
  }
  for (const endpoint of maps.get('HostEndpoint').values()) {
    if (endpoint.spec.expectedIPs?.includes(address)) return at(hostEndpointEnd(maps, endpoint))
  }
  for (const node of maps.get('Node').values()) if (addressesOf(node).includes(address)) return at(hostEnd(node))
  return { kind: 'outside', name: address, addresses: [address], isByAddress: true, ports: [] }
}

function workloadEnd({ metadata, spec }: WorkloadEndpoint): End {
  const name = spec.workload ?? spec.pod ?? spec.containerID ?? metadata.name
  return {
    kind: 'workload',
    name: `${metadata.namespace}/${name}`,
    ...(spec.node === undefined ? {} : { node: spec.node }),
    ...(spec.interfaceName === undefined ? {} : { interface: spec.interfaceName }),
    addresses: (spec.ipNetworks ?? []).map(ipOf),
    isByAddress: false,
    ports: (spec.ports ?? []).flatMap((port) =>
      port.name === undefined ? [] : [{ name: port.name, protocol: String(port.protocol ?? 'TCP'), port: port.port }],
    ),
  }
}

function hostEndpointEnd(maps: ResourceMaps, { metadata, spec }: HostEndpoint): End {
  const node = maps.get('Node').get(spec.node ?? '')
  const isNamed = spec.interfaceName !== undefined && spec.interfaceName !== '' && spec.interfaceName !== ANY_INTERFACE
  const stated = node?.spec.interfaces?.find(({ name }) => isNamed && name === spec.interfaceName)?.addresses ?? []
  const known = [...(spec.expectedIPs ?? []), ...stated]
  return {
    kind: 'host-endpoint',
    name: metadata.name,
    ...(spec.node === undefined ? {} : { node: spec.node }),
    ...(isNamed && spec.interfaceName !== undefined ? { interface: spec.interfaceName } : {}),
    addresses: known.length > 0 || node === undefined ? known : underlayAddresses(node),
    isByAddress: false,
    ports: (spec.ports ?? []).map(({ name, protocol, port }) => ({ name, protocol: String(protocol), port })),
  }
}

function hostEnd(node: Node): End {
  const { name } = node.metadata
  return { kind: 'host', name, node: name, addresses: underlayAddresses(node), isByAddress: false, ports: [] }
}

/** Those, those of its tunnels, and those that its record lists beside them. */
function addressesOf(node: Node): readonly Ip[] {
  const listed = (node.spec.interfaces ?? []).flatMap(({ addresses = [] }) => addresses)
  const further = (node.spec.addresses ?? []).map(({ address }) => ipOf(address))
  return [...underlayAddresses(node), ...FAMILIES.flatMap((family) => vtepOf(node, family)?.ip ?? []), ...listed, ...further]
}
