import { type Address, type Desired, type Link, MAIN_TABLE, type Neighbour, type Route, type Sysctl } from '../kernel/objects.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { hostCidr } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import { addressProblem, familiesOf, GATEWAYS, HOST_SIDE_V6, workloadAddresses } from './addresses.ts'
import { spoofingProblem } from './anti-spoofing.ts'
import { HOST_SIDE_MAC } from './interfaces.ts'

/** What a local endpoint's plan depends on beside its record. */
export interface EndpointInput {
  readonly endpoint: WorkloadEndpoint
  /** Path of the network namespace, pinned here; undefined for an interface that somebody else made, or a namespace that is gone. */
  readonly netns: string | undefined
  /** By the family of a workload's addresses. Bytes. */
  readonly mtuBytes: Readonly<Record<Family, number>>
  /** Whether the host's kernel has IPv6. */
  readonly hasIpv6: boolean
  readonly felix: Pick<FelixConfigurationSpec, 'workloadSourceSpoofing' | 'ipv4NormalRoutePriority' | 'ipv6NormalRoutePriority'>
  /** Gives a route's metric as the kernel reads it back. */
  readonly metricOf: (family: Family, priority: number) => number
}

/** A local endpoint's part, or why it can't be set up. */
export interface EndpointPlan {
  readonly part: Desired
  readonly problem: string | undefined
}

/** Orchestrators whose endpoints' interfaces we make ourselves; without a network namespace there is nothing to connect. */
const OWN_ORCHESTRATORS: readonly string[] = ['margay']

/** Calico's priority of a workload's route; a lower one means "prefer me" to its BGP (live migration). */
const NORMAL_PRIORITY = 1024

const GATEWAY_METRIC = 32_768

/**
 * Everything that the host needs for one workload of its own: the veth pair, its parameters, the gateway, the routes and the
 * neighbour entries. Nothing of an endpoint that is not in order is set up.
 */
export function planEndpoint(input: EndpointInput): EndpointPlan {
  const { endpoint, netns, felix } = input
  const link = endpoint.spec.interfaceName
  if (link === undefined || link === '') return refuse('its record names no interface (spec.interfaceName)')
  const problem = addressProblem(endpoint) ?? spoofingProblem(endpoint, felix)
  if (problem !== undefined) return refuse(problem)
  if (netns === undefined && OWN_ORCHESTRATORS.includes(endpoint.spec.orchestrator ?? '')) {
    return refuse('its network namespace is not there on this host')
  }
  const addresses = workloadAddresses(endpoint)
  const served = addresses.filter((ip) => input.hasIpv6 || familyOf(ip) === 4)
  const unserved = addresses.find((ip) => !served.includes(ip))
  const shortfall = unserved === undefined ? undefined : `its address ${unserved} can't be used: the host's kernel has no IPv6`
  return served.length === 0 ? refuse(shortfall ?? 'it has no address') : { part: partOf(input, link, served), problem: shortfall }
}

/**
 * The host's own route to the gateway's address, on the uplink. Proxy ARP answers for an address only where the host has a route to it by
 * another interface than the question came from: without this, workloads of a host that has no default route would have no gateway.
 * No packet takes it; the high metric leaves the address to whoever really has it there.
 */
export function gatewayRoute(uplink: string): Route {
  return { table: MAIN_TABLE, destination: hostCidr(GATEWAYS[4]), metric: GATEWAY_METRIC, type: 'unicast', link: uplink }
}

function refuse(problem: string): EndpointPlan {
  return { part: {}, problem }
}

function partOf(input: EndpointInput, link: string, addresses: readonly Ip[]): Desired {
  const families = familiesOf(addresses)
  return {
    links: vethOf(input, link, addresses),
    sysctls: [...(families.includes(4) ? sysctlsV4(input, link) : []), ...(input.hasIpv6 ? sysctlsV6(link, families.includes(6)) : [])],
    addresses: gatewayAddresses(input, link, families),
    neighbours: neighboursOf(input, link, addresses),
    routes: addresses.map((ip) => routeTo(input, link, ip)),
  }
}

function vethOf({ endpoint, netns, mtuBytes }: EndpointInput, link: string, addresses: readonly Ip[]): readonly Link[] {
  if (netns === undefined) return []
  const families = familiesOf(addresses)
  const { mac, endpoint: name = 'eth0' } = endpoint.spec
  const peer = {
    netns,
    name,
    ...(mac === undefined ? {} : { mac }),
    addresses: (endpoint.spec.ipNetworks ?? []).filter((address) => families.includes(familyOf(address))),
    gateways: families.map((family) => GATEWAYS[family]),
  }
  const mtu = Math.min(...families.map((family) => mtuBytes[family]))
  return [{ kind: 'veth', name: link, mtuBytes: mtu, mac: HOST_SIDE_MAC, peer }]
}

/**
 * The host answers for 169.254.1.1 and for every other address by proxy ARP, at once. A source that is not routed to this interface is
 * forged and dropped by rp_filter, but where the record allows foreign sources. `route_localnet`, which Calico turns on for node ports, stays
 * off: with it a workload could reach what listens on the host's 127.0.0.1.
 */
function sysctlsV4({ endpoint }: EndpointInput, link: string): readonly Sysctl[] {
  const maySpoof = (endpoint.spec.allowSpoofedSourcePrefixes ?? []).length > 0
  return [
    { key: `net/ipv4/conf/${link}/rp_filter`, value: maySpoof ? '0' : '1' },
    { key: `net/ipv4/conf/${link}/proxy_arp`, value: '1' },
    { key: `net/ipv4/neigh/${link}/proxy_delay`, value: '0' },
    { key: `net/ipv4/conf/${link}/forwarding`, value: '1' },
    // A source route leads past policy: the packet bears the host's address when it is asked about, and then goes on (RFC 791, 3.1).
    { key: `net/ipv4/conf/${link}/accept_source_route`, value: '0' },
  ]
}

function sysctlsV6(link: string, isUsed: boolean): readonly Sysctl[] {
  if (!isUsed) return [{ key: `net/ipv6/conf/${link}/disable_ipv6`, value: '1' }]
  return [
    { key: `net/ipv6/conf/${link}/disable_ipv6`, value: '0' },
    // A workload must not be able to give the host routes.
    { key: `net/ipv6/conf/${link}/accept_ra`, value: '0' },
    { key: `net/ipv6/conf/${link}/proxy_ndp`, value: '1' },
    { key: `net/ipv6/neigh/${link}/proxy_delay`, value: '0' },
    { key: `net/ipv6/conf/${link}/forwarding`, value: '1' },
  ]
}

function gatewayAddresses({ netns }: EndpointInput, link: string, families: readonly Family[]): readonly Address[] {
  // Who made the interface himself has given it a link-local address of his own.
  return netns !== undefined && families.includes(6) ? [{ link, address: HOST_SIDE_V6 }] : []
}

/** With the MAC on record the host never asks for it: one round trip less, and nobody else can answer. */
function neighboursOf({ endpoint }: EndpointInput, link: string, addresses: readonly Ip[]): readonly Neighbour[] {
  const { mac } = endpoint.spec
  return mac === undefined ? [] : addresses.map((ip) => ({ link, ip, mac }))
}

function routeTo({ felix, metricOf }: EndpointInput, link: string, ip: Ip): Route {
  const family = familyOf(ip)
  const priority = (family === 4 ? felix.ipv4NormalRoutePriority : felix.ipv6NormalRoutePriority) ?? NORMAL_PRIORITY
  return { table: MAIN_TABLE, destination: hostCidr(ip), metric: metricOf(family, priority), type: 'unicast', link }
}
