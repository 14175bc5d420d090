import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkResource } from './check.ts'
import { decodeResource, encodeResource } from './codec.ts'
import type { AnyResource, ResourceKind } from './kinds.ts'

const test = suite('model/set-aside')

const ENDPOINT = { orchestrator: 'margay', workload: 'w', node: 'h1', endpoint: 'eth0' }

/** Specs as other versions may have written them. */
const kept: readonly (readonly [string, ResourceKind, unknown])[] = [
  ['a word that this version does not know', 'BGPPeer', { peerIP: '192.0.2.1', asNumber: 64_513, nextHopMode: 'Own' }],
  ['a value of another type', 'FelixConfiguration', { vxlanPort: 4790, bpfEnabled: 'sometimes', bpfLogLevel: 'Loud', routeSource: 7 }],
  ['an item of a list', 'BGPPeer', { peerIP: '192.0.2.1', asNumber: 64_513, filters: ['a', 5, 'b', 6] }],
  [
    'an item of a list of objects',
    'FelixConfiguration',
    {
      routeTableRanges: [
        { min: 1, max: 9 },
        { min: 'x', max: 'y' },
      ],
    },
  ],
  [
    'fields of an endpoint that others act on',
    'WorkloadEndpoint',
    {
      ...ENDPOINT,
      interfaceName: 'mgy0',
      ports: [{ name: 'a', port: 1, hostPort: 'x' }],
      qosControls: { ingressBandwidth: '1M', dscp: 99 },
    },
  ],
  ['what must be there in one that need not be', 'BGPFilter', { exportV4: [{ action: 'Accept' }], importV4: [{ action: 'Perhaps' }] }],
  ['something else in the place of a list', 'FelixConfiguration', { routeTableRanges: 'all' }],
  ['something else in the place of lists', 'Node', { orchRefs: 'none', other: 5 }],
  ['something else in the place of objects', 'BGPConfiguration', { communities: 'x', prefixAdvertisements: 5, ignoredInterfaces: {} }],
  ['a field of a list, and the list', 'BGPFilter', { exportV4: [{ matchOperator: 'Like', action: 'Perhaps' }, 5] }],
  [
    'something else in the place of texts',
    'BGPConfiguration',
    { communities: [{ name: 'a', value: 7 }], prefixAdvertisements: [{ cidr: 1, communities: [1.5] }, 'all'] },
  ],
  ['something else in the place of rules', 'BGPFilter', { exportV4: 'all', importV6: [5, { action: 'Accept', operations: 7 }] }],
  [
    'something else in the place of numbers',
    'BGPPeer',
    { node: 5, peerIP: 5, asNumber: {}, peerSelector: 1, reachableBy: 7, filters: 'a' },
  ],
  [
    'something else in the place of controllers',
    'KubeControllersConfiguration',
    { controllers: { node: { leakGracePeriod: 5 }, policy: 'x', loadBalancer: { assignIPs: 7 } } },
  ],
  [
    'something else in the place of tables',
    'FelixConfiguration',
    { openstackRegion: 5, healthTimeoutOverrides: [5], kubeNodePortRanges: 5 },
  ],
  ['something else in the place of addresses', 'WorkloadEndpoint', { ...ENDPOINT, ipNATs: 5, ipv4Gateway: 5, qosControls: 'x' }],
  ['a pool in a mode that this version does not know', 'IPPool', { cidr: '10.65.0.0/16', ipipMode: 'Sometimes', natOutgoing: true }],
  ['an address of a device that margay does not make', 'Node', { bgp: { ipv4Address: '192.0.2.1/24', ipv4IPIPTunnelAddr: 'none' } }],
]
for (const [name, kind, spec] of kept) {
  // Rules between fields are judged when a daemon writes the resource again, and they meet what was set aside.
  test(`judged without a fall: ${name}`, () => {
    const read = decodeResource(kind, JSON.stringify({ metadata: { name: 'a' }, spec }), 1) as AnyResource
    assert.type(checkResource(read).length, 'number')
  })

  test(`read, and written as it was: ${name}`, () => {
    const text = JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name: 'a' }, spec })
    const read = decodeResource(kind, text, 1) as AnyResource
    assert.equal(read.spec as unknown, spec)
    assert.is(encodeResource(read), text)
  })
}

const refused: readonly (readonly [string, ResourceKind, unknown, RegExp])[] = [
  ['a field that margay acts on', 'FelixConfiguration', { vxlanPort: 'x', bpfEnabled: 'x' }, /spec\.vxlanPort: .*spec\.bpfEnabled: /],
  [
    'one of them in a list',
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ name: 'a', port: 'x', hostPort: 'x' }] },
    /spec\.ports\[0\]\.port: /,
  ],
  [
    'something else in the place of fields',
    'FelixConfiguration',
    { failsafeInboundHostPorts: 'all' },
    /spec\.failsafeInboundHostPorts: must be a list/,
  ],
  ['what must be there', 'CalicoNodeStatus', { node: 'h1', classes: ['All'], updatePeriodSeconds: 1 }, /spec\.classes\[0\]: /],
  ['metadata', 'BGPPeer', undefined, /spec: must be an object/],
]
for (const [name, kind, spec, message] of refused) {
  test(`not read: ${name}`, () => {
    const text = JSON.stringify({ metadata: { name: 'a' }, spec: spec ?? 5 })
    assert.throws(() => decodeResource(kind, text, 1), message)
  })
}

test.run()
