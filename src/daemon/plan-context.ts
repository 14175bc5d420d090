import type { EncapDriver, Local, Peer } from '../encap/driver.ts'
import { DRIVER_OF, driverFor } from '../encap/drivers.ts'
import { workloadMtu } from '../encap/mtu.ts'
import { peerOf, vtepOf } from '../encap/peer.ts'
import { hasTunnel } from '../encap/plan.ts'
import { VtepIndex } from '../encap/vtep-index.ts'
import { VXLAN_DEFAULTS } from '../encap/vxlan.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { blockSizeOf, type IPPool } from '../model/ip-pool.ts'
import { type Cidr, cidrOf, ipOf, lengthOf } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import { type ImplicitPlan, planImplicit } from '../policy/implicit.ts'
import { type HostUse, hostUse } from '../routing/host-use.ts'
import { type RouteOwner, routeOwner } from '../routing/owner.ts'
import { felixSettings } from '../routing/settings.ts'
import type { View } from '../store/view.ts'
import { SenderIndex } from '../workloads/senders.ts'
import type { Facts } from './facts.ts'

/** A pool with what follows from its record. */
export interface PoolPlan {
  readonly cidr: Cidr
  readonly family: Family
  readonly blockSize: number
  readonly pool: IPPool
  readonly driver: EncapDriver
  readonly owner: RouteOwner
}

/** What every group may depend on: made once, and again when a pool, a setting, our own Node or a fact changes. */
export interface PlanContext {
  readonly view: View
  readonly facts: Facts
  readonly felix: FelixConfigurationSpec
  readonly local: Local
  /** In order of their CIDRs' text, whatever the order in the view. */
  readonly pools: readonly PoolPlan[]
  /** The families for which this host has a tunnel device. */
  readonly tunnels: readonly Family[]
  readonly mtuBytes: Readonly<Record<Family, number>>
  /** What hosts use between each other beside VXLAN. */
  readonly use: HostUse
  /** What host endpoints let through whatever policies say. */
  readonly implicit: ImplicitPlan
  /** Memory: who claims which address. Kept up by `advance`. */
  readonly vteps: VtepIndex
  /** Memory: ids of the endpoints of this host. Kept up by `advance`. */
  readonly endpoints: Set<string>
  /** Memory: from where they send. Kept up by `advance`. */
  readonly senders: SenderIndex
}

/** The context of a view as it is now, with its memory made anew. */
export function createContext(view: View, facts: Facts): PlanContext {
  const steps = createContextInSteps(view, facts)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** As `createContext`, for a caller that lets others run between two records: with thousands of them it takes long. */
export function* createContextInSteps(view: View, facts: Facts): Generator<undefined, PlanContext> {
  const vteps = new VtepIndex()
  for (const [name, node] of view.get('Node')) {
    vteps.set(name, peerOf(node))
    yield
  }
  const endpoints = new Set<string>()
  const senders = new SenderIndex()
  for (const [id, endpoint] of view.get('WorkloadEndpoint')) {
    if (endpoint.spec.node === facts.node) {
      endpoints.add(id)
      senders.set(id, endpoint)
    }
    yield
  }
  return renewContext({ vteps, endpoints, senders }, view, facts)
}

/** The context after what all groups depend on has changed; its memory goes on. */
export function renewContext(memory: Pick<PlanContext, 'vteps' | 'endpoints' | 'senders'>, view: View, facts: Facts): PlanContext {
  const own = view.get('Node').get(facts.node)
  const felix = felixSettings(view.get('FelixConfiguration'), facts.node, own?.metadata.labels)
  const [vtep4, vtep6] = own === undefined ? [] : [vtepOf(own, 4), vtepOf(own, 6)]
  const local: Local = {
    node: facts.node,
    underlay: facts.underlay,
    vtep: { ...(vtep4 === undefined ? {} : { 4: vtep4 }), ...(vtep6 === undefined ? {} : { 6: vtep6 }) },
    vxlan: {
      vni: felix.vxlanVNI ?? VXLAN_DEFAULTS.vni,
      port: felix.vxlanPort ?? VXLAN_DEFAULTS.port,
      // 0 is "find out" (Calico's default).
      mtuBytes: { 4: felix.vxlanMTU || undefined, 6: felix.vxlanMTUV6 || undefined },
    },
  }
  memory.senders.use(felix)
  const pools = facts.isNetworkingEnabled ? poolPlans(view.get('IPPool').values(), felix) : []
  const drivers = facts.isSettling
    ? [...pools, ...FAMILIES.filter((family) => local.vtep[family] !== undefined).map((family) => ({ family, driver: DRIVER_OF.vxlan }))]
    : pools
  const tunnels = FAMILIES.filter((family) => hasTunnel({ local, pools, isSettling: facts.isSettling }, family))
  const use = hostUse({
    ...{ node: facts.node, labels: own?.metadata.labels, felix, pools: view.get('IPPool').values() },
    ...{ bgpConfigurations: view.get('BGPConfiguration'), bgpPeers: view.get('BGPPeer').values() },
  })
  return {
    view,
    facts,
    felix,
    local,
    pools,
    tunnels,
    use,
    implicit: planImplicit({
      ...use,
      vxlanPort: tunnels.length === 0 ? undefined : local.vxlan.port,
      etcd: facts.etcd ?? { endpoints: [], ownPorts: [] },
      externalHosts: felix.externalNodesList ?? [],
    }),
    // While a switch goes on both ways are used: nothing may be bigger than what the narrower one carries.
    mtuBytes: { 4: workloadMtu(local, drivers, 4), 6: workloadMtu(local, drivers, 6) },
    vteps: memory.vteps,
    endpoints: memory.endpoints,
    senders: memory.senders,
  }
}

/** The pool in which an address or a block lies; pools do not overlap. */
export function poolOf(context: Pick<PlanContext, 'pools'>, value: Ip | Cidr): PoolPlan | undefined {
  const family = familyOf(value)
  const ip = value.includes('/') ? ipOf(value as Cidr) : (value as Ip)
  return context.pools.find((pool) => pool.family === family && cidrOf(ip, lengthOf(pool.cidr)) === pool.cidr)
}

/** A peer as its Node record says, with what the other records say against its VTEP; undefined without a record. */
export function peerIn(context: PlanContext, name: string): Peer | undefined {
  const peer = context.vteps.peers.get(name)
  if (peer === undefined) return undefined
  const [v4, v6] = FAMILIES.map((family) => context.vteps.conflictOf(name, family, context.facts.node))
  return v4 === undefined && v6 === undefined ? peer : { ...peer, conflict: { 4: v4, 6: v6 } }
}

function poolPlans(pools: Iterable<IPPool>, felix: FelixConfigurationSpec): readonly PoolPlan[] {
  const plans = [...pools].map((pool) => ({
    cidr: pool.spec.cidr,
    family: familyOf(pool.spec.cidr),
    blockSize: blockSizeOf(pool),
    pool,
    driver: driverFor(pool),
    owner: routeOwner(pool, felix),
  }))
  const rank = ({ cidr, pool }: PoolPlan) => `${cidr} ${pool.metadata.name}`
  return plans.sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
}
