import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Ip } from '../net/ip.ts'

/** An interface of the host with its addresses. */
export interface HostInterface {
  readonly name: string
  readonly addresses: readonly Ip[]
}

/** Which host endpoint governs what. */
export interface HostEndpointPlan {
  /** By the name of the interface. */
  readonly byInterface: ReadonlyMap<string, HostEndpoint>
  /** The one for all interfaces without one of their own (`*`). */
  readonly wildcard: HostEndpoint | undefined
}

/** The name that means every interface without a host endpoint of its own. */
export const ANY_INTERFACE = '*'

/**
 * Finds the host endpoint of each interface: one that names it, or names none and expects one of its addresses; of several the one whose
 * name comes first. Interfaces of workloads have none.
 */
export function planHostEndpoints(
  endpoints: Iterable<HostEndpoint>,
  interfaces: readonly HostInterface[],
  isWorkload: (name: string) => boolean,
): HostEndpointPlan {
  const sorted = [...endpoints].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const byInterface = new Map<string, HostEndpoint>()
  // Before the kernel has the interface too: it is governed by its name as soon as it comes.
  for (const endpoint of sorted) {
    const { interfaceName: name = '' } = endpoint.spec
    if (name !== '' && name !== ANY_INTERFACE && !isWorkload(name) && !byInterface.has(name)) byInterface.set(name, endpoint)
  }
  for (const { name, addresses } of interfaces) {
    if (isWorkload(name)) continue
    const found = sorted.find(({ spec }) => governs(spec, name, addresses))
    if (found !== undefined) byInterface.set(name, found)
  }
  return { byInterface, wildcard: sorted.find(({ spec }) => spec.interfaceName === ANY_INTERFACE) }
}

function governs({ interfaceName, expectedIPs }: HostEndpoint['spec'], name: string, addresses: readonly Ip[]): boolean {
  if (interfaceName !== undefined && interfaceName !== '') return interfaceName === name
  return expectedIPs?.some((ip) => addresses.includes(ip)) === true
}
