import type { Reach, Unreachable } from '../encap/driver.ts'
import { planDevices, planPeer, tunnelAddressRoute } from '../encap/plan.ts'
import { VXLAN_DEVICES } from '../encap/vxlan.ts'
import { type Desired, MAIN_TABLE, type Route } from '../kernel/objects.ts'
import type { Receive } from '../model/own/live.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { HOST_SETS, OTHER_NETWORKS, planFrame, TUNNEL_INTERFACES } from '../policy/frame.ts'
import { blockOf, blockRoutes } from '../routing/blocks.ts'
import { planForwarding } from '../routing/forwarding.ts'
import { planNat } from '../routing/nat.ts'
import { planBlock, routeMetric } from '../routing/plan.ts'
import { type Path, pathTo } from '../routing/switch.ts'
import type { View } from '../store/view.ts'
import { gatewayRoute, planEndpoint } from '../workloads/plan.ts'
import { type Facts, factKey, switchPair } from './facts.ts'
import { allGroups, type GroupId, viewKey } from './groups.ts'
import type { Planned } from './memo.ts'
import { createContext, type PlanContext, type PoolPlan, peerIn, poolOf } from './plan-context.ts'
import { POLICY_GROUP, PolicyPart } from './policy-part.ts'
import { workloadInterfaces } from './workload-interfaces.ts'

/** The plan of one group, and for which peers and pools it waits in a switch of a mode (`<peer> <pool>`, as in `Facts.timedOut`). */
export interface GroupPlan extends Planned {
  readonly waits: readonly string[]
}

/** Plans a whole view anew: what every sequence of changes, planned group by group, must come to. */
export function planView(view: View, facts: Facts): ReadonlyMap<GroupId, GroupPlan> {
  const context = createContext(view, facts)
  const groups = [...allGroups(context)].sort().map((group) => [group, planGroup(group, context)] as const)
  return new Map([...groups, [POLICY_GROUP, planPolicy(context)]])
}

/** One group's part of what is wanted in the kernel; its part is undefined when what it is about is gone. */
export function planGroup(group: GroupId, context: PlanContext): GroupPlan {
  const slash = group.indexOf('/')
  const [kind, id] = slash < 0 ? [group, ''] : [group.slice(0, slash), group.slice(slash + 1)]
  switch (kind) {
    case 'frame':
      return plannedFrame(context)
    case 'devices':
      return plannedDevices(context)
    case 'nat':
      return plannedNat(context)
    case 'forwarding':
      return plannedForwarding(context)
    case 'peer':
      return plannedPeer(id, context)
    case 'block':
      return plannedBlock(id as Cidr, context)
    case 'endpoint':
      return plannedEndpoint(id, context)
    default:
      return GONE
  }
}

function planPolicy(context: PlanContext): GroupPlan {
  const steps = new PolicyPart().plan(context, [])
  for (;;) {
    const { done, value } = steps.next()
    if (done) return planned({ policy: value.delta.put }, [], value.problems)
  }
}

/** How packets of one pool get to a peer by name, as far as is known now. */
export function pathToPeer(context: PlanContext, name: string, pool: PoolPlan): Path {
  const peer = peerIn(context, name)
  if (peer === undefined) return { reach: { via: 'none', reason: `there is no Node ${name}` }, waitsFor: undefined }
  const { view, facts, local, tunnels } = context
  const live = view.get('Live').get(name)
  return pathTo({
    local,
    peer,
    family: pool.family,
    driver: pool.driver,
    peerReceives: live?.receives[pool.cidr],
    isPeerAlive: live !== undefined,
    hasTimedOut: facts.timedOut.has(switchPair(name, pool.cidr)),
    isStanding: (way: Receive) => way === 'direct' || tunnels.includes(pool.family),
  })
}

const GONE: GroupPlan = { part: undefined, reads: [], problems: [], waits: [] }

function planned(part: Desired, reads: readonly string[] = [], problems: readonly string[] = []): GroupPlan {
  return { part, reads, problems, waits: [] }
}

function plannedFrame(context: PlanContext): GroupPlan {
  const { facts, felix, tunnels, vteps, endpoints, senders, local, use, implicit } = context
  const isForwarding = facts.isNetworkingEnabled && felix.ipForwarding !== 'Disabled'
  const policy = planFrame({
    hosts: { 4: vteps.hostSet(4), 6: vteps.hostSet(6) },
    externalHosts: felix.externalNodesList ?? [],
    vxlan:
      tunnels.length === 0 ? undefined : { port: local.vxlan.port, isAllowedFromWorkloads: felix.allowVXLANPacketsFromWorkloads === true },
    ipip: use.hasIpip ? { isAllowedFromWorkloads: felix.allowIPIPPacketsFromWorkloads === true } : undefined,
    senders: endpoints.size === 0 ? undefined : senders.senders(),
    forwardOnlyOurs: isForwarding && !facts.hostForwardedBefore,
    workloadInterfaces: workloadInterfaces(context),
    tunnelInterfaces: TUNNEL_INTERFACES,
    otherInterfaces: OTHER_NETWORKS,
  })
  return planned({ policy: [...policy, ...implicit.sets] })
}

function plannedDevices(context: PlanContext): GroupPlan {
  const { local, pools, facts, vteps } = context
  const part = planDevices({
    local,
    pools,
    isSettling: facts.isSettling,
    hasIpv6: facts.capabilities.hasIpv6,
    filteredUplinks: facts.filteredUplinks,
  })
  const rivals = vteps.rivalsOf(facts.node).map((other) => `Node ${other} has this host's tunnel address or MAC: change one of them`)
  const poolProblems = pools.flatMap(({ owner }) => owner.problem ?? [])
  return planned(part, [viewKey('Node', facts.node)], [...poolProblems, ...rivals])
}

function plannedNat({ pools, felix, tunnels, local }: PlanContext): GroupPlan {
  const sources = tunnels.flatMap((family) => {
    const vtep = local.vtep[family]
    return vtep === undefined ? [] : [{ link: VXLAN_DEVICES[family], address: vtep.ip }]
  })
  const vxlanPort = tunnels.length === 0 ? undefined : local.vxlan.port
  return planned({ policy: planNat({ pools: pools.map(({ pool }) => pool), felix, tunnels: sources, vxlanPort, hostSets: HOST_SETS }) })
}

function plannedForwarding({ facts, felix, pools, endpoints, local }: PlanContext): GroupPlan {
  const sysctls = planForwarding({
    isWanted: felix.ipForwarding !== 'Disabled' && (pools.length > 0 || endpoints.size > 0),
    hasIpv6: facts.capabilities.hasIpv6,
    advertisedLinks: facts.advertisedLinks,
  })
  const uplink = local.underlay[4]?.uplink
  return planned({ sysctls, routes: uplink === undefined || endpoints.size === 0 ? [] : [gatewayRoute(uplink)] })
}

function plannedPeer(name: string, context: PlanContext): GroupPlan {
  const { local, tunnels, facts } = context
  const peer = peerIn(context, name)
  if (peer === undefined || name === facts.node) return GONE
  const reads = [viewKey('Node', name)]
  const part = planPeer(local, peer, tunnels)
  const routes: Route[] = []
  for (const family of tunnels) {
    const ip = peer.vtep[family]?.ip
    if (ip === undefined || !needsTunnelRoute(ip, name, context, reads)) continue
    const route = tunnelAddressRoute(local, peer, family, MAIN_TABLE)
    if (route !== undefined) routes.push(route)
  }
  return planned({ ...part, routes }, reads)
}

/**
 * Whether a peer's tunnel address needs a route of its own; what was looked at is added to `reads`. It does where the route of no block
 * leads it there, and for IPv6 always: there the kernel refuses a next hop that it would itself look for on another link, and while a
 * block is routed directly its tunnel address is such a one.
 */
function needsTunnelRoute(ip: Ip, node: string, context: PlanContext, reads: string[]): boolean {
  const pool = poolOf(context, ip)
  if (pool === undefined) return true
  const cidr = blockOf(ip, pool.blockSize)
  reads.push(viewKey('IPAMBlock', cidr))
  const block = context.view.get('IPAMBlock').get(cidr)
  if (block === undefined || block.deleted || pool.owner.owner !== 'margay') return true
  const { owner, borrowed } = blockRoutes(block)
  const borrower = borrowed.get(ip)
  return borrower === undefined ? owner !== node || pool.family === 6 : borrower !== node
}

function plannedBlock(cidr: Cidr, context: PlanContext): GroupPlan {
  const block = context.view.get('IPAMBlock').get(cidr)
  if (block === undefined || block.deleted) return GONE
  const { facts } = context
  const reads = [viewKey('IPAMBlock', cidr)]
  const routes = blockRoutes(block)
  const pool = poolOf(context, cidr)
  if (pool === undefined)
    return planned({}, reads, [
      `block ${cidr} ${routes.owner === undefined ? 'without an owner' : `of ${routes.owner}`} is in no pool: there is no route to it`,
    ])
  // Said once for the pool, with `devices`.
  if (pool.owner.owner !== 'margay') return planned({}, reads)
  const waits: string[] = []
  const reachOf = (name: string): Reach | Unreachable => {
    const pair = switchPair(name, pool.cidr)
    reads.push(viewKey('Node', name), viewKey('Live', name), factKey.timedOut(pair))
    const { reach, waitsFor } = pathToPeer(context, name, pool)
    if (waitsFor !== undefined) waits.push(pair)
    return reach
  }
  return { ...planned({ routes: planBlock(facts.node, routes, reachOf) }, reads), waits }
}

function plannedEndpoint(id: string, { view, facts, felix, mtuBytes }: PlanContext): GroupPlan {
  const endpoint = view.get('WorkloadEndpoint').get(id)
  if (endpoint === undefined || endpoint.spec.node !== facts.node) return GONE
  const { part, problem } = planEndpoint({
    endpoint,
    netns: facts.netns.get(id),
    mtuBytes,
    hasIpv6: facts.capabilities.hasIpv6,
    felix,
    metricOf: routeMetric,
  })
  return planned(part, [viewKey('WorkloadEndpoint', id), factKey.netns(id)], problem === undefined ? [] : [`endpoint ${id}: ${problem}`])
}
