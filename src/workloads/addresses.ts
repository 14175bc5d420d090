import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { type InterfaceAddress, ipOf, lengthOf } from '../net/cidr.ts'
import { addressBits, type Family, familyOf, type Ip } from '../net/ip.ts'

/** The default gateway of every workload, by family: link-local, the same on each host, so that a workload can move. */
export const GATEWAYS: Readonly<Record<Family, Ip>> = { 4: '169.254.1.1' as Ip, 6: 'fe80::1' as Ip }

/**
 * The IPv6 gateway's address on the host's end. A /64, not a /128: without the subnet the host would have no route on this link
 * back to the link-local address from which a workload asks for its gateway.
 */
export const HOST_SIDE_V6 = 'fe80::1/64' as InterfaceAddress

/** A workload's own addresses, in the order of its record. */
export function workloadAddresses(endpoint: WorkloadEndpoint): readonly Ip[] {
  return (endpoint.spec.ipNetworks ?? []).map(ipOf)
}

/** The families in which a workload has an address, IPv4 first. */
export function familiesOf(addresses: readonly Ip[]): readonly Family[] {
  return ([4, 6] as const).filter((family) => addresses.some((ip) => familyOf(ip) === family))
}

/** What is wrong with the addresses of an endpoint's record; undefined when all is well. */
export function addressProblem(endpoint: WorkloadEndpoint): string | undefined {
  const { ipNetworks = [] } = endpoint.spec
  if (ipNetworks.length === 0) return 'it has no address (spec.ipNetworks is empty)'
  const wide = ipNetworks.find((address) => lengthOf(address) !== addressBits(familyOf(address)))
  if (wide !== undefined) return `spec.ipNetworks has ${wide}, and an endpoint's addresses are /32 or /128`
  const twice = ipNetworks.find((address, index) => ipNetworks.indexOf(address) !== index)
  return twice === undefined ? undefined : `spec.ipNetworks has ${twice} twice`
}
