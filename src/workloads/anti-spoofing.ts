import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { type Cidr, hostCidr, ipOf, parseCidrLoosely } from '../net/cidr.ts'
import { type Family, familyOf } from '../net/ip.ts'
import { workloadAddresses } from './addresses.ts'

/** From which sources a workload may send: its own addresses, and what its record allows beside them. */
export interface AllowedSources {
  readonly link: string
  readonly own: readonly Cidr[]
  readonly spoofed: readonly Cidr[]
}

/** The sources of one family that packets from the endpoint's interface may have; everything else is forged. */
export function allowedSources(endpoint: WorkloadEndpoint, family: Family): AllowedSources {
  const { interfaceName = '', allowSpoofedSourcePrefixes = [] } = endpoint.spec
  return {
    link: interfaceName,
    own: workloadAddresses(endpoint)
      .filter((ip) => familyOf(ip) === family)
      .map(hostCidr),
    spoofed: allowSpoofedSourcePrefixes.filter((prefix) => familyOf(ipOf(prefix)) === family).map((prefix) => parseCidrLoosely(prefix)),
  }
}

/** Why the record's spoofing may not be granted: the whole endpoint is then invalid, as with Calico. Undefined when all is well. */
export function spoofingProblem(
  endpoint: WorkloadEndpoint,
  felix: Pick<FelixConfigurationSpec, 'workloadSourceSpoofing'>,
): string | undefined {
  if ((endpoint.spec.allowSpoofedSourcePrefixes ?? []).length === 0 || felix.workloadSourceSpoofing === 'Any') return undefined
  return 'it has allowSpoofedSourcePrefixes, and FelixConfiguration workloadSourceSpoofing is not "Any"'
}
