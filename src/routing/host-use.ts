import type { BGPConfiguration } from '../model/bgp-configuration.ts'
import { type BGPPeer, parsePeerAddress } from '../model/bgp-peer.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { IPPool } from '../model/ip-pool.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import { parseSelector } from '../model/selector-parse.ts'
import type { Family, Ip } from '../net/ip.ts'
import { routeOwner } from './owner.ts'

/** What hosts use between each other beside VXLAN, as the resources say it of one host. */
export interface HostUse {
  readonly hasIpip: boolean
  /** UDP, by the family of the outer packets; absent where traffic is not encrypted. */
  readonly wireguardPorts: Readonly<Partial<Record<Family, number>>>
  /** Absent where no BGP is spoken. */
  readonly bgp?: BgpUse | undefined
}

/** With whom a host speaks BGP. */
export interface BgpUse {
  /** TCP, of this host and of the others. */
  readonly port: number
  /** With other hosts of the network: the mesh, or peers that are chosen among them. */
  readonly hasHosts: boolean
  readonly peers: readonly { readonly ip: Ip; readonly port: number }[]
}

/** What the answer is made of. */
export interface HostUseInput {
  readonly node: string
  /** Of its Node. */
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly felix: FelixConfigurationSpec
  readonly pools: Iterable<IPPool>
  readonly bgpConfigurations: ReadonlyMap<string, BGPConfiguration>
  readonly bgpPeers: Iterable<BGPPeer>
}

const BGP_PORT = 179
const WIREGUARD_PORTS = { 4: 51_820, 6: 51_821 } as const

export function hostUse(input: HostUseInput): HostUse {
  const { felix } = input
  const pools = [...input.pools]
  const bgp = bgpUse(input, pools)
  return {
    hasIpip: pools.some(({ spec }) => (spec.ipipMode ?? 'Never') !== 'Never'),
    wireguardPorts: {
      ...(felix.wireguardEnabled ? { 4: felix.wireguardListeningPort ?? WIREGUARD_PORTS[4] } : {}),
      ...(felix.wireguardEnabledV6 ? { 6: felix.wireguardListeningPortV6 ?? WIREGUARD_PORTS[6] } : {}),
    },
    ...(bgp && { bgp }),
  }
}

/** The mesh stands where a BGPConfiguration asks for it, or the routes of a pool are left to BGP and none turns it off. */
function bgpUse({ node, labels, felix, bgpConfigurations, bgpPeers }: HostUseInput, pools: readonly IPPool[]): BgpUse | undefined {
  const configuration = { ...bgpConfigurations.get('default')?.spec, ...bgpConfigurations.get(`node.${node}`)?.spec }
  const isWanted = configuration.nodeToNodeMeshEnabled ?? pools.some((pool) => routeOwner(pool, felix).owner === 'bird')
  const port = configuration.listenPort || BGP_PORT
  const own = [...bgpPeers].filter(({ spec }) => isFor(spec, node, labels))
  const peers = own.flatMap(({ spec }) => {
    if (spec.peerIP === undefined) return []
    const address = parsePeerAddress(spec.peerIP)
    return [{ ip: address.ip, port: address.port ?? BGP_PORT }]
  })
  const hasHosts = isWanted || [...bgpPeers].some(({ spec }) => spec.peerSelector !== undefined)
  return hasHosts || peers.length > 0 ? { port, hasHosts, peers } : undefined
}

function isFor(spec: BGPPeer['spec'], node: string, labels: HostUseInput['labels']): boolean {
  if (spec.node !== undefined && spec.node !== '') return spec.node === node
  return spec.nodeSelector === undefined || matchesSelector(parseSelector(spec.nodeSelector), lookupIn(labels))
}
