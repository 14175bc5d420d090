import { type Ip, parseIp } from '../net/ip.ts'
import { evaluateList, type ListResult, type LocalEndpoint } from './evaluate.ts'
import { type Failsafes, isFailsafe } from './failsafes.ts'
import type { Members } from './members.ts'
import { type ConnectionState, ICMP_PROTOCOLS, type Packet, type PacketEnd } from './packet.ts'
import type { Direction } from './policies.ts'
import { isAsked, type ListStage } from './tiers.ts'

/** What hosts of the network always let through between each other, on host endpoints too. */
export interface ImplicitAllow {
  readonly name: string
  readonly protocol: number
  /** The destination port; absent for a protocol without. */
  readonly port?: number | undefined
  /** In which the first packet goes; absent: in both. */
  readonly direction?: Direction | undefined
  readonly isPeer: (ip: Ip) => boolean
}

/** A packet of a tunnel, by its protocol and its destination port. */
export interface TunnelPacket {
  readonly protocol: number
  readonly port?: number | undefined
}

/** What workloads may always ask of their gateway. */
export interface GatewayAllow {
  readonly name: string
  readonly protocol: number
  readonly port: number
  readonly addresses: readonly Ip[]
}

/** Settings of the host that decide about packets. */
export interface PathSettings {
  /** What becomes of a workload's packet to its own host that its policies allow. */
  readonly endpointToHost: 'Drop' | 'Accept' | 'Return'
  readonly failsafes: Failsafes
  /** Packets that connection tracking can make nothing of are dropped at endpoints. */
  readonly dropsInvalid: boolean
  readonly isWorkloadInterface: (name: string) => boolean
  readonly implicit: readonly ImplicitAllow[]
  /** What workloads may not send, whatever their policies say. */
  readonly tunnels: readonly TunnelPacket[]
}

/** A host with all that decides about packets that touch it. */
export interface PolicedHost {
  readonly settings: PathSettings
  /** By the name of the interface on the host. */
  readonly workloads: ReadonlyMap<string, LocalEndpoint>
  readonly hostEndpoints: ReadonlyMap<string, LocalEndpoint>
  /** The host endpoint of all interfaces that have none of their own. */
  readonly wildcard: LocalEndpoint | undefined
  readonly members: Members
}

/** A packet and its way through the host. */
export interface PathPacket extends Packet {
  /** The interface that it came in by; absent for one that the host itself sends. */
  readonly inInterface?: string | undefined
  /** The interface that it leaves by; absent for one that is delivered to the host. */
  readonly outInterface?: string | undefined
  readonly state: ConnectionState
  /** Where destination NAT sends it. */
  readonly translated?: PacketEnd | undefined
  /** IPv6; neighbour discovery is valid with 255 only, which no router lets through. */
  readonly hopLimit?: number | undefined
}

/** One place on the way where something was decided. */
export interface PathStep {
  readonly place: Place
  /** The endpoint whose policies were asked. */
  readonly endpoint?: string
  readonly verdict: 'allow' | 'deny' | 'none'
  /** Why, where no policies were asked. */
  readonly because?: string
  readonly list?: ListResult
}

/** Where packets are decided about, in the order in which they pass. */
export type Place =
  | 'untracked'
  | 'pre-dnat'
  | 'forward-from-host-endpoint'
  | 'from-workload'
  | 'to-workload'
  | 'forward-to-host-endpoint'
  | 'to-host'
  | 'from-host'

/** Whether the packet gets through, and what was decided where. */
export interface PathResult {
  readonly verdict: 'allow' | 'deny'
  readonly steps: readonly PathStep[]
}

const DIRECTION: Readonly<Record<Exclude<Place, 'untracked'>, Direction>> = {
  'pre-dnat': 'ingress',
  'forward-from-host-endpoint': 'ingress',
  'from-workload': 'egress',
  'to-workload': 'ingress',
  'forward-to-host-endpoint': 'egress',
  'to-host': 'ingress',
  'from-host': 'egress',
}

/** In which direction, seen from the endpoint, its policies are asked; before connection tracking it depends on the packet. */
export function directionAt(place: Place, { inInterface }: Pick<PathPacket, 'inInterface'>): Direction {
  if (place === 'untracked') return inInterface === undefined ? 'egress' : 'ingress'
  return DIRECTION[place]
}

/** Follows a packet through the host: through each place that it passes, until one denies it. */
export function evaluatePath(host: PolicedHost, packet: PathPacket): PathResult {
  const walk = new Walk(host, packet)
  const isReceived = packet.inInterface !== undefined
  const isDenied = isReceived ? walk.receive() || (packet.outInterface === undefined ? walk.deliver() : walk.forward()) : walk.send()
  return { verdict: isDenied ? 'deny' : 'allow', steps: walk.steps }
}

/** MLD, router and neighbour discovery (RFC 2710, RFC 4861, RFC 3810): without it a workload or a host loses IPv6. */
export const WORKLOAD_ICMPV6: readonly number[] = [130, 131, 132, 133, 135, 136, 143]
export const HOST_DISCOVERY: readonly number[] = [133, 134, 135, 136]
export const HOST_MULTICAST: readonly number[] = [130, 131, 132, 143]

/** The gateways of workloads (`workloads/addresses`), and to whom else DHCP is sent (RFC 2131; RFC 8415, section 7.1). */
const [GATEWAY4, GATEWAY6] = [parseIp('169.254.1.1'), parseIp('fe80::1')]
const [BROADCAST, ALL_DHCP_AGENTS] = [parseIp('255.255.255.255'), parseIp('ff02::1:2')]
const [TCP, UDP] = [6, 17]

/** Addresses and names from the gateway: before policies, and whatever defaultEndpointToHostAction says. */
export const GATEWAY_ALLOWS: readonly GatewayAllow[] = [
  { name: 'DHCP to the gateway', protocol: UDP, port: 67, addresses: [GATEWAY4, BROADCAST] },
  { name: 'DHCPv6 to the gateway', protocol: UDP, port: 547, addresses: [GATEWAY6, ALL_DHCP_AGENTS] },
  ...[UDP, TCP].map((protocol) => ({ name: 'DNS to the gateway', protocol, port: 53, addresses: [GATEWAY4, GATEWAY6] })),
]

/** What a host's own programs talk over. */
export const LOOPBACK = 'lo'

/** One packet's walk; every place gives whether it denied the packet. */
class Walk {
  readonly steps: PathStep[] = []
  readonly #host: PolicedHost
  readonly #packet: PathPacket
  /** As it is behind destination NAT. */
  readonly #translated: PathPacket
  /** Rules before connection tracking or before NAT allowed it: host endpoints' other rules are not asked. */
  #isAllowed = false

  constructor(host: PolicedHost, packet: PathPacket) {
    this.#host = host
    this.#packet = packet
    this.#translated = packet.translated === undefined ? packet : { ...packet, destination: packet.translated }
  }

  receive(): boolean {
    const { hostEndpoints, wildcard } = this.#host
    const { inInterface = '' } = this.#packet
    if (this.#isLeftAlone(inInterface)) return this.#pass('to-host', 'loopback is left alone')
    if (this.#early('untracked', hostEndpoints.get(inInterface), 'ingress')) return true
    if (this.#isAllowed || this.#isKnown) return false
    const named = hostEndpoints.get(inInterface)
    const hasOwn = named !== undefined && isAsked(named.tiers, 'pre-dnat', 'ingress')
    return this.#early('pre-dnat', hasOwn ? named : wildcard, 'ingress')
  }

  deliver(): boolean {
    const { settings, workloads, hostEndpoints, wildcard } = this.#host
    const { inInterface = '' } = this.#packet
    if (this.#isLeftAlone(inInterface)) return false
    if (settings.isWorkloadInterface(inInterface)) return this.#deliverFromWorkload(workloads.get(inInterface))
    return this.#atHost('to-host', 'ingress', hostEndpoints.get(inInterface) ?? wildcard)
  }

  forward(): boolean {
    const { settings, workloads, hostEndpoints, wildcard } = this.#host
    const { inInterface = '', outInterface = '' } = this.#packet
    if (this.#isKnown) return this.#pass('from-workload', 'its connection is established')
    const from = hostEndpoints.get(inInterface) ?? wildcard
    if (!this.#isAllowed && this.#list('forward-from-host-endpoint', 'forward', 'ingress', from)) return true
    if (settings.isWorkloadInterface(inInterface) && this.#workload('from-workload', 'egress', workloads.get(inInterface))) return true
    if (settings.isWorkloadInterface(outInterface) && this.#workload('to-workload', 'ingress', workloads.get(outInterface))) return true
    return this.#list('forward-to-host-endpoint', 'forward', 'egress', hostEndpoints.get(outInterface) ?? wildcard)
  }

  send(): boolean {
    const { settings, hostEndpoints, wildcard } = this.#host
    const { outInterface = '' } = this.#packet
    if (this.#isLeftAlone(outInterface)) return this.#pass('from-host', 'loopback is left alone')
    if (this.#early('untracked', hostEndpoints.get(outInterface), 'egress')) return true
    if (settings.isWorkloadInterface(outInterface)) return this.#pass('from-host', 'the host always reaches its workloads')
    return this.#atHost('from-host', 'egress', hostEndpoints.get(outInterface) ?? wildcard)
  }

  /** Programs of the host talk over loopback: policies are for it only where a host endpoint names it. */
  #isLeftAlone(name: string): boolean {
    return name === LOOPBACK && !this.#host.hostEndpoints.has(LOOPBACK)
  }

  get #isKnown(): boolean {
    return this.#packet.state === 'established' || this.#packet.state === 'related'
  }

  /** A place before connection tracking or NAT; what it allows, host endpoints let through. */
  #early(place: 'untracked' | 'pre-dnat', endpoint: LocalEndpoint | undefined, direction: Direction): boolean {
    if (endpoint === undefined || !isAsked(endpoint.tiers, place, direction)) return false
    if (this.#isFailsafe(direction, this.#packet) || (place === 'untracked' && this.#isFailsafeAnswer(direction))) {
      return this.#pass(place, 'a failsafe port', endpoint)
    }
    const list = evaluateList(endpoint, place, direction, this.#packet, this.#host.members)
    this.steps.push({ place, endpoint: endpoint.id, verdict: list.verdict, list })
    this.#isAllowed = list.verdict === 'allow'
    return list.verdict === 'deny'
  }

  #deliverFromWorkload(endpoint: LocalEndpoint | undefined): boolean {
    if (this.#isIcmpv6(WORKLOAD_ICMPV6)) return this.#pass('from-workload', 'neighbour discovery')
    const gateway = GATEWAY_ALLOWS.find((one) => this.#isToGateway(one))
    if (gateway !== undefined) return this.#pass('from-workload', gateway.name)
    if (this.#isKnown) return this.#pass('from-workload', 'its connection is established')
    if (this.#workload('from-workload', 'egress', endpoint)) return true
    const isDropped = this.#host.settings.endpointToHost === 'Drop'
    this.steps.push({ place: 'to-host', verdict: isDropped ? 'deny' : 'allow', because: 'defaultEndpointToHostAction' })
    return isDropped
  }

  #workload(place: 'from-workload' | 'to-workload', direction: Direction, endpoint: LocalEndpoint | undefined): boolean {
    if (endpoint === undefined) {
      this.steps.push({ place, verdict: 'deny', because: 'no workload endpoint has this interface' })
      return true
    }
    if (place === 'from-workload' && this.#isTunnelPacket()) {
      this.steps.push({ place, endpoint: endpoint.id, verdict: 'deny', because: 'workloads may not send tunnel packets' })
      return true
    }
    return this.#list(place, 'normal', direction, endpoint)
  }

  /** Delivery to the host and sending by it. */
  #atHost(place: 'to-host' | 'from-host', direction: Direction, endpoint: LocalEndpoint | undefined): boolean {
    if (this.#isKnown) return this.#pass(place, 'its connection is established')
    if (this.#isAllowed) return this.#pass(place, 'allowed before connection tracking or NAT')
    const peer = direction === 'ingress' ? this.#packet.source.address : this.#packet.destination.address
    const implicit = this.#host.settings.implicit.find((one) => this.#isImplicit(one, direction, peer))
    if (implicit !== undefined) return this.#pass(place, implicit.name)
    if (endpoint === undefined) return false
    if (this.#dropInvalid(place, endpoint)) return true
    if (this.#isFailsafe(direction, this.#translated)) return this.#pass(place, 'a failsafe port', endpoint)
    const isDiscovery = this.#isIcmpv6(HOST_MULTICAST) || (this.#packet.hopLimit === 255 && this.#isIcmpv6(HOST_DISCOVERY))
    if (isDiscovery) return this.#pass(place, 'neighbour discovery', endpoint)
    return this.#list(place, 'normal', direction, endpoint)
  }

  #list(place: Place, stage: ListStage, direction: Direction, endpoint: LocalEndpoint | undefined): boolean {
    if (endpoint === undefined) return false
    if (this.#dropInvalid(place, endpoint)) return true
    const list = evaluateList(endpoint, stage, direction, this.#translated, this.#host.members)
    this.steps.push({ place, endpoint: endpoint.id, verdict: list.verdict, list })
    return list.verdict === 'deny'
  }

  #dropInvalid(place: Place, endpoint: LocalEndpoint): boolean {
    if (this.#packet.state !== 'invalid' || !this.#host.settings.dropsInvalid) return false
    this.steps.push({ place, endpoint: endpoint.id, verdict: 'deny', because: 'connection tracking can make nothing of it' })
    return true
  }

  #isFailsafe(direction: Direction, { protocol, source, destination }: Packet): boolean {
    const { inbound, outbound } = this.#host.settings.failsafes
    if (direction === 'ingress') return isFailsafe(inbound, protocol, destination.port, source.address)
    return isFailsafe(outbound, protocol, destination.port, destination.address)
  }

  /** Both directions of a connection must be tracked, or none. */
  #isFailsafeAnswer(direction: Direction): boolean {
    const { inbound, outbound } = this.#host.settings.failsafes
    const { protocol, source, destination } = this.#packet
    if (direction === 'ingress') return isFailsafe(outbound, protocol, source.port, source.address)
    return isFailsafe(inbound, protocol, source.port, destination.address)
  }

  #isImplicit({ protocol, port, direction, isPeer }: ImplicitAllow, at: Direction, peer: Ip): boolean {
    return (direction === undefined || direction === at) && this.#isOn(protocol, port) && isPeer(peer)
  }

  #isTunnelPacket(): boolean {
    return this.#host.settings.tunnels.some(({ protocol, port }) => this.#isOn(protocol, port))
  }

  #isToGateway({ protocol, port, addresses }: GatewayAllow): boolean {
    return this.#isOn(protocol, port) && addresses.includes(this.#translated.destination.address)
  }

  #isOn(protocol: number, port: number | undefined): boolean {
    return protocol === this.#packet.protocol && (port === undefined || port === this.#translated.destination.port)
  }

  #isIcmpv6(types: readonly number[]): boolean {
    const { family, protocol, icmp } = this.#packet
    return family === 6 && protocol === ICMP_PROTOCOLS[6] && icmp !== undefined && types.includes(icmp.type)
  }

  #pass(place: Place, because: string, endpoint?: LocalEndpoint): false {
    this.steps.push({ place, verdict: 'none', because, ...(endpoint && { endpoint: endpoint.id }) })
    return false
  }
}
