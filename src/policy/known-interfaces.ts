import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Node } from '../model/node.ts'
import type { Ip } from '../net/ip.ts'
import { ANY_INTERFACE, type HostInterface } from './host-endpoints.ts'

/** What of a host's interfaces follows from the store, for whoever can't look at the host. */
export interface KnownInterfaces {
  readonly interfaces: readonly HostInterface[]
  /** The interface that carries the host's address for other hosts. */
  readonly uplink: string
  /** What was taken for granted about the uplink, in words. */
  readonly assumption: string | undefined
}

/** What is known of one host. */
export interface InterfaceSource {
  readonly node: string
  readonly record: Node | undefined
  /** Its addresses for other hosts. */
  readonly underlay: readonly Ip[]
  /** Its host endpoints. */
  readonly endpoints: readonly HostEndpoint[]
}

/** Stands for the uplink where nothing tells its name. */
export const NAMELESS_UPLINK = '(uplink)'

/**
 * The interfaces of a host as its Node (Calico 3.31's spec.interfaces) and its host endpoints name them. The store does not say which is
 * the uplink unless an address tells: then the only interface that a host endpoint names is taken for it.
 */
export function knownInterfaces(source: InterfaceSource): KnownInterfaces {
  const byName = new Map<string, Set<Ip>>()
  const add = (name: string, addresses: readonly Ip[]) => byName.set(name, new Set([...(byName.get(name) ?? []), ...addresses]))
  for (const { name, addresses = [] } of source.record?.spec.interfaces ?? []) if (name !== undefined) add(name, addresses)
  for (const { spec } of source.endpoints) if (isNamed(spec.interfaceName)) add(spec.interfaceName, spec.expectedIPs ?? [])
  const { uplink, assumption } = findUplink(source, byName)
  add(uplink, source.underlay)
  for (const { metadata, spec } of source.endpoints) {
    if ((spec.interfaceName ?? '') !== '') continue
    const others = (spec.expectedIPs ?? []).filter((ip) => ![...byName.values()].some((addresses) => addresses.has(ip)))
    if (others.length > 0) add(`(interface of ${metadata.name})`, others)
  }
  return { interfaces: [...byName].map(([name, addresses]) => ({ name, addresses: [...addresses] })), uplink, assumption }
}

function isNamed(name: string | undefined): name is string {
  return name !== undefined && name !== '' && name !== ANY_INTERFACE
}

function findUplink({ node, underlay }: InterfaceSource, known: ReadonlyMap<string, ReadonlySet<Ip>>) {
  const told = [...known].find(([, addresses]) => underlay.some((ip) => addresses.has(ip)))
  if (told !== undefined) return { uplink: told[0], assumption: undefined }
  // One whose addresses are known and are others can't be it.
  const names = [...known].filter(([name, addresses]) => name !== 'lo' && addresses.size === 0).map(([name]) => name)
  const [only] = names
  if (only === undefined) return { uplink: NAMELESS_UPLINK, assumption: undefined }
  const address = `the interface of ${node}'s address ${underlay.join(', ') || '(none known)'} is not in the store`
  if (names.length === 1) return { uplink: only, assumption: `${address}: taken to be ${only}, which a host endpoint names` }
  return {
    uplink: NAMELESS_UPLINK,
    assumption: `${address}, and may be any of ${names.join(', ')}: their host endpoints are not asked; expectedIPs in them would tell`,
  }
}
