import type { Local, Peer, Reach, Unreachable } from '../encap/driver.ts'
import { driverFor } from '../encap/drivers.ts'
import { workloadMtu } from '../encap/mtu.ts'
import { peerOf, underlayOf, vtepOf } from '../encap/peer.ts'
import { hasTunnel } from '../encap/plan.ts'
import { VtepIndex } from '../encap/vtep-index.ts'
import { VXLAN_DEFAULTS, vxlan } from '../encap/vxlan.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { blockSizeOf, type IPPool } from '../model/ip-pool.ts'
import type { Block } from '../model/ipam-block.ts'
import type { Node } from '../model/node.ts'
import type { LiveRecord } from '../model/own/live.ts'
import { type Cidr, cidrContains, hostCidr, subnetOf } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import { blockOf, blockRoutes } from './blocks.ts'
import { routeOwner } from './owner.ts'
import { pathTo } from './switch.ts'

/** What decides about routes, as the store has it. */
export interface RouteSource {
  readonly nodes: ReadonlyMap<string, Node>
  /** By name. */
  readonly pools: ReadonlyMap<string, IPPool>
  /** By CIDR. */
  readonly blocks: ReadonlyMap<string, Block>
  readonly live: ReadonlyMap<string, LiveRecord>
}

/** Where a packet is sent from, and where to. */
export interface RouteQuestion {
  readonly node: string
  /** The settings of that node. */
  readonly felix: FelixConfigurationSpec
  /** The interface with its address for other hosts. */
  readonly uplink: string
  readonly destination: Ip
}

/** The way that a packet takes from a host, and why. */
export interface ExplainedRoute {
  readonly from: string
  /** The host that it leads to; absent where the network does not say. */
  readonly to?: string
  /**
   * `local`: to a workload of the same host. `host-routes`: by the host's own routes, outside of all pools. `none`: nowhere.
   */
  readonly via: 'local' | 'direct' | 'vxlan' | 'host-routes' | 'none'
  readonly pool?: { readonly name: string; readonly cidr: Cidr; readonly encapsulation: string }
  readonly block?: Cidr
  readonly link?: string
  readonly nextHop?: Ip
  /** The outer addresses of a tunnel. */
  readonly tunnel?: { readonly from: Ip; readonly to: Ip; readonly port: number }
  /** The biggest packet that goes this way; uplinks are taken to carry 1500. Bytes. */
  readonly mtuBytes?: number
  readonly because: string
}

/** The store does not say what uplinks carry: Ethernet's. Bytes. */
export const ASSUMED_UPLINK_MTU = 1500

/** The route of a packet from a host, made of the same parts as the host's own. */
export function explainRoute(source: RouteSource, question: RouteQuestion): ExplainedRoute {
  const { node, destination } = question
  const family = familyOf(destination)
  const tunnelHost = [...source.nodes.values()].find((each) => vtepOf(each, family)?.ip === destination)
  const pool = poolOf(source.pools, destination)
  const found = pool && findHolder(source, pool, destination)
  const holder = found?.holder ?? tunnelHost?.metadata.name
  const facts = { from: node, ...(pool && { pool: describePool(pool) }), ...(found?.block && { block: found.block }) }
  if (pool === undefined && tunnelHost === undefined) {
    return {
      ...facts,
      via: 'host-routes',
      link: question.uplink,
      because: `${destination} is in no pool: the routes of the host itself lead there`,
    }
  }
  if (holder === undefined) return { ...facts, via: 'none', because: found?.problem ?? `no host has ${destination}` }
  if (holder === node) return { ...facts, to: node, via: 'local', because: `${destination} is on ${node} itself` }
  return { ...facts, to: holder, ...throughPeer(source, question, { pool, holder, family }) }
}

/** The address that a packet gets when it leaves a pool with natOutgoing (Calico's `natOutgoing`); undefined: it keeps its own. */
export function natAddress(source: RouteSource, question: RouteQuestion & { readonly from: Ip }): Ip | undefined {
  const { node, felix, destination, from } = question
  const record = source.nodes.get(node)
  if (record === undefined || poolOf(source.pools, from)?.spec.natOutgoing !== true) return undefined
  if (poolOf(source.pools, destination) !== undefined) return undefined
  const family = familyOf(from)
  const isHost = [...source.nodes.values()].some((each) => underlayOf(each, family) === destination)
  if (isHost && felix.natOutgoingExclusions === 'IPPoolsAndHostIPs') return undefined
  const filter = felix.iptablesNATOutgoingInterfaceFilter
  if (filter && !fits(filter, question.uplink)) return undefined
  return (family === 4 ? felix.natOutgoingAddress : undefined) ?? underlayOf(record, family)
}

/** The MTU of workloads of a family on a host; uplinks are taken to carry 1500. Bytes. */
export function workloadMtuOf(source: RouteSource, { node, felix, uplink }: Omit<RouteQuestion, 'destination'>, family: Family): number {
  const local = localOf(source, node, felix, uplink)
  return workloadMtu(local, poolDrivers(source), family)
}

function throughPeer(
  source: RouteSource,
  { node, felix, uplink }: RouteQuestion,
  { pool, holder, family }: { readonly pool: IPPool | undefined; readonly holder: string; readonly family: Family },
): Omit<ExplainedRoute, 'from'> {
  const owner = pool && routeOwner(pool, felix)
  if (owner?.problem !== undefined) return { via: 'none', because: owner.problem }
  const peer = peerIn(source, holder, node)
  if (peer === undefined) return { via: 'none', because: `there is no Node ${holder}` }
  const local = localOf(source, node, felix, uplink)
  const live = source.live.get(holder)
  const driver = pool === undefined ? vxlan : driverFor(pool)
  const isStanding = (way: 'direct' | 'vxlan') =>
    way === 'direct' || hasTunnel({ local, pools: poolDrivers(source), isSettling: false }, family)
  const known = { peerReceives: pool && live?.receives[pool.spec.cidr], isPeerAlive: live !== undefined, hasTimedOut: false, isStanding }
  const { reach, waitsFor } = pathTo({ local, peer, family, driver, ...known })
  if (reach.via === 'none') return { via: 'none', because: `${holder} can't be reached: ${reach.reason}` }
  const waits = waitsFor === undefined ? '' : `; waits until ${holder} says that it receives ${waitsFor}`
  return { ...describeReach(reach, local, peer, family), because: `${whyThisWay(reach, pool, local, peer, family)}${waits}` }
}

function describeReach(reach: Reach, local: Local, peer: Peer, family: Family): Omit<ExplainedRoute, 'from' | 'because'> {
  const { via, link, nextHop, mtuBytes } = reach
  const [from, to] = [local.underlay[family]?.ip, peer.underlay[family]]
  const tunnel = via === 'vxlan' && from !== undefined && to !== undefined ? { tunnel: { from, to, port: local.vxlan.port } } : {}
  return { via, link, nextHop, mtuBytes, ...tunnel }
}

/** Where the pool leaves a choice, what decided it. */
function whyThisWay(reach: Reach | Unreachable, pool: IPPool | undefined, local: Local, peer: Peer, family: Family): string {
  const { vxlanMode = 'Never' } = pool?.spec ?? {}
  if (pool === undefined) return `the tunnel address of ${peer.node}`
  const name = `pool ${pool.metadata.name}`
  if (vxlanMode === 'Never') return `${name} has no encapsulation`
  if (vxlanMode === 'Always') return `${name} has vxlanMode Always`
  const subnet = local.underlay[family]?.subnet
  const where = reach.via === 'direct' ? 'is on' : 'is not on'
  return `${name} has vxlanMode CrossSubnet, and ${peer.underlay[family]} ${where} the subnet ${subnet} of ${local.node}`
}

/** Who has an address of a pool, or why nobody does. */
interface Holder {
  readonly block: Cidr
  readonly holder?: string
  readonly problem?: string
}

function findHolder({ blocks }: RouteSource, pool: IPPool, destination: Ip): Holder {
  const block = blockOf(destination, blockSizeOf(pool))
  const stored = blocks.get(block)
  if (stored === undefined || stored.deleted) return { block, problem: `no host has the block ${block} of ${destination}` }
  const { owner, borrowed } = blockRoutes(stored)
  const holder = borrowed.get(destination) ?? owner
  return { block, ...(holder === undefined ? { problem: `the block ${block} belongs to no host` } : { holder }) }
}

function peerIn(source: RouteSource, name: string, own: string): Peer | undefined {
  const record = source.nodes.get(name)
  if (record === undefined) return undefined
  const index = new VtepIndex()
  for (const [each, node] of source.nodes) index.set(each, peerOf(node))
  const [v4, v6] = FAMILIES.map((family) => index.conflictOf(name, family, own))
  return { ...peerOf(record), conflict: { 4: v4, 6: v6 } }
}

function localOf({ nodes }: RouteSource, node: string, felix: FelixConfigurationSpec, uplink: string): Local {
  const record = nodes.get(node)
  const byFamily = <T>(find: (node: Node, family: Family) => T | undefined): { readonly 4?: T; readonly 6?: T } => {
    const [v4, v6] = FAMILIES.map((family) => (record === undefined ? undefined : find(record, family)))
    return { ...(v4 === undefined ? {} : { 4: v4 }), ...(v6 === undefined ? {} : { 6: v6 }) }
  }
  return {
    node,
    underlay: byFamily((known, family) => {
      const [ip, stated] = [underlayOf(known, family), family === 4 ? known.spec.bgp?.ipv4Address : known.spec.bgp?.ipv6Address]
      return ip && { ip, subnet: stated === undefined ? hostCidr(ip) : subnetOf(stated), uplink, mtuBytes: ASSUMED_UPLINK_MTU }
    }),
    vtep: byFamily(vtepOf),
    vxlan: {
      vni: felix.vxlanVNI ?? VXLAN_DEFAULTS.vni,
      port: felix.vxlanPort ?? VXLAN_DEFAULTS.port,
      mtuBytes: { 4: felix.vxlanMTU || undefined, 6: felix.vxlanMTUV6 || undefined },
    },
  }
}

function poolDrivers({ pools }: RouteSource) {
  return [...pools.values()].map((pool) => ({ family: familyOf(pool.spec.cidr), driver: driverFor(pool) }))
}

function poolOf(pools: ReadonlyMap<string, IPPool>, ip: Ip): IPPool | undefined {
  return [...pools.values()].find(({ spec }) => familyOf(spec.cidr) === familyOf(ip) && cidrContains(spec.cidr, ip))
}

function describePool({ metadata, spec }: IPPool): NonNullable<ExplainedRoute['pool']> {
  const { vxlanMode = 'Never', ipipMode = 'Never' } = spec
  const encapsulation = vxlanMode !== 'Never' ? `vxlanMode ${vxlanMode}` : ipipMode !== 'Never' ? `ipipMode ${ipipMode}` : 'none'
  return { name: metadata.name, cidr: spec.cidr, encapsulation }
}

/** Calico writes the wildcard as iptables does. */
function fits(filter: string, name: string): boolean {
  return /[+*]$/.test(filter) ? name.startsWith(filter.slice(0, -1)) : filter === name
}
