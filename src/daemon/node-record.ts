import { isDeepStrictEqual } from 'node:util'
import type { Interface } from '../kernel/table.ts'
import type { Node } from '../model/node.ts'
import { API_VERSION } from '../model/resource.ts'
import { type InterfaceAddress, ipOf } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'

/** Names the labels that came from the configuration, so that one that is removed there is removed here, and no other. */
const LABELS_ANNOTATION = 'margay.io/configured-labels'

/** What this host's Node record is to say. */
export interface NodeFacts {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly address: { readonly [F in Family]?: InterfaceAddress | undefined }
  /** VXLAN tunnel addresses. */
  readonly tunnel: { readonly [F in Family]?: Ip | undefined }
  readonly interfaces: readonly Interface[]
}

/**
 * The Node record as it is to be: what is stored, with our own members set and everything else left alone (AS number,
 * route reflector, WireGuard, what others labelled). Undefined when the stored record already says so.
 */
export function nodeRecord(stored: Node | undefined, facts: NodeFacts): Node | undefined {
  const { bgp, ipv4VXLANTunnelAddr: _v4, ipv6VXLANTunnelAddr: _v6, interfaces: _links, ...spec } = stored?.spec ?? {}
  const { ipv4Address: _a4, ipv6Address: _a6, ...otherBgp } = bgp ?? {}
  const newBgp = compact({ ...otherBgp, ipv4Address: facts.address[4], ipv6Address: facts.address[6] })
  const wanted: Node = {
    apiVersion: API_VERSION,
    kind: 'Node',
    ...stored,
    metadata: { ...stored?.metadata, name: facts.name, ...labelled(stored, facts.labels) },
    spec: {
      ...spec,
      // Calico refuses a Node whose bgp object is empty.
      ...(Object.keys(newBgp).length === 0 ? {} : { bgp: newBgp }),
      ...compact({ ipv4VXLANTunnelAddr: facts.tunnel[4], ipv6VXLANTunnelAddr: facts.tunnel[6] }),
      ...hostInterfaces(facts.interfaces),
    },
  }
  return stored !== undefined && isDeepStrictEqual(stored, wanted) ? undefined : wanted
}

function labelled(stored: Node | undefined, labels: Readonly<Record<string, string>>): Partial<Node['metadata']> {
  const formerly = configuredLabels(stored)
  const kept = Object.entries(stored?.metadata.labels ?? {}).filter(([key]) => !formerly.includes(key))
  const all = { ...Object.fromEntries(kept), ...labels }
  const { [LABELS_ANNOTATION]: _was, ...annotations } = stored?.metadata.annotations ?? {}
  const keys = Object.keys(labels).sort()
  const marked = keys.length === 0 ? annotations : { ...annotations, [LABELS_ANNOTATION]: JSON.stringify(keys) }
  return {
    ...(Object.keys(all).length > 0 || stored?.metadata.labels ? { labels: all } : {}),
    ...(Object.keys(marked).length > 0 || stored?.metadata.annotations ? { annotations: marked } : {}),
  }
}

function configuredLabels(stored: Node | undefined): readonly string[] {
  try {
    const keys: unknown = JSON.parse(stored?.metadata.annotations?.[LABELS_ANNOTATION] ?? '[]')
    return Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : []
  } catch {
    // Somebody else wrote it: nothing is known to be ours.
    return []
  }
}

/** Every interface of the host itself with its addresses, as automatic host endpoints need them; never ours, never containers'. */
function hostInterfaces(interfaces: readonly Interface[]): Pick<Node['spec'], 'interfaces'> {
  const rows = interfaces
    .filter((link) => link.isUp && !link.isLoopback && !/^(margay\.|mgy|cali|veth|br-|docker)/.test(link.name))
    .map((link) => ({
      name: link.name,
      addresses: link.addresses.filter((entry) => entry.scope === 'global').map((entry) => ipOf(entry.address as InterfaceAddress)),
    }))
    .filter(({ addresses }) => addresses.length > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  return rows.length === 0 ? {} : { interfaces: rows }
}

function compact<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> }
}
