import type { NftSet } from '../kernel/objects.ts'
import { cidrContains, parseCidrLoosely } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import { withoutCovered } from '../net/prefix-set.ts'
import type { ImplicitAllow } from './evaluate-path.ts'
import { externalSetName, HOST_SETS } from './frame.ts'
import type { ImplicitRule } from './implicit-rules.ts'
import type { Direction } from './policies.ts'

/** What this host and the others must be able to say to each other whatever policies say, and an empty list of failsafes does not close. */
export interface ImplicitInput {
  /** Absent where no tunnel uses VXLAN. */
  readonly vxlanPort: number | undefined
  readonly hasIpip: boolean
  /** UDP, by the family of the outer packets. */
  readonly wireguardPorts: Readonly<Partial<Record<Family, number>>>
  readonly bgp?:
    | { readonly port: number; readonly hasHosts: boolean; readonly peers: readonly { readonly ip: Ip; readonly port: number }[] }
    | undefined
  readonly etcd: EtcdUse
  /** Senders of tunnel packets beside the hosts (FelixConfiguration externalNodesList): addresses or prefixes. */
  readonly externalHosts: readonly string[]
}

/** Where etcd is, for this host. */
export interface EtcdUse {
  readonly endpoints: readonly { readonly ip: Ip; readonly port: number }[]
  /** TCP ports of the etcd that this host runs itself. */
  readonly ownPorts: readonly number[]
}

/** What is let through: with whom, and in which direction the first packet goes. */
interface Implicit {
  readonly name: string
  readonly protocol: number
  readonly port?: number | undefined
  /** Absent: both. */
  readonly direction?: Direction | undefined
  /** The families of the packets; absent: both. */
  readonly families?: readonly Family[] | undefined
  readonly withHosts?: boolean
  readonly withExternal?: boolean
  /** A set of their own. */
  readonly peers?: { readonly set: string; readonly ips: readonly Ip[] }
}

/** The same in the three forms in which it is needed: rules, the sets that they name beside those of the frame, and the measure. */
export interface ImplicitPlan {
  readonly rules: readonly ImplicitRule[]
  readonly sets: readonly NftSet[]
  /** Whether an address is in one of the sets that the rules name, hosts being those of which `isHost` says so. */
  readonly isIn: (isHost: (ip: Ip) => boolean, set: string, ip: Ip) => boolean
  readonly allowsOf: (isHost: (ip: Ip) => boolean) => readonly ImplicitAllow[]
}

const [IPIP, TCP, UDP] = [4, 6, 17]
/** RFC 5881, sections 4 and 5 (control and echo), RFC 5883 (several hops). */
const BFD_PORTS = [3784, 3785, 4784]

/** What hosts always let through, from and to addresses that are known only. */
export function planImplicit(input: ImplicitInput): ImplicitPlan {
  const all = [...tunnels(input), ...wireguard(input), ...bgp(input), ...etcd(input.etcd)]
  const external = withoutCovered(input.externalHosts.map(parseCidrLoosely))
  const externalFamilies = FAMILIES.filter((family) => external.some((cidr) => familyOf(cidr) === family))
  const sets = new Map(all.flatMap(setsOf).map((set) => [set.name, set]))
  return {
    rules: all.map((one) => ruleOf(one, externalFamilies)).filter(({ peers }) => peers.length > 0),
    sets: [...sets.values()],
    isIn: (isHost, name, ip) => {
      const family = familyOf(ip)
      if (name === HOST_SETS[family]) return isHost(ip)
      if (name === externalSetName(family)) return external.some((cidr) => cidrContains(cidr, ip))
      return sets.get(name)?.elements.has(ip) === true
    },
    allowsOf: (isHost) =>
      all.map((one) => {
        const { name, protocol, port, direction, families = FAMILIES, peers } = one
        const isExternal = (ip: Ip) => one.withExternal === true && external.some((cidr) => cidrContains(cidr, ip))
        const isPeer = (ip: Ip) =>
          families.includes(familyOf(ip)) && ((one.withHosts === true && isHost(ip)) || isExternal(ip) || peers?.ips.includes(ip) === true)
        return { name, protocol, port, direction, isPeer }
      }),
  }
}

function tunnels({ vxlanPort, hasIpip }: ImplicitInput): readonly Implicit[] {
  const withAll = { withHosts: true, withExternal: true }
  return [
    ...(vxlanPort === undefined ? [] : [{ name: 'VXLAN between hosts of the network', protocol: UDP, port: vxlanPort, ...withAll }]),
    ...(hasIpip ? [{ name: 'IP-in-IP between hosts of the network', protocol: IPIP, families: [4] as const, ...withAll }] : []),
  ]
}

function wireguard({ wireguardPorts }: ImplicitInput): readonly Implicit[] {
  return FAMILIES.flatMap((family) => {
    const port = wireguardPorts[family]
    const name = 'WireGuard between hosts of the network'
    return port === undefined ? [] : [{ name, protocol: UDP, port, families: [family], withHosts: true }]
  })
}

/** Who is a peer may connect to us, and we to him at his port; BFD, which tells BGP that the way is dead, goes both ways. */
function bgp({ bgp: use }: ImplicitInput): readonly Implicit[] {
  if (use === undefined) return []
  const peers = { set: 'bgp-peers', ips: use.peers.map(({ ip }) => ip) }
  const ports = [...new Set(use.peers.map(({ port }) => port))].sort((a, b) => a - b)
  const hosts = { withHosts: use.hasHosts }
  return [
    ...(use.hasHosts ? [{ name: 'BGP between hosts of the network', protocol: TCP, port: use.port, ...hosts }] : []),
    ...(peers.ips.length === 0
      ? []
      : [{ name: 'BGP from a BGP peer', protocol: TCP, port: use.port, direction: 'ingress' as const, peers }]),
    ...ports.map((port) => {
      const ips = use.peers.filter((peer) => peer.port === port).map(({ ip }) => ip)
      return { name: 'BGP to a BGP peer', protocol: TCP, port, direction: 'egress' as const, peers: { set: `bgp-peers-${port}-`, ips } }
    }),
    ...BFD_PORTS.map((port) => ({ name: 'BFD with whom BGP is spoken', protocol: UDP, port, ...hosts, peers })),
  ]
}

function etcd({ endpoints, ownPorts }: EtcdUse): readonly Implicit[] {
  const ports = [...new Set(endpoints.map(({ port }) => port))].sort((a, b) => a - b)
  return [
    ...ports.map((port) => {
      const ips = endpoints.filter((endpoint) => endpoint.port === port).map(({ ip }) => ip)
      return { name: 'etcd in use', protocol: TCP, port, direction: 'egress' as const, peers: { set: `etcd-${port}-`, ips } }
    }),
    ...ownPorts.map((port) => ({
      name: 'the etcd of this host',
      protocol: TCP,
      port,
      direction: 'ingress' as const,
      withHosts: true,
    })),
  ]
}

function setsOf({ peers }: Implicit): readonly NftSet[] {
  return FAMILIES.flatMap((family) => {
    const elements = new Set(peers?.ips.filter((ip) => familyOf(ip) === family))
    return peers === undefined || elements.size === 0
      ? []
      : [{ kind: 'set', name: `${peers.set}${family}`, family, isInterval: false, elements }]
  })
}

function ruleOf(one: Implicit, externalFamilies: readonly Family[]): ImplicitRule {
  const { name, protocol, port, direction, families = FAMILIES } = one
  const own = new Set(setsOf(one).map((set) => set.name))
  const peers = families.flatMap((family) => [
    ...(one.withHosts === true ? [{ family, set: HOST_SETS[family] }] : []),
    ...(one.withExternal === true && externalFamilies.includes(family) ? [{ family, set: externalSetName(family) }] : []),
    ...(own.has(`${one.peers?.set}${family}`) ? [{ family, set: `${one.peers?.set}${family}` }] : []),
  ])
  return { name, protocol, port, direction, peers }
}
