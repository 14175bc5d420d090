import { vtepOf } from '../encap/peer.ts'
import { familyOf, type Ip } from '../net/ip.ts'
import { LOOPBACK } from '../policy/evaluate-path.ts'
import type { KnownInterfaces } from '../policy/known-interfaces.ts'
import type { Leg } from '../questions/explain-leg.ts'
import type { ExplainSource } from '../questions/known-host.ts'
import { ASSUMED_UPLINK_MTU, type ExplainedRoute, explainRoute, natAddress, workloadMtuOf } from '../routing/explain-route.ts'
import type { End } from './explain-ends.ts'
import type { FlowQuestion } from './explain-question.ts'

/** Which hosts a packet passes, and how. */
export interface Way {
  readonly addresses: { readonly source: Ip; readonly destination: Ip }
  readonly route?: ExplainedRoute
  /** What NAT makes of the source. */
  readonly translated?: Ip
  readonly legs: readonly Leg[]
  /** Why it does not get there whatever policies say. */
  readonly problem?: string
  readonly mtuBytes: number
  /** What is taken for granted; of `node`, unless that host says it itself. */
  readonly assumptions: readonly { readonly node?: string; readonly text: string }[]
}

/** Finds the way of a packet: within a host, or by a route from host to host. */
export function planWay(source: ExplainSource, question: FlowQuestion): Way {
  const { source: from, destination: to, family } = question
  const addresses = { source: addressIn(from, family), destination: addressIn(to, family) }
  const plan = { source, from, to, addresses }
  const way =
    from.node !== undefined && from.node === to.node
      ? withinHost(plan)
      : from.node === undefined
        ? arriving(plan)
        : leaving(plan, from.node)
  const nodes = [...new Set(way.legs.map(({ node }) => node))]
  return { ...way, mtuBytes: mtuOf(source, nodes, question, way.route), assumptions: assumptionsOf(source, nodes) }
}

interface Plan {
  readonly source: ExplainSource
  readonly from: End
  readonly to: End
  readonly addresses: Way['addresses']
}

type Planned = Omit<Way, 'mtuBytes' | 'assumptions'>

function addressIn({ addresses, name }: End, family: number): Ip {
  const found = addresses.find((ip) => familyOf(ip) === family)
  if (found === undefined) throw new Error(`${name} has no IPv${family} address`)
  return found
}

function withinHost({ from, to, addresses }: Plan): Planned {
  const node = from.node ?? ''
  const leg = { node, ...addresses, isFromWorkload: from.kind === 'workload' }
  const [received, sent] = [from.kind === 'workload' ? from.interface : undefined, to.kind === 'workload' ? to.interface : undefined]
  if (received !== undefined && received === sent) return { addresses, legs: [] }
  if (received === undefined && sent === undefined)
    return {
      addresses,
      legs: [
        { ...leg, out: LOOPBACK },
        { ...leg, in: LOOPBACK },
      ],
    }
  const ways = { ...(received === undefined ? {} : { in: received }), ...(sent === undefined ? {} : { out: sent }) }
  const route = {
    from: node,
    to: node,
    via: 'local',
    because: `${to.name} is on ${node} too`,
    ...(sent === undefined ? {} : { link: sent }),
  } as const
  return { addresses, route, legs: [{ ...leg, ...ways }] }
}

/** From outside: only the host where it arrives decides. */
function arriving({ source, to, addresses }: Plan): Planned {
  const node = to.node ?? ''
  const received = interfaceOf(source.hosts.of(node).known, to, addresses.destination)
  const leg = { node, in: received, ...addresses, isFromWorkload: false }
  return { addresses, legs: [to.kind === 'workload' && to.interface !== undefined ? { ...leg, out: to.interface } : leg] }
}

function leaving(plan: Plan, node: string): Planned {
  const { source, from, to } = plan
  const { felix, known } = source.hosts.of(node)
  const question = { node, felix, uplink: known.uplink, destination: plan.addresses.destination }
  const route = explainRoute(source.routes, question)
  const tunnelSource = from.kind === 'workload' ? undefined : tunnelAddress(plan, route, node)
  const addresses = { ...plan.addresses, source: (from.isByAddress ? undefined : tunnelSource) ?? plan.addresses.source }
  const isMasked = from.kind === 'workload' && route.via === 'host-routes'
  const seen = (isMasked ? natAddress(source.routes, { ...question, from: addresses.source }) : tunnelSource) ?? addresses.source
  const problem = problemOf(route, to)
  return {
    addresses,
    route,
    ...(seen === addresses.source ? {} : { translated: seen }),
    legs: [sentLeg(plan, route, { node, ...addresses }), ...receivedLegs(plan, route, seen)],
    ...(problem === undefined ? {} : { problem }),
  }
}

/** What a host sends through a tunnel has the tunnel's address; where a program chose another, NAT gives it that. */
function tunnelAddress({ source, addresses }: Plan, { via }: ExplainedRoute, node: string): Ip | undefined {
  const record = source.maps.get('Node').get(node)
  return via === 'vxlan' && record !== undefined ? vtepOf(record, familyOf(addresses.source))?.ip : undefined
}

function sentLeg({ source, from }: Plan, route: ExplainedRoute, at: Pick<Leg, 'node' | 'source' | 'destination'>): Leg {
  const { known } = source.hosts.of(at.node)
  const isByOwnRoutes = from.kind === 'host-endpoint' && route.via === 'host-routes'
  const out = isByOwnRoutes ? interfaceOf(known, from, at.source) : (route.link ?? known.uplink)
  const isFromWorkload = from.kind === 'workload'
  return {
    ...at,
    ...(isFromWorkload && from.interface !== undefined ? { in: from.interface } : {}),
    out,
    isFromWorkload,
    ...tunnelOf(route),
  }
}

function tunnelOf({ tunnel }: ExplainedRoute): Pick<Leg, 'tunnel'> {
  return tunnel === undefined ? {} : { tunnel }
}

function receivedLegs({ source, to, addresses }: Plan, route: ExplainedRoute, seen: Ip): readonly Leg[] {
  if (to.node === undefined) return []
  const { known } = source.hosts.of(to.node)
  // Tunnel devices have the same name on every host.
  const tunnelLink = route.via === 'vxlan' ? route.link : undefined
  const received = tunnelLink ?? interfaceOf(known, to, addresses.destination)
  const leg = { node: to.node, in: received, source: seen, destination: addresses.destination, isFromWorkload: false }
  return [{ ...leg, ...tunnelOf(route), ...(to.kind === 'workload' && to.interface !== undefined ? { out: to.interface } : {}) }]
}

function problemOf(route: ExplainedRoute, to: End): string | undefined {
  if (route.via === 'none') return route.because
  if (to.kind === 'outside') return route.via === 'host-routes' ? undefined : `no workload and no host has ${to.name}`
  if (route.to !== undefined && route.to !== to.node) return `the route leads to ${route.to}, but ${to.name} is on ${to.node}`
  if (to.kind === 'workload' && route.via === 'host-routes') return `${to.name} is in no pool: no host has a route to it`
  return undefined
}

/** The interface that has the address, or that of the end, or the uplink. */
function interfaceOf({ interfaces, uplink }: KnownInterfaces, end: End, address: Ip): string {
  if (end.kind === 'workload' || end.kind === 'outside') return uplink
  return end.interface ?? interfaces.find(({ addresses }) => addresses.includes(address))?.name ?? uplink
}

function mtuOf(
  source: ExplainSource,
  nodes: readonly string[],
  { source: from, destination: to, family }: FlowQuestion,
  route: Way['route'],
): number {
  const ends = [from, to].filter(({ kind, node }) => kind === 'workload' && node !== undefined && nodes.includes(node))
  const mtus = ends.map(({ node = '' }) => {
    const { felix, known } = source.hosts.of(node)
    return workloadMtuOf(source.routes, { node, felix, uplink: known.uplink }, family)
  })
  return Math.min(route?.mtuBytes ?? ASSUMED_UPLINK_MTU, ...mtus)
}

function assumptionsOf(source: ExplainSource, nodes: readonly string[]): Way['assumptions'] {
  const about = nodes.flatMap((node) => {
    const { assumption } = source.hosts.of(node).known
    const isAlive = source.maps.get('Live').has(node)
    return [
      ...(assumption === undefined ? [] : [{ node, text: assumption }]),
      ...(isAlive ? [] : [{ node, text: `${node} does not say that it lives: what it applies may be older` }]),
    ]
  })
  return [...about, { text: `uplinks carry ${ASSUMED_UPLINK_MTU} bytes, and no destination NAT is on the way` }]
}
