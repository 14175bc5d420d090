import { VXLAN_DEFAULTS, VXLAN_DEVICES } from '../encap/vxlan.ts'
import { cidrContains, parseCidrLoosely } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import type { PathPacket, PolicedHost } from '../policy/evaluate-path.ts'
import { type ExplainedPath, type ExplainedStep, explainPath } from '../policy/explain.ts'
import { findPolicedHost } from '../policy/explain-host.ts'
import type { Packet } from '../policy/packet.ts'
import type { ExplainSource, KnownHost } from './known-host.ts'

/** What a packet is on its whole way. */
export interface LegPacket {
  readonly family: Family
  /** Number of the protocol. */
  readonly protocol: number
  readonly sourcePort?: number | undefined
  readonly port?: number | undefined
  readonly icmp?: Packet['icmp']
}

/** A packet's way through one host. */
export interface Leg {
  readonly node: string
  readonly in?: string
  readonly out?: string
  /** As the packet is there. */
  readonly source: Ip
  readonly destination: Ip
  readonly isFromWorkload: boolean
  /** The packet around it, where it comes or goes by a tunnel. */
  readonly tunnel?: { readonly from: Ip; readonly to: Ip; readonly port: number }
}

/** What one host on the way does with the packet. */
export interface ExplainedLeg extends ExplainedPath {
  readonly node: string
  readonly in?: string
  readonly out?: string
  /** As the packet is here. */
  readonly source: Ip
  readonly destination: Ip
  /** The same of the packet of the tunnel in which it comes or goes. */
  readonly tunnel?: readonly ExplainedStep[]
}

/** What a host says to a packet; `host` is what decides there, unless it is to be found from the store. */
export function explainLeg(source: ExplainSource, question: LegPacket, leg: Leg, given?: PolicedHost): ExplainedLeg {
  const { read, hosts } = source
  const known = hosts.of(leg.node)
  const host =
    given ?? findPolicedHost(source.maps, read, { ...known, interfaces: [leg.in ?? '', leg.out ?? ''], addresses: addressesOf(leg) })
  const at = { source: leg.source, destination: leg.destination }
  const place = { node: leg.node, ...(leg.in === undefined ? {} : { in: leg.in }), ...(leg.out === undefined ? {} : { out: leg.out }) }
  const outer = leg.tunnel && explainPath(source, host, tunnelPacket(leg.tunnel, leg, known.known.uplink))
  const inner = guardTunnels(question, leg, known) ?? explainPath(source, host, packetOf(question, leg))
  return { ...place, ...at, ...both(inner, outer), ...(outer === undefined ? {} : { tunnel: outer.steps }) }
}

/** All addresses that a packet has on its way through a host. */
export function addressesOf({ source, destination, tunnel }: Leg): readonly Ip[] {
  return [source, destination, ...(tunnel === undefined ? [] : [tunnel.from, tunnel.to])]
}

/** What becomes of a packet in a tunnel: both must pass. */
function both(inner: ExplainedPath, outer: ExplainedPath | undefined): ExplainedPath {
  const worse = (key: 'verdict' | 'stagedVerdict') => (outer?.[key] === 'deny' ? 'deny' : inner[key])
  return { verdict: worse('verdict'), stagedVerdict: worse('stagedVerdict'), steps: inner.steps }
}

function packetOf({ family, protocol, sourcePort, port, icmp }: LegPacket, leg: Leg): PathPacket {
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
function guardTunnels({ protocol, port }: LegPacket, leg: Leg, { felix, hasTunnel, hosts }: KnownHost): ExplainedPath | undefined {
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
