import { createHash } from 'node:crypto'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { KubeControllersConfiguration, KubeControllersConfigurationSpec } from '../model/kube-controllers-configuration.ts'
import { isSubdomain } from '../model/metadata.ts'
import type { Node } from '../model/node.ts'
import { DEFAULT_ALLOW_PROFILE } from '../model/profile.ts'
import { API_VERSION } from '../model/resource.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import { parseSelector } from '../model/selector-parse.ts'
import { cidrContains, ipOf, parseCidrLoosely } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { ANY_INTERFACE } from './host-endpoints.ts'

/** Says who made a host endpoint. Calico's controllers remove those that bear their own name, so ours is another. */
export const CREATED_BY = 'projectcalico.org/created-by'
export const CREATED_BY_MARGAY = 'margay'

type Settings = NonNullable<NonNullable<NonNullable<KubeControllersConfigurationSpec['controllers']>['node']>['hostEndpoint']>
type Template = NonNullable<Settings['templates']>[number]

/** Whether margay made it, and may change and remove it. */
export function isAutomatic(endpoint: HostEndpoint): boolean {
  return endpoint.metadata.labels?.[CREATED_BY] === CREATED_BY_MARGAY
}

/**
 * The host endpoints that a host makes for itself, from its Node as it stands in the store, named as Calico names them. By their profile they
 * change nothing until a policy selects them.
 */
export function planAutoHostEndpoints(node: Node, configuration: KubeControllersConfiguration | undefined): readonly HostEndpoint[] {
  const settings = configuration?.spec.controllers?.node?.hostEndpoint
  if (settings?.autoCreate !== 'Enabled') return []
  const addresses = addressesOf(node)
  const first =
    settings.createDefaultHostEndpoint === 'Disabled'
      ? []
      : [anEndpoint(node, [], { interfaceName: ANY_INTERFACE, expectedIPs: addresses })]
  const planned = [...first, ...(settings.templates ?? []).flatMap((template) => ofTemplate(node, template, addresses))]
  // Of two with one name the first stands.
  return [...new Map(planned.toReversed().map((one) => [one.metadata.name, one])).values()].toReversed()
}

/** What must be written so that a host's own host endpoints are those that it wants. */
export interface AutoChanges {
  readonly create: readonly HostEndpoint[]
  /** Each with the resourceVersion of the one that it replaces. */
  readonly update: readonly HostEndpoint[]
  readonly remove: readonly HostEndpoint[]
  /** Names that somebody else's host endpoints have: those are left alone. */
  readonly taken: readonly string[]
}

export function autoChanges(node: string, wanted: readonly HostEndpoint[], existing: ReadonlyMap<string, HostEndpoint>): AutoChanges {
  const names = new Set(wanted.map(({ metadata }) => metadata.name))
  const known = wanted.map((one) => ({ one, before: existing.get(one.metadata.name) }))
  return {
    create: known.flatMap(({ one, before }) => (before === undefined ? [one] : [])),
    update: known.flatMap(({ one, before }) =>
      before !== undefined && isAutomatic(before) && !isSame(one, before) ? [inPlaceOf(before, one)] : [],
    ),
    remove: [...existing.values()].filter((one) => isAutomatic(one) && one.spec.node === node && !names.has(one.metadata.name)),
    taken: known.flatMap(({ one, before }) => (before !== undefined && !isAutomatic(before) ? [one.metadata.name] : [])),
  }
}

/** Those of hosts that are gone. */
export function orphans(existing: Iterable<HostEndpoint>, nodes: ReadonlyMap<string, unknown>): readonly HostEndpoint[] {
  return [...existing].filter((one) => isAutomatic(one) && !nodes.has(one.spec.node ?? ''))
}

/** Only what we say of it is another: its identity and its revision stay. */
function inPlaceOf({ metadata: { annotations: _, ...metadata } }: HostEndpoint, one: HostEndpoint): HostEndpoint {
  return { ...one, metadata: { ...metadata, ...one.metadata } }
}

function isSame(one: HostEndpoint, before: HostEndpoint): boolean {
  const sorted = (texts: object = {}) => Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1))
  const facts = ({ metadata, spec }: HostEndpoint) => JSON.stringify([metadata.labels, metadata.annotations, spec].map(sorted))
  return facts(one) === facts(before)
}

/** With a pattern one for each interface that it matches, else one for the addresses in the template's prefixes. */
function ofTemplate(node: Node, template: Template, addresses: readonly Ip[]): readonly HostEndpoint[] {
  const { generateName = '', interfacePattern, nodeSelector } = template
  if (nodeSelector !== undefined && nodeSelector !== '' && !matchesSelector(parseSelector(nodeSelector), lookupIn(node.metadata.labels)))
    return []
  const cidrs = (template.interfaceCIDRs ?? []).map((cidr) => parseCidrLoosely(cidr))
  const inPrefixes = addresses.filter((ip) => cidrs.some((cidr) => cidrContains(cidr, ip)))
  if (interfacePattern === undefined || interfacePattern === '') {
    return inPrefixes.length === 0 ? [] : [anEndpoint(node, [generateName], { expectedIPs: inPrefixes }, template)]
  }
  const pattern = toPattern(interfacePattern)
  return (node.spec.interfaces ?? []).flatMap(({ name = '', addresses: own = [] }) =>
    pattern.test(name)
      ? [anEndpoint(node, [generateName, name], { interfaceName: name, expectedIPs: unique([...inPrefixes, ...own]) }, template)]
      : [],
  )
}

/** Flags at the start are written as Go has them. */
function toPattern(text: string): RegExp {
  const [head = '', flags = ''] = /^\(\?([ims]+)\)/.exec(text) ?? []
  return new RegExp(text.slice(head.length), flags)
}

function anEndpoint(
  node: Node,
  parts: readonly string[],
  spec: { readonly interfaceName?: string; readonly expectedIPs: readonly Ip[] },
  template: Pick<Template, 'labels' | 'annotations'> = {},
): HostEndpoint {
  const { name } = node.metadata
  const { interfaceName, expectedIPs } = spec
  return {
    apiVersion: API_VERSION,
    kind: 'HostEndpoint',
    metadata: {
      name: nameOf([name, ...parts.filter((part) => part !== '')]),
      labels: { ...node.metadata.labels, ...template.labels, [CREATED_BY]: CREATED_BY_MARGAY },
      ...(template.annotations === undefined ? {} : { annotations: template.annotations }),
    },
    spec: {
      node: name,
      ...(interfaceName === undefined ? {} : { interfaceName }),
      ...(expectedIPs.length === 0 ? {} : { expectedIPs }),
      profiles: [DEFAULT_ALLOW_PROFILE],
    },
  }
}

const SUFFIX = 'auto-hep'

/** What is too long, or has an interface's name in it that can't be part of a name, is called by its hash. */
function nameOf(parts: readonly string[]): string {
  const name = [...parts, SUFFIX].join('-')
  return isSubdomain(name) ? name : `${createHash('sha256').update(name).digest('hex')}-${SUFFIX}`
}

/** All addresses that the Node says of its host: for other hosts, of its tunnels, and of its interfaces. */
function addressesOf({ spec }: Node): readonly Ip[] {
  const { bgp, wireguard } = spec
  const own = [bgp?.ipv4Address, bgp?.ipv6Address].map((address) => address && ipOf(address))
  const tunnels = [
    bgp?.ipv4IPIPTunnelAddr,
    spec.ipv4VXLANTunnelAddr,
    spec.ipv6VXLANTunnelAddr,
    wireguard?.interfaceIPv4Address,
    wireguard?.interfaceIPv6Address,
  ]
  const internal = (spec.addresses ?? []).flatMap(({ address, type }) => (type === 'InternalIP' ? [ipOf(address)] : []))
  const ofInterfaces = (spec.interfaces ?? []).flatMap(({ addresses = [] }) => addresses)
  return unique([...own, ...tunnels, ...internal, ...ofInterfaces].flatMap((ip) => (ip === undefined ? [] : [ip as Ip])))
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)]
}
