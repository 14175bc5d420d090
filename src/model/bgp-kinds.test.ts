import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { faultsOfSpec } from '../../test/support/given.ts'
import { parsePeerAddress } from './bgp-peer.ts'

const test = suite('model/bgp-kinds')

const PRIORITY = 'must be an integer from 1 to 2147483646'
const COMMUNITY = '(two parts of 16 bits, 64512:100, or three of 32 bits, 64512:100:1)'
const NAME = '(lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit)'
const INTERFACE = 'an interface or a pattern (1 to 15 letters, digits, "_", ".", "-" and "*"'
const ONLY_DEFAULT = 'is for the configuration "default" only'
const ADVERTISED = { prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: ['64512:1'] }] }

const configurations: readonly (readonly [unknown, readonly string[], string?])[] = [
  [{}, []],
  [{ asNumber: '1.10', listenPort: 1790, logSeverityScreen: 'warning', bindMode: 'NodeIP', ignoredInterfaces: ['docker*'] }, []],
  [{ listenPort: 0, nodeToNodeMeshEnabled: false, localWorkloadPeeringIPV4: '192.0.2.1' }, []],
  [{}, ['metadata.name: "rack": a configuration of this kind is called "default" or "node.<name>"'], 'rack'],
  [
    {},
    [
      `metadata.name: "node." is not a name ${NAME}`,
      'metadata.name: "node.": a configuration of this kind is called "default" or "node.<name>"',
    ],
    'node.',
  ],
  [{ asNumber: 4_294_967_296 }, ['spec.asNumber: not an AS number (0 to 4294967295, or 1.10): "4294967296"']],
  [{ logSeverityScreen: 'Loud' }, ['spec.logSeverityScreen: "Loud" is not one of Trace, Debug, Info, Warning, Error, Fatal']],
  [{ listenPort: 65_536 }, ['spec.listenPort: must be an integer from 0 to 65535, not 65536']],
  [
    { serviceClusterIPs: [{ cidr: '10.96.0.1/12' }] },
    ['spec.serviceClusterIPs[0].cidr: "10.96.0.1/12" has host bits set, the prefix is 10.96.0.0/12'],
  ],
  [{ serviceExternalIPs: [{}] }, ['spec.serviceExternalIPs[0].cidr: is required (a string)']],
  [
    { serviceLoadBalancerIPs: [{ cidr: '192.0.2.7' }], serviceLoadBalancerAggregation: 'On' },
    ['spec.serviceLoadBalancerAggregation: "On" is not one of Enabled, Disabled'],
  ],
  [{ nodeMeshPassword: { secretKeyRef: { name: 's' } } }, ['spec.nodeMeshPassword.secretKeyRef.key: is required (a string)']],
  [{ nodeMeshMaxRestartTime: '90' }, ['spec.nodeMeshMaxRestartTime: not a duration such as 90s or 1m30s: "90"']],
  [
    { nodeToNodeMeshEnabled: false, nodeMeshMaxRestartTime: '90s', nodeMeshPassword: { secretKeyRef: { key: 'k' } } },
    ['spec.nodeMeshPassword: needs nodeToNodeMeshEnabled true', 'spec.nodeMeshMaxRestartTime: needs nodeToNodeMeshEnabled true'],
  ],
  [{ bindMode: 'All' }, ['spec.bindMode: "All" is not one of None, NodeIP']],
  [{ ignoredInterfaces: ['*'] }, [`spec.ignoredInterfaces[0]: "*" is not ${INTERFACE}, not "*" alone)`]],
  [
    { ignoredInterfaces: ['an-interface-with-16'] },
    [`spec.ignoredInterfaces[0]: "an-interface-with-16" is not ${INTERFACE}, not "*" alone)`],
  ],
  [{ localWorkloadPeeringIPV4: '2001:db8::1' }, ['spec.localWorkloadPeeringIPV4: not an IPv4 address: "2001:db8::1"']],
  [{ localWorkloadPeeringIPV6: '192.0.2.1' }, ['spec.localWorkloadPeeringIPV6: not an IPv6 address: "192.0.2.1"']],
  [
    { programClusterRoutes: 'Some' },
    ['spec.programClusterRoutes: "Some" is not one of Enabled, Disabled, EnabledIPIPOnly, EnabledNoEncapOnly'],
  ],
  [{ ipv4NormalRoutePriority: 0 }, [`spec.ipv4NormalRoutePriority: ${PRIORITY}, not 0`]],
  [{ ipv6NormalRoutePriority: 2_147_483_647 }, [`spec.ipv6NormalRoutePriority: ${PRIORITY}, not 2147483647`]],
  [{ communities: [{ name: 'a', value: '64512:1' }] }, ['spec.communities: needs prefixAdvertisements that use them']],
  [{ ...ADVERTISED, communities: [{ value: '64512:1' }] }, ['spec.communities[0].name: is required']],
  [{ ...ADVERTISED, communities: [{ name: 'A', value: '64512:1' }] }, [`spec.communities[0].name: "A" is not a name ${NAME}`]],
  [{ ...ADVERTISED, communities: [{ name: 'a' }] }, [`spec.communities[0].value: "" is not a community ${COMMUNITY}`]],
  [
    { ...ADVERTISED, communities: [{ name: 'a', value: '65536:1' }] },
    [`spec.communities[0].value: "65536:1" is not a community ${COMMUNITY}`],
  ],
  [{ prefixAdvertisements: [{ communities: ['64512:1'] }] }, ['spec.prefixAdvertisements[0].cidr: is required (a prefix)']],
  [
    { prefixAdvertisements: [{ cidr: '10.0.0.0/8' }] },
    ['spec.prefixAdvertisements[0].communities: is required (names of communities, or communities)'],
  ],
  [
    { prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: ['a', '4294967295:2:3'] }] },
    [`spec.prefixAdvertisements[0].communities: "a" is neither in spec.communities nor a community ${COMMUNITY}`],
  ],
  [
    { prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: Array(51).fill('64512:1') }] },
    ['spec.prefixAdvertisements[0].communities: has 51 items, 50 are allowed'],
  ],
  [
    { prefixAdvertisements: Array(501).fill(ADVERTISED.prefixAdvertisements[0]) },
    ['spec.prefixAdvertisements: has 501 items, 500 are allowed'],
  ],
  [{ ...ADVERTISED, listenPort: 1790, logSeverityScreen: 'Info' }, [], 'node.h1'],
  ...[
    { nodeToNodeMeshEnabled: true },
    { asNumber: 64_512 },
    { serviceClusterIPs: [] },
    { serviceExternalIPs: [] },
    { serviceLoadBalancerIPs: [] },
    { serviceLoadBalancerAggregation: 'Enabled' },
    { nodeMeshPassword: {} },
    { nodeMeshMaxRestartTime: '90s' },
    { localWorkloadPeeringIPV4: '192.0.2.1' },
    { localWorkloadPeeringIPV6: '2001:db8::1' },
  ].map((spec) => [spec, [`spec.${Object.keys(spec)[0]}: ${ONLY_DEFAULT}`], 'node.h1'] as const),
]
for (const [spec, want, name] of configurations) {
  test(`BGPConfiguration ${name ?? ''} ${JSON.stringify(spec).slice(0, 80)}`, () => {
    assert.equal(faultsOfSpec('BGPConfiguration', spec, name === undefined ? {} : { metadata: { name } }), want)
  })
}

const PEER = { peerIP: '192.0.2.1', asNumber: 64_513 }
const BESIDE = (other: string) => `can't stand beside ${other}: give one of the two`
const WITH_WHOM = 'spec.peerIP: is required, unless peerSelector or localWorkloadSelector says with whom to peer'

const peers: readonly (readonly [unknown, readonly string[]])[] = [
  [PEER, []],
  [{ peerIP: '[2001:db8::1]:1790', asNumber: '64513', node: 'h1', ttlSecurity: 1, sourceAddress: 'None', filters: ['a'] }, []],
  [{ peerSelector: 'has(rr)', nodeSelector: '!has(rr)', reversePeering: 'Manual', nextHopMode: 'Keep' }, []],
  [{ localWorkloadSelector: 'has(router)', asNumber: 64_514 }, []],
  [{ ...PEER, keepOriginalNextHop: false, nextHopMode: 'Self' }, []],
  [{}, [WITH_WHOM]],
  [{ asNumber: 64_513 }, [WITH_WHOM]],
  [{ peerIP: '192.0.2.1' }, ['spec.asNumber: is required with peerIP']],
  [{ peerIP: '192.0.2.1', asNumber: 0 }, ['spec.asNumber: is required with peerIP']],
  [{ localWorkloadSelector: 'all()' }, ['spec.asNumber: is required with localWorkloadSelector']],
  [{ peerSelector: 'all()', asNumber: 1 }, ['spec.asNumber: 1 beside peerSelector: the AS numbers come from the Nodes that it selects']],
  [{ ...PEER, node: 'h1', nodeSelector: 'all()' }, [`spec.nodeSelector: ${BESIDE('node')}`]],
  [{ peerIP: '192.0.2.1', peerSelector: 'all()' }, [`spec.peerSelector: ${BESIDE('peerIP')}`, 'spec.asNumber: is required with peerIP']],
  [{ ...PEER, localWorkloadSelector: 'all()' }, [`spec.localWorkloadSelector: ${BESIDE('peerIP')}`]],
  [
    { localWorkloadSelector: 'all()', peerSelector: 'all()' },
    [`spec.localWorkloadSelector: ${BESIDE('peerSelector')}`, 'spec.asNumber: is required with localWorkloadSelector'],
  ],
  [
    { ...PEER, keepOriginalNextHop: true, nextHopMode: 'Self' },
    ['spec.keepOriginalNextHop: is the old form of nextHopMode: give one of the two'],
  ],
  [{ peerSelector: 'all()', reachableBy: '192.0.2.254' }, ['spec.reachableBy: needs peerIP']],
  [{ ...PEER, reachableBy: '2001:db8::1' }, ['spec.reachableBy: 2001:db8::1 and peerIP 192.0.2.1 are of different IP versions']],
  [{ ...PEER, reachableBy: 'here' }, ['spec.reachableBy: not an IP address: "here"']],
  [{ ...PEER, node: 'H1' }, [`spec.node: "H1" is not a name ${NAME}`]],
  [{ ...PEER, filters: ['a', 'B'] }, [`spec.filters[1]: "B" is not a name ${NAME}`]],
  [
    { ...PEER, nodeSelector: 'rack' },
    [
      'spec.nodeSelector: not a selector: "rack": at column 5 expected an operator (==, !=, in, not in, contains, starts with, ends with), found the end',
    ],
  ],
  [{ ...PEER, nextHopMode: 'Own' }, ['spec.nextHopMode: "Own" is not one of Auto, Self, Keep']],
  [{ ...PEER, sourceAddress: 'Any' }, ['spec.sourceAddress: "Any" is not one of UseNodeIP, None']],
  [{ ...PEER, reversePeering: 'Never' }, ['spec.reversePeering: "Never" is not one of Auto, Manual']],
  [{ ...PEER, maxRestartTime: 'long' }, ['spec.maxRestartTime: not a duration such as 90s or 1m30s: "long"']],
  [{ ...PEER, keepaliveTime: '5' }, ['spec.keepaliveTime: not a duration such as 90s or 1m30s: "5"']],
  [{ ...PEER, numAllowedLocalASNumbers: -1 }, ['spec.numAllowedLocalASNumbers: must be an integer from 0 to 2147483647, not -1']],
  [{ ...PEER, ttlSecurity: 256 }, ['spec.ttlSecurity: must be an integer from 0 to 255, not 256']],
  [{ ...PEER, localASNumber: '1.65536' }, ['spec.localASNumber: not an AS number (0 to 4294967295, or 1.10): "1.65536"']],
  [{ ...PEER, password: { secretKeyRef: {} } }, ['spec.password.secretKeyRef.key: is required (a string)']],
  [
    { ...PEER, peerIP: '2001:db8::1:1790:x' },
    [`spec.peerIP: not a peer's address (192.0.2.1, 192.0.2.1:1790, [2001:db8::1]:1790): "2001:db8::1:1790:x"`],
  ],
]
for (const [spec, want] of peers) {
  test(`BGPPeer ${JSON.stringify(spec).slice(0, 80)}`, () => assert.equal(faultsOfSpec('BGPPeer', spec), want))
}

const addresses: readonly (readonly [string, { readonly ip: string; readonly port: number | undefined } | undefined])[] = [
  ['192.0.2.1', { ip: '192.0.2.1', port: undefined }],
  ['192.0.2.1:1790', { ip: '192.0.2.1', port: 1790 }],
  ['2001:DB8::1', { ip: '2001:db8::1', port: undefined }],
  ['[2001:db8::1]:65535', { ip: '2001:db8::1', port: 65_535 }],
  ['192.0.2.1:0', undefined],
  ['192.0.2.1:65536', undefined],
  ['[192.0.2.1]:1790', undefined],
  ['[2001:db8::1]', undefined],
  ['192.0.2:1790', undefined],
  ['peer.example', undefined],
]
for (const [text, want] of addresses) {
  test(`${text} is ${want === undefined ? 'no address of a peer' : 'an address of a peer'}`, () => {
    if (want === undefined) assert.throws(() => parsePeerAddress(text), /not a peer's address/)
    else assert.equal(parsePeerAddress(text) as typeof want, want)
  })
}

const rule = (more: object) => ({ importV4: [{ action: 'Accept', ...more }] })
const AT = 'spec.importV4[0]'
const RANGE = { cidr: '10.0.0.0/8', matchOperator: 'In' }

const filters: readonly (readonly [unknown, readonly string[]])[] = [
  [{}, []],
  [rule({}), []],
  [rule({ ...RANGE, prefixLength: { min: 16, max: 24 }, source: 'RemotePeers', interface: 'eth*', peerType: 'eBGP', priority: 1 }), []],
  [rule({ communities: { values: ['64512:1'] }, asPathPrefix: [64_512, '1.1'], operations: [{ setPriority: { value: 5 } }] }), []],
  [{ exportV6: [{ action: 'Reject', cidr: '2001:db8::/32', matchOperator: 'NotIn', prefixLength: { max: 128 } }] }, []],
  [{ importV4: [{}] }, [`${AT}.action: is required (one of Accept, Reject)`]],
  [{ exportV4: [{ action: 'Deny' }] }, ['spec.exportV4[0].action: "Deny" is not one of Accept, Reject']],
  [rule({ cidr: '10.0.0.0/8' }), [`${AT}.matchOperator: is required with cidr`]],
  [rule({ matchOperator: 'In' }), [`${AT}.matchOperator: "In" needs cidr`]],
  [rule({ ...RANGE, matchOperator: 'Within' }), [`${AT}.matchOperator: "Within" is not one of Equal, NotEqual, In, NotIn`]],
  [rule({ ...RANGE, cidr: '2001:db8::/32' }), [`${AT}.cidr: not an IPv4 prefix: "2001:db8::/32"`]],
  [{ importV6: [{ action: 'Accept', ...RANGE }] }, ['spec.importV6[0].cidr: not an IPv6 prefix: "10.0.0.0/8"']],
  [rule({ ...RANGE, cidr: '10.0.0.1/8' }), [`${AT}.cidr: "10.0.0.1/8" has host bits set, the prefix is 10.0.0.0/8`]],
  [rule({ prefixLength: { min: 8 } }), [`${AT}.prefixLength: needs cidr`]],
  [rule({ ...RANGE, prefixLength: { min: 33 } }), [`${AT}.prefixLength.min: must be an integer from 0 to 32, not 33`]],
  [rule({ ...RANGE, prefixLength: { min: 24, max: 16 } }), [`${AT}.prefixLength: min 24 is greater than max 16`]],
  [
    { exportV6: [{ action: 'Reject', cidr: '2001:db8::/32', matchOperator: 'In', prefixLength: { max: 129 } }] },
    ['spec.exportV6[0].prefixLength.max: must be an integer from 0 to 128, not 129'],
  ],
  [rule({ source: 'Local' }), [`${AT}.source: "Local" is not one of RemotePeers`]],
  [rule({ interface: 'a b' }), [`${AT}.interface: "a b" is not ${INTERFACE})`]],
  [rule({ peerType: 'ebgp' }), [`${AT}.peerType: "ebgp" is not one of eBGP, iBGP: did you mean "eBGP"?`]],
  [rule({ communities: { values: [] } }), [`${AT}.communities.values: has 0 communities, just one is allowed`]],
  [rule({ communities: { values: ['64512:1', '64512:2'] } }), [`${AT}.communities.values: has 2 communities, just one is allowed`]],
  [rule({ communities: { values: ['64512'] } }), [`${AT}.communities.values[0]: "64512" is not a community ${COMMUNITY}`]],
  [rule({ asPathPrefix: ['x'] }), [`${AT}.asPathPrefix[0]: not an AS number (0 to 4294967295, or 1.10): "x"`]],
  [rule({ priority: 0 }), [`${AT}.priority: ${PRIORITY}, not 0`]],
  [
    { importV4: [{ action: 'Reject', operations: [{ setPriority: { value: 1 } }] }] },
    [`${AT}.operations: can only be done with action "Accept"`],
  ],
  [rule({ operations: [{}] }), [`${AT}.operations[0]: must have one of addCommunity, prependASPath, setPriority`]],
  [
    rule({ operations: [{ setPriority: { value: 1 }, addCommunity: { value: '64512:1' } }] }),
    [`${AT}.operations[0]: must have one of addCommunity, prependASPath, setPriority`],
  ],
  [rule({ operations: Array(11).fill({ setPriority: { value: 1 } }) }), [`${AT}.operations: has 11 operations, 10 are allowed`]],
  [
    rule({ operations: [{ addCommunity: { value: '1' } }] }),
    [`${AT}.operations[0].addCommunity.value: "1" is not a community ${COMMUNITY}`],
  ],
  [rule({ operations: [{ setPriority: { value: -1 } }] }), [`${AT}.operations[0].setPriority.value: ${PRIORITY}, not -1`]],
  [
    rule({ operations: [{ prependASPath: { prefix: [] } }] }),
    [`${AT}.operations[0].prependASPath.prefix: has 0 AS numbers, 1 to 10 are allowed`],
  ],
]
for (const [spec, want] of filters) {
  test(`BGPFilter ${JSON.stringify(spec).slice(0, 80)}`, () => assert.equal(faultsOfSpec('BGPFilter', spec), want))
}

const STATUS = { node: 'h1', classes: ['Agent'], updatePeriodSeconds: 0 }
const statuses: readonly (readonly [unknown, readonly string[]])[] = [
  [STATUS, []],
  [{}, ['spec.node: is required (a string)', 'spec.classes: is required (a list)', 'spec.updatePeriodSeconds: is required (a number)']],
  [{ ...STATUS, node: 'H' }, [`spec.node: "H" is not a name ${NAME}`]],
  [{ ...STATUS, classes: [] }, ['spec.classes: is empty: give one or more of Agent, BGP, Routes']],
  [{ ...STATUS, classes: ['BGP', 'BGP'] }, ['spec.classes: names a class twice']],
  [{ ...STATUS, classes: ['Felix'] }, ['spec.classes[0]: "Felix" is not one of Agent, BGP, Routes']],
  [{ ...STATUS, updatePeriodSeconds: 86_401 }, ['spec.updatePeriodSeconds: must be an integer from 0 to 86400, not 86401']],
]
for (const [spec, want] of statuses) {
  test(`CalicoNodeStatus ${JSON.stringify(spec)}`, () => assert.equal(faultsOfSpec('CalicoNodeStatus', spec), want))
}

test.run()
