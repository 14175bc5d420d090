import type { HostEndpoint } from '../../src/model/host-endpoint.ts'
import type { GlobalNetworkPolicy, NetworkPolicy } from '../../src/model/network-policy.ts'
import type { GlobalNetworkSet, NetworkSet } from '../../src/model/network-set.ts'
import type { Profile } from '../../src/model/profile.ts'
import type { Resource } from '../../src/model/resource.ts'
import type { StagedGlobalNetworkPolicy, StagedNetworkPolicy } from '../../src/model/staged-policy.ts'
import type { Tier } from '../../src/model/tier.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { familyOf, parseIp } from '../../src/net/ip.ts'
import { PROTOCOL_NUMBERS } from '../../src/net/port.ts'
import type { SentPacket } from './raw-packets.ts'

/** Builders of what policies are made of: valid defaults, so that a test names only what matters to it. */

export function aGlobalPolicy(name: string, spec: GlobalNetworkPolicy['spec'] = {}): GlobalNetworkPolicy {
  return resource('GlobalNetworkPolicy', name, spec)
}

export function aPolicy(id: string, spec: NetworkPolicy['spec'] = {}): NetworkPolicy {
  return namespaced('NetworkPolicy', id, spec)
}

export function aStagedGlobalPolicy(name: string, spec: StagedGlobalNetworkPolicy['spec'] = {}): StagedGlobalNetworkPolicy {
  return resource('StagedGlobalNetworkPolicy', name, spec)
}

export function aStagedPolicy(id: string, spec: StagedNetworkPolicy['spec'] = {}): StagedNetworkPolicy {
  return namespaced('StagedNetworkPolicy', id, spec)
}

export function aTier(name: string, spec: Tier['spec'] = {}): Tier {
  return resource('Tier', name, spec)
}

export function aProfile(name: string, spec: Profile['spec'] = {}): Profile {
  return resource('Profile', name, spec)
}

export function aHostEndpoint(name: string, spec: HostEndpoint['spec'], labels: Readonly<Record<string, string>> = {}): HostEndpoint {
  return withLabels(resource('HostEndpoint', name, { node: 'h1', ...spec }), labels)
}

export function aGlobalNetworkSet(name: string, labels: Readonly<Record<string, string>>, ...nets: readonly string[]): GlobalNetworkSet {
  return withLabels(resource('GlobalNetworkSet', name, { nets }), labels)
}

export function aNetworkSet(id: string, labels: Readonly<Record<string, string>>, ...nets: readonly string[]): NetworkSet {
  return withLabels(namespaced('NetworkSet', id, { nets }), labels)
}

/** Resources by their names (with their namespaces, where they have some), as a view has them. */
export function byId<T extends Resource<string, unknown>>(resources: readonly T[]): ReadonlyMap<string, T> {
  return new Map(
    resources.map((one) => [
      one.metadata.namespace === undefined ? one.metadata.name : `${one.metadata.namespace}/${one.metadata.name}`,
      one,
    ]),
  )
}

export function nets(...list: readonly string[]) {
  return list.map(parseCidr)
}

/**
 * A packet from its text: `tcp 10.65.0.2:40000 > 10.65.0.3:80`, `icmp 10.65.0.2 > 10.65.0.3 8/0`, `47 10.65.0.2 > 10.65.0.3`;
 * addresses of IPv6 with a port in brackets; ` via ADDRESS` at the end for a routing header.
 */
export function aPacket(text: string): SentPacket {
  const [told = '', via] = text.split(' via ')
  const [protocolText = '', from = '', , to = '', icmpText] = told.split(' ')
  const [source, destination] = [from, to].map((end) => {
    const match = /^\[(.+)\]:(\d+)$/.exec(end) ?? /^([^:]+):(\d+)$/.exec(end)
    const address = parseIp(match?.[1] ?? end)
    return match?.[2] === undefined ? { address } : { address, port: Number(match[2]) }
  })
  if (source === undefined || destination === undefined) throw new Error(`not a packet: ${text}`)
  const [type, code] = icmpText?.split('/').map(Number) ?? []
  return {
    family: familyOf(source.address),
    protocol: PROTOCOLS[protocolText] ?? Number(protocolText),
    source,
    destination,
    ...(type === undefined ? {} : { icmp: { type, code: code ?? 0 } }),
    ...(via === undefined ? {} : { via: parseIp(via) }),
  }
}

const PROTOCOLS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(PROTOCOL_NUMBERS).map(([name, number]) => [name.toLowerCase(), number]),
)

function resource<K extends string, S>(kind: K, name: string, spec: S) {
  return { apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec } as const
}

function namespaced<K extends string, S>(kind: K, id: string, spec: S) {
  const [namespace = '', name = ''] = id.split('/')
  return { apiVersion: 'projectcalico.org/v3', kind, metadata: { name, namespace }, spec } as const
}

function withLabels<T extends { readonly metadata: object }>(given: T, labels: Readonly<Record<string, string>>): T {
  return { ...given, metadata: { ...given.metadata, labels } }
}
