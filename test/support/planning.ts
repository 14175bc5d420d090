import type { Facts } from '../../src/daemon/facts.ts'
import { createContext, type PlanContext } from '../../src/daemon/plan-context.ts'
import type { Local, Peer, Underlay } from '../../src/encap/driver.ts'
import { driverFor } from '../../src/encap/drivers.ts'
import type { FelixConfiguration, FelixConfigurationSpec } from '../../src/model/felix-configuration.ts'
import type { IPPool, IPPoolSpec } from '../../src/model/ip-pool.ts'
import type { Block } from '../../src/model/ipam-block.ts'
import type { ModelKind, ModelTypes } from '../../src/model/kinds.ts'
import type { Node } from '../../src/model/node.ts'
import type { LiveRecord, Receive } from '../../src/model/own/live.ts'
import type { WorkloadEndpoint, WorkloadEndpointSpec } from '../../src/model/workload-endpoint.ts'
import { type Cidr, parseCidr, parseInterfaceAddress, rangeOf, sizeOf } from '../../src/net/cidr.ts'
import { type Family, familyOf, type Ip, ipToNumber, parseIp } from '../../src/net/ip.ts'
import { parseMac } from '../../src/net/mac.ts'
import type { Unreadable, View } from '../../src/store/view.ts'

/** Builders of what planners read: valid defaults, so that a test names only what matters to it. */

export const MAC1 = parseMac('66:00:00:00:00:01')
export const MAC2 = parseMac('66:00:00:00:00:02')

export function anUnderlay(ip = '192.0.2.1', subnet = '192.0.2.0/24', over: Partial<Underlay> = {}): Underlay {
  return { ip: parseIp(ip), subnet: parseCidr(subnet), uplink: 'eth0', mtuBytes: 1500, ...over }
}

/** Host h1, 192.0.2.1/24 and 2001:db8::1/64 on eth0, with VTEPs of both families. */
export function aLocal(over: Partial<Local> = {}): Local {
  return {
    node: 'h1',
    underlay: { 4: anUnderlay(), 6: anUnderlay('2001:db8::1', '2001:db8::/64') },
    vtep: { 4: { ip: parseIp('10.65.0.0'), mac: MAC1 }, 6: { ip: parseIp('fd65::'), mac: MAC1 } },
    vxlan: { vni: 4096, port: 4789 },
    ...over,
  }
}

/** Host h2 on the same subnets as `aLocal`, with VTEPs of both families. */
export function aPeer(over: Partial<Peer> = {}): Peer {
  return {
    node: 'h2',
    underlay: { 4: parseIp('192.0.2.2'), 6: parseIp('2001:db8::2') },
    vtep: { 4: { ip: parseIp('10.65.1.0'), mac: MAC2 }, 6: { ip: parseIp('fd65::1:0'), mac: MAC2 } },
    ...over,
  }
}

export function aPool(cidr: string, spec: Partial<IPPoolSpec> = {}): IPPool {
  return resource('IPPool', cidr.replace(/[./:]+/g, '-'), { cidr: parseCidr(cidr), vxlanMode: 'Always', ...spec })
}

/** A pool's family with its driver. */
export function aPoolDriver(cidr: string, spec: Partial<IPPoolSpec> = {}) {
  return { family: cidr.includes(':') ? 6 : 4, driver: driverFor(aPool(cidr, spec)) } as const
}

/** A host with an address and a tunnel address of each family that is given. */
export function aNode(
  name: string,
  given: { v4?: string; v6?: string; tunnel4?: string; tunnel6?: string; mac4?: string; labels?: Record<string, string> },
): Node {
  const bgp = {
    ...(given.v4 === undefined ? {} : { ipv4Address: parseInterfaceAddress(given.v4) }),
    ...(given.v6 === undefined ? {} : { ipv6Address: parseInterfaceAddress(given.v6) }),
  }
  const node = resource('Node', name, {
    ...(Object.keys(bgp).length === 0 ? {} : { bgp }),
    ...(given.tunnel4 === undefined ? {} : { ipv4VXLANTunnelAddr: parseIp(given.tunnel4) }),
    ...(given.tunnel6 === undefined ? {} : { ipv6VXLANTunnelAddr: parseIp(given.tunnel6) }),
    ...(given.mac4 === undefined ? {} : { vxlanTunnelMACAddr: parseMac(given.mac4) }),
  })
  return given.labels === undefined ? node : { ...node, metadata: { ...node.metadata, labels: given.labels } }
}

/** A block of a host; `taken` says which of its addresses are on which node. */
export function aBlock(cidr: string, owner: string | undefined, taken: Readonly<Record<string, string>> = {}): Block {
  const size = Number(sizeOf(parseCidr(cidr)))
  const allocations = new Array<number | undefined>(size).fill(undefined)
  const attributes = Object.entries(taken).map(([ip, node], index) => {
    allocations[Number(ipToNumber(parseIp(ip)) - rangeOf(parseCidr(cidr)).first)] = index
    return { handleId: `margay.default.${ip}`, secondary: { node } }
  })
  return {
    cidr: parseCidr(cidr),
    affinity: owner === undefined ? undefined : `host:${owner}`,
    allocations,
    unallocated: allocations.flatMap((index, ordinal) => (index === undefined ? [ordinal] : [])),
    attributes,
    sequenceNumber: 1n,
    sequenceNumberForAllocation: new Map(),
    deleted: false,
  }
}

export function anEndpoint(name: string, node: string, ips: readonly string[], spec: Partial<WorkloadEndpointSpec> = {}): WorkloadEndpoint {
  const endpoint = resource('WorkloadEndpoint', name, {
    orchestrator: 'margay',
    workload: name,
    endpoint: 'eth0',
    node,
    ipNetworks: ips.map((ip) => parseInterfaceAddress(ip)),
    interfaceName: `mgy${name}`,
    ...spec,
  })
  return { ...endpoint, metadata: { ...endpoint.metadata, namespace: 'default' } }
}

export function aFelix(name: string, spec: FelixConfigurationSpec): FelixConfiguration {
  return resource('FelixConfiguration', name, spec)
}

export function aLive(node: string, receives: Readonly<Record<string, readonly Receive[]>> = {}): LiveRecord {
  return {
    node,
    instance: node,
    version: '0',
    startedAt: '2026-01-01T00:00:00Z',
    addresses: [],
    receives: receives as Readonly<Record<Cidr, readonly Receive[]>>,
  }
}

/** The facts of `aLocal`'s host: h1 with one uplink and both families. */
export function someFacts(over: Partial<Facts> = {}): Facts {
  return {
    node: 'h1',
    isNetworkingEnabled: true,
    underlay: aLocal().underlay,
    hostForwardedBefore: false,
    capabilities: { hasIpv6: true },
    netns: new Map(),
    interfaces: [],
    advertisedLinks: [],
    filteredUplinks: [],
    timedOut: new Set(),
    isSettling: false,
    ...over,
  }
}

/** A view that tests change by hand, as the follower does between passes. */
export class TestView implements View {
  revision = 1
  readonly unreadable = new Map<string, Unreadable>()
  readonly #maps = new Map<ModelKind, Map<string, unknown>>()

  get<K extends ModelKind>(kind: K): ReadonlyMap<string, ModelTypes[K]> {
    return this.#map(kind) as ReadonlyMap<string, ModelTypes[K]>
  }

  /** Puts a value; undefined removes it. */
  set<K extends ModelKind>(kind: K, id: string, value: ModelTypes[K] | undefined): this {
    if (value === undefined) this.#map(kind).delete(id)
    else this.#map(kind).set(id, value)
    this.revision++
    return this
  }

  pool(pool: IPPool): this {
    return this.set('IPPool', pool.metadata.name, pool)
  }

  node(node: Node): this {
    return this.set('Node', node.metadata.name, node)
  }

  block(block: Block): this {
    return this.set('IPAMBlock', block.cidr, block)
  }

  endpoint(endpoint: WorkloadEndpoint): this {
    return this.set('WorkloadEndpoint', `default/${endpoint.metadata.name}`, endpoint)
  }

  live(record: LiveRecord): this {
    return this.set('Live', record.node, record)
  }

  context(facts: Partial<Facts> = {}): PlanContext {
    return createContext(this, someFacts(facts))
  }

  #map(kind: ModelKind): Map<string, unknown> {
    const known = this.#maps.get(kind)
    if (known !== undefined) return known
    const fresh = new Map<string, unknown>()
    this.#maps.set(kind, fresh)
    return fresh
  }
}

/**
 * Three hosts: h1 (us) and h2 on one subnet, h3 behind a router; one pool of each family, a block of each family for each host.
 */
export function threeHosts(v4: Partial<IPPoolSpec> = {}, v6: Partial<IPPoolSpec> = v4): TestView {
  const view = new TestView().pool(aPool('10.65.0.0/16', v4)).pool(aPool('fd65::/64', v6))
  const subnets = ['192.0.2', '192.0.2', '198.51.100']
  const subnets6 = ['2001:db8:', '2001:db8:', '2001:db8:0:2:']
  for (const n of [1, 2, 3]) {
    const [v4, v6] = [`${subnets[n - 1]}.${n}/24`, `${subnets6[n - 1]}:${n}/64`]
    view.node(aNode(`h${n}`, { v4, v6, tunnel4: `10.65.${n}.0`, tunnel6: `fd65::${n}:0` }))
    view.block(aBlock(`10.65.${n}.0/26`, `h${n}`, { [`10.65.${n}.0`]: `h${n}` }))
    view.block(aBlock(`fd65::${n}:0/122`, `h${n}`, { [`fd65::${n}:0`]: `h${n}` }))
  }
  return view
}

function resource<Kind extends string, Spec>(kind: Kind, name: string, spec: Spec) {
  return { apiVersion: 'projectcalico.org/v3' as const, kind, metadata: { name }, spec }
}

/** Addresses as sets by family, as planners take them. */
export function byFamily(ips: Iterable<Ip>): Readonly<Record<Family, ReadonlySet<Ip>>> {
  const sets = { 4: new Set<Ip>(), 6: new Set<Ip>() }
  for (const ip of ips) sets[familyOf(ip)].add(ip)
  return sets
}
