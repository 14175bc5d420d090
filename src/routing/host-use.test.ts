import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aPool } from '../../test/support/planning.ts'
import type { BGPConfiguration } from '../model/bgp-configuration.ts'
import type { BGPPeer } from '../model/bgp-peer.ts'
import { API_VERSION } from '../model/resource.ts'
import { type HostUse, type HostUseInput, hostUse } from './host-use.ts'

const test = suite('routing/host-use')

function use(input: Partial<HostUseInput>): HostUse {
  const nothing = { node: 'h1', labels: { rack: 'a' }, felix: {}, pools: [], bgpConfigurations: new Map(), bgpPeers: [] }
  return hostUse({ ...nothing, ...input })
}

function aPeer(spec: Record<string, unknown>): BGPPeer {
  return { apiVersion: API_VERSION, kind: 'BGPPeer', metadata: { name: 'p' }, spec } as BGPPeer
}

function configured(name: string, spec: Record<string, unknown>): readonly [string, BGPConfiguration] {
  return [name, { apiVersion: API_VERSION, kind: 'BGPConfiguration', metadata: { name }, spec } as BGPConfiguration]
}

const plain = { hasIpip: false, wireguardPorts: {} }
const unencapsulated = aPool('10.65.0.0/16', { vxlanMode: 'Never' })
const mesh = { port: 179, hasHosts: true, peers: [] }

const cases: readonly { name: string; input: Partial<HostUseInput>; want: HostUse }[] = [
  { name: 'VXLAN alone uses nothing else', input: { pools: [aPool('10.65.0.0/16')] }, want: plain },
  {
    name: 'a pool with ipipMode uses IP-in-IP',
    input: { pools: [aPool('10.65.0.0/16', { vxlanMode: 'Never', ipipMode: 'CrossSubnet' })] },
    want: { ...plain, hasIpip: true },
  },
  {
    name: 'WireGuard is used where it is turned on, at its ports',
    input: { felix: { wireguardEnabled: true, wireguardEnabledV6: true, wireguardListeningPortV6: 999 } },
    want: { ...plain, wireguardPorts: { 4: 51_820, 6: 999 } },
  },
  { name: 'a pool whose routes are left to BGP makes a mesh', input: { pools: [unencapsulated] }, want: { ...plain, bgp: mesh } },
  {
    name: 'routes that are ours make none',
    input: { pools: [unencapsulated], felix: { programClusterRoutes: 'Enabled' } },
    want: plain,
  },
  {
    name: 'a mesh that is turned off is none',
    input: { pools: [unencapsulated], bgpConfigurations: new Map([configured('default', { nodeToNodeMeshEnabled: false })]) },
    want: plain,
  },
  {
    name: 'a mesh that is asked for is one, at the port of the host',
    input: {
      bgpConfigurations: new Map([configured('default', { nodeToNodeMeshEnabled: true }), configured('node.h1', { listenPort: 1790 })]),
    },
    want: { ...plain, bgp: { ...mesh, port: 1790 } },
  },
  {
    name: "peers of all hosts, of this one, and of hosts with its labels are peers; another's are not",
    input: {
      bgpPeers: [
        aPeer({ peerIP: '192.0.2.1' }),
        aPeer({ peerIP: '192.0.2.2:1790', node: 'h1' }),
        aPeer({ peerIP: '[2001:db8::3]:99', nodeSelector: 'rack == "a"' }),
        aPeer({ peerIP: '192.0.2.4', node: 'h2' }),
        aPeer({ peerIP: '192.0.2.5', nodeSelector: 'rack == "b"' }),
      ],
    },
    want: {
      ...plain,
      bgp: {
        port: 179,
        hasHosts: false,
        peers: [
          { ip: '192.0.2.1', port: 179 },
          { ip: '192.0.2.2', port: 1790 },
          { ip: '2001:db8::3', port: 99 },
        ] as never,
      },
    },
  },
  {
    name: 'peers that are chosen among hosts are hosts',
    input: { bgpPeers: [aPeer({ nodeSelector: 'rack == "b"', peerSelector: 'rack == "a"' })] },
    want: { ...plain, bgp: mesh },
  },
]

for (const { name, input, want } of cases) test(name, () => assert.equal(use(input), want))

test.run()
