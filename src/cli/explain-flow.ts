import { VXLAN_DEFAULTS, VXLAN_DEVICES } from '../encap/vxlan.ts'
import { cidrContains, parseCidrLoosely } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import type { PathPacket } from '../policy/evaluate-path.ts'
import { type ExplainedPath, type ExplainedStep, explainPath } from '../policy/explain.ts'
import { findPolicedHost } from '../policy/explain-host.ts'
import type { ExplainSource, KnownHost } from '../questions/known-host.ts'
import type { ExplainedRoute } from '../routing/explain-route.ts'
import type { FlowQuestion } from './explain-question.ts'
import { type Leg, planWay } from './explain-way.ts'

/** What one host on the way does with the packet. */
export interface ExplainedHost extends ExplainedPath {
  readonly node: string
  /** No host before it denies the packet. */
  readonly isReached: boolean
  readonly in?: string
  readonly out?: string
  /** As the packet is here. */
  readonly source: Ip
  readonly destination: Ip
  /** The same of the packet of the tunnel in which it comes or goes. */
  readonly tunnel?: readonly ExplainedStep[]
}

/** The answer for one family. */
export interface ExplainedFlow {
  readonly family: Family
  readonly source: Ip
  readonly destination: Ip
  readonly route?: ExplainedRoute
  /** The address that NAT gives the source on its way. */
  readonly translatedSource?: Ip
  /** In the order in which the packet passes them; after one that denies it, as if it had not. */
  readonly hosts: readonly ExplainedHost[]
  readonly verdict: 'allow' | 'deny' | 'unreachable'
  /** If staged policies were enforced. */
  readonly stagedVerdict: ExplainedFlow['verdict']
  readonly because: string
  /** What the way carries at most; uplinks are taken to carry 1500. Bytes. */
  readonly mtuBytes: number
  /** What is not in the store and was taken for granted. */
  readonly assumptions: readonly string[]
}

/** Follows the first packet of a connection from end to end. */
export function explainFlow(source: ExplainSource, question: FlowQuestion): ExplainedFlow {
  const way = planWay(source, question)
  const explained = way.legs.map((leg) => explainLeg(source, question, leg))
  const denied = explained.find(({ verdict }) => verdict === 'deny')
  const last = denied === undefined ? explained.length - 1 : explained.indexOf(denied)
  const isArrived = (index: number) => index <= last && (index === 0 || way.problem === undefined)
  const hosts = explained.map((host, index) => ({ ...host, isReached: isArrived(index) }))
  const isStagedDenied = hosts.some(({ stagedVerdict }) => stagedVerdict === 'deny')
  const otherwise = way.problem === undefined ? 'allow' : 'unreachable'
  return {
    family: question.family,
    source: way.addresses.source,
    destination: way.addresses.destination,
    ...(way.route === undefined ? {} : { route: way.route }),
    ...(way.translated === undefined ? {} : { translatedSource: way.translated }),
    hosts,
    verdict: denied === undefined ? otherwise : 'deny',
    stagedVerdict: isStagedDenied ? 'deny' : otherwise,
    because: denied === undefined ? (way.problem ?? whyAllowed(hosts)) : whyDenied(denied),
    mtuBytes: way.mtuBytes,
    assumptions: way.assumptions,
  }
}

function whyAllowed(hosts: readonly ExplainedHost[]): string {
  if (hosts.length === 0) return 'it does not leave the workload'
  return `nothing on ${[...new Set(hosts.map(({ node }) => node))].join(' and ')} denies it`
}

function whyDenied({ node, in: received, steps, tunnel = [] }: Omit<ExplainedHost, 'isReached'>): string {
  const inOrder = isTunnelDevice(received) ? [...tunnel, ...steps] : [...steps, ...tunnel]
  const step = inOrder.find(({ verdict }) => verdict === 'deny')
  const last = step?.checks.at(-1)
  const name = last?.name === undefined ? '' : `${last.name}, `
  return `${node}, ${step?.place}: ${last === undefined ? step?.because : `${name}${last.text}`}`
}

function explainLeg(source: ExplainSource, question: FlowQuestion, leg: Leg): Omit<ExplainedHost, 'isReached'> {
  const { read, hosts } = source
  const known = hosts.of(leg.node)
  const host = findPolicedHost(source.maps, read, {
    ...known,
    interfaces: [leg.in ?? '', leg.out ?? ''],
    addresses: [leg.source, leg.destination, ...(leg.tunnel === undefined ? [] : [leg.tunnel.from, leg.tunnel.to])],
  })
  const at = { source: leg.source, destination: leg.destination }
  const place = { node: leg.node, ...(leg.in === undefined ? {} : { in: leg.in }), ...(leg.out === undefined ? {} : { out: leg.out }) }
  const outer = leg.tunnel && explainPath(source, host, tunnelPacket(leg.tunnel, leg, known.known.uplink))
  const inner = guardTunnels(question, leg, known) ?? explainPath(source, host, packetOf(question, leg))
  return { ...place, ...at, ...both(inner, outer), ...(outer === undefined ? {} : { tunnel: outer.steps }) }
}

/** What becomes of a packet in a tunnel: both must pass. */
function both(inner: ExplainedPath, outer: ExplainedPath | undefined): ExplainedPath {
  const worse = (key: 'verdict' | 'stagedVerdict') => (outer?.[key] === 'deny' ? 'deny' : inner[key])
  return { verdict: worse('verdict'), stagedVerdict: worse('stagedVerdict'), steps: inner.steps }
}

function packetOf({ family, protocol, sourcePort, port, icmp }: FlowQuestion, leg: Leg): PathPacket {
  return {
    family,
    protocol,
    source: { address: leg.source, port: sourcePort },
    destination: { address: leg.destination, port },
    icmp,
    inInterface: leg.in,
    outInterface: leg.out,
    state: 'new',
  }
}

function tunnelPacket({ from, to, port }: NonNullable<Leg['tunnel']>, { in: received }: Leg, uplink: string): PathPacket {
  return {
    family: familyOf(from),
    protocol: UDP,
    source: { address: from, port: TUNNEL_SOURCE_PORT },
    destination: { address: to, port },
    ...(isTunnelDevice(received) ? { inInterface: uplink } : { outInterface: uplink }),
    state: 'untracked',
  }
}

const UDP = 17
/** The kernel makes it of a hash of the packet inside. */
const TUNNEL_SOURCE_PORT = 49_152

/** Whether an interface is the device of a tunnel. */
export function isTunnelDevice(name: string | undefined): boolean {
  return name !== undefined && Object.values(VXLAN_DEVICES).includes(name)
}

/** Packets that look like those of a tunnel are judged before all policy (policy/frame.ts): workloads send none, and others than hosts neither. */
function guardTunnels({ protocol, port }: FlowQuestion, leg: Leg, { felix, hasTunnel, hosts }: KnownHost): ExplainedPath | undefined {
  if (!hasTunnel || protocol !== UDP || port !== (felix.vxlanPort ?? VXLAN_DEFAULTS.port)) return undefined
  const deny = (place: ExplainedStep['place'], because: string): ExplainedPath => ({
    verdict: 'deny',
    stagedVerdict: 'deny',
    steps: [{ place, verdict: 'deny', because, checks: [] }],
  })
  if (leg.isFromWorkload) {
    const mayWorkloads = felix.allowVXLANPacketsFromWorkloads === true
    return mayWorkloads ? undefined : deny('from-workload', 'workloads may not send packets of tunnels (allowVXLANPacketsFromWorkloads)')
  }
  if (leg.in === undefined || leg.out !== undefined || hosts.has(leg.source)) return undefined
  const isExternal = (felix.externalNodesList ?? []).some((net) => cidrContains(parseCidrLoosely(net), leg.source))
  return isExternal ? undefined : deny('to-host', 'packets of tunnels are taken from hosts of the network only (externalNodesList)')
}
