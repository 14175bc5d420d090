import { ValidationError } from '../errors.ts'
import { isObject } from '../model/shape.ts'
import { workloadEndpointPrefix } from '../model/workload-endpoint-name.ts'
import { ipOf, parseInterfaceAddress } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { AddressUser } from './ipam-survey.ts'

/**
 * The addresses that a workload endpoint uses. Reads the spec as it stands in the store, so that a fault in another field does not
 * make its addresses look unused.
 *
 * @param id `<namespace>/<name>`
 * @throws {ValidationError} where its node or its addresses can't be read
 */
export function endpointUsers(id: string, spec: unknown): readonly AddressUser[] {
  if (!isObject(spec)) throw new ValidationError(`workload endpoint ${id} has no spec`)
  const { node, ipNetworks } = spec
  if (node !== undefined && typeof node !== 'string') throw new ValidationError(`spec.node of workload endpoint ${id} is not a text`)
  const name = `Workload(${id})`
  return textsOf(ipNetworks ?? [], `spec.ipNetworks of workload endpoint ${id}`).map((text) => {
    return { ip: ipOf(parseInterfaceAddress(text)), name, node }
  })
}

/**
 * The tunnel addresses that a Node has.
 *
 * @throws {ValidationError} where one can't be read
 */
export function nodeUsers(node: string, spec: unknown): readonly AddressUser[] {
  const whole = isObject(spec) ? spec : {}
  const [bgp, wireguard] = [whole['bgp'], whole['wireguard']].map((part) => (isObject(part) ? part : {}))
  const found = [
    ...[whole['ipv4VXLANTunnelAddr'], whole['ipv6VXLANTunnelAddr'], bgp?.['ipv4IPIPTunnelAddr']],
    ...[wireguard?.['interfaceIPv4Address'], wireguard?.['interfaceIPv6Address']],
  ]
  const given = found.filter((value) => value !== undefined && value !== null && value !== '')
  return textsOf(given, `a tunnel address of Node ${node}`).map((text): AddressUser => ({ ip: parseIp(text), name: `Node(${node})`, node }))
}

/**
 * Tells of a host whether a record of it can't be read. An endpoint's key begins with its host's name, but does not say where that
 * ends; it counts for every host that it may be of.
 */
export function obscureNodes(records: readonly { readonly kind: string; readonly id: string }[]): (node: string) => boolean {
  const nodes = new Set(records.filter(({ kind }) => kind === 'Node').map(({ id }) => id))
  const endpoints = records.filter(({ kind }) => kind === 'WorkloadEndpoint').map(({ id }) => id.slice(id.indexOf('/') + 1))
  return (node) => nodes.has(node) || endpoints.some((name) => name.startsWith(prefixOf(node)))
}

/** Of a name that no endpoint can have, every endpoint may be. */
function prefixOf(node: string): string {
  try {
    return workloadEndpointPrefix(node)
  } catch {
    return ''
  }
}

function textsOf(value: unknown, what: string): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw new ValidationError(`${what} is not a list of texts`)
}
