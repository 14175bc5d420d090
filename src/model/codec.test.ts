import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeEntry, decodeResource, encodeLive, encodeResource, mergeUnknown } from './codec.ts'
import { decodeBlock, encodeBlock } from './ipam-block-codec.ts'
import { decodeAffinity, decodeHandle, decodeIpamConfig, encodeAffinity, encodeHandle, encodeIpamConfig } from './ipam-record-codec.ts'
import { resourceKey } from './keys.ts'
import type { AnyResource, ResourceKind, ResourceTypes } from './kinds.ts'

const test = suite('model/codec')

const POOL = resourceKey('IPPool', 'p')

function aText(kind: ResourceKind, spec: string, rest = ''): string {
  return `{"kind":"${kind}","apiVersion":"projectcalico.org/v3","metadata":{"name":"default","uid":"u","creationTimestamp":"2026-08-02T09:15:04Z"},"spec":${spec}${rest}}`
}

/** Texts as Calico's own clients write them. */
const asWritten: readonly (readonly [ResourceKind, string, string?])[] = [
  [
    'Node',
    '{"bgp":{"asNumber":64512,"ipv4Address":"192.0.2.10/24","ipv6Address":"2001:db8::10/64","ipv4IPIPTunnelAddr":"10.48.0.64","routeReflectorClusterID":"244.0.0.1"},"ipv4VXLANTunnelAddr":"10.48.0.65","vxlanTunnelMACAddr":"66:11:22:33:44:55","wireguard":{"interfaceIPv4Address":"10.48.0.66"},"addresses":[{"address":"192.0.2.10/24","type":"CalicoNodeIP"}],"interfaces":[{"name":"eth0","addresses":["192.0.2.10"]}]}',
    ',"status":{"wireguardPublicKey":"jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY="}',
  ],
  [
    'IPPool',
    '{"cidr":"10.48.0.0/16","vxlanMode":"CrossSubnet","ipipMode":"Never","natOutgoing":true,"blockSize":26,"nodeSelector":"all()","allowedUses":["Workload","Tunnel"],"assignmentMode":"Automatic"}',
  ],
  [
    'BGPConfiguration',
    '{"logSeverityScreen":"Info","nodeToNodeMeshEnabled":false,"asNumber":64512,"serviceClusterIPs":[{"cidr":"10.96.0.0/12"}]}',
  ],
  [
    'FelixConfiguration',
    '{"defaultEndpointToHostAction":"Return","failsafeInboundHostPorts":[],"usageReportingEnabled":false,"bpfEnabled":false}',
  ],
  [
    'Profile',
    '{"ingress":[{"action":"Allow","source":{"selector":"tier == \'web\'"}}],"egress":[{"action":"Allow"}],"labelsToApply":{"":"x","a":"","b":"web"}}',
  ],
  [
    'ClusterInformation',
    '{"clusterGUID":"9f0c5f0f2d5e4b0f8d0a6a4a1f2b3c4d","clusterType":"lnw,bgp","calicoVersion":"v3.32.0","datastoreReady":false}',
  ],
  ['Tier', '{"order":1000000,"defaultAction":"Deny"}'],
  ['Tier', '{"order":0,"defaultAction":"Deny"}'],
  ['IPAMConfiguration', '{"strictAffinity":false,"autoAllocateBlocks":true}'],
  ['KubeControllersConfiguration', '{"controllers":{"node":{"syncLabels":"Enabled","hostEndpoint":{"autoCreate":"Disabled"}}}}'],
  ['IPReservation', '{"reservedCIDRs":["10.48.3.0/28","10.48.3.17","2001:db8::7/64"]}'],
  [
    'BGPPeer',
    '{"nodeSelector":"rack == \'a\'","peerIP":"192.0.2.1:1790","asNumber":64513,"localASNumber":64999,"nextHopMode":"Self","password":{"secretKeyRef":{"name":"bgp","key":"tor"}},"sourceAddress":"UseNodeIP","maxRestartTime":"1m30s","keepaliveTime":"20s","numAllowedLocalASNumbers":0,"ttlSecurity":1,"reachableBy":"192.0.2.254","filters":["no-default"],"reversePeering":"Manual"}',
  ],
  [
    'BGPFilter',
    '{"exportV4":[{"cidr":"10.0.0.0/8","prefixLength":{"min":0,"max":24},"source":"RemotePeers","interface":"eth*","matchOperator":"In","peerType":"eBGP","communities":{"values":["64512:1"]},"asPathPrefix":[64512],"priority":5,"action":"Accept","operations":[{"addCommunity":{"value":"64512:1:2"}},{"prependASPath":{"prefix":[64512,64512]}},{"setPriority":{"value":9}}]}],"importV6":[{"action":"Reject"}]}',
  ],
  [
    'CalicoNodeStatus',
    '{"node":"h1","classes":["Agent","BGP","Routes"],"updatePeriodSeconds":0}',
    ',"status":{"lastUpdated":"2026-08-02T09:15:04Z","agent":{"birdV4":{"state":"Ready","version":"1","routerID":"192.0.2.10"},"birdV6":{}},"bgp":{"numberEstablishedV4":1,"numberNotEstablishedV4":0,"numberEstablishedV6":0,"numberNotEstablishedV6":0,"peersV4":[{"peerIP":"192.0.2.1","type":"GlobalPeer","state":"Established","since":"09:10:11"}]},"routes":{"routesV4":[{"type":"FIB","destination":"10.48.0.64/26","gateway":"N/A","interface":"blackhole","learnedFrom":{"sourceType":"Static"}}]}}',
  ],
  [
    'FelixConfiguration',
    '{"nodeSelector":"has(rack)","ipv6Support":false,"interfacePrefix":"cali","defaultEndpointToHostAction":"Return","vxlanMTU":0,"vxlanPort":4789,"reportingInterval":"0s","healthTimeoutOverrides":[{"name":"a","timeout":"5s"}],"failsafeInboundHostPorts":[{"protocol":"tcp","port":0},{"port":22,"net":"192.0.2.0/24"}],"natPortRange":"1024:2047","programClusterRoutes":"Enabled","externalNodesList":[],"bpfEnabled":true,"bpfLogFilters":{"all":"tcp"},"bpfMapSizeConntrack":512000,"routeTableRanges":[{"min":1,"max":250}],"wireguardEnabled":true,"wireguardKeepAlive":"0s","workloadSourceSpoofing":"Any","goGCThreshold":-1}',
  ],
]
for (const [kind, spec, rest] of asWritten) {
  test(`${kind} ${spec.slice(0, 40)} is written as it was read`, () => {
    const text = aText(kind, spec, rest)
    const resource = decodeResource(kind, text, 7)
    assert.is(resource.metadata.resourceVersion, '7')
    assert.is(encodeResource(resource as AnyResource), text)
  })
}

test('a workload endpoint has its id and its members in order', () => {
  const text =
    '{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"h1-libnetwork-libnetwork-6b2e","namespace":"libnetwork","labels":{"app":"db"}},"spec":{"orchestrator":"libnetwork","workload":"libnetwork","node":"h1","endpoint":"6b2e","ipNetworks":["10.48.0.70/32"],"profiles":["web"],"interfaceName":"cali6b2e","mac":"ee:ee:ee:ee:ee:ee","ports":[{"name":"http","protocol":"TCP","port":8080}]}}'
  const entry = decodeEntry(resourceKey('WorkloadEndpoint', 'h1-libnetwork-libnetwork-6b2e', 'libnetwork'), text, 9)
  assert.is(entry?.id, 'libnetwork/h1-libnetwork-libnetwork-6b2e')
  assert.is(encodeResource(entry?.value as AnyResource), text)
})

test('what this version does not know is kept, wherever it stands, with every digit', () => {
  const text = aText(
    'IPPool',
    '{"cidr":"10.48.0.0/16","vxlanMode":"Always","later":{"deep":[1,null,12345678901234567890]}}',
    ',"status":{"conditions":[{"type":"Allocatable","status":"True","reason":"later"}]},"more":true',
  ).replace('"uid"', '"generation":3,"uid"')
  assert.is(encodeResource(decodeResource('IPPool', text, 1)), text.replace('"generation":3,"uid":"u",', '"uid":"u","generation":3,'))
})

test('canonical forms, and what Go leaves out', () => {
  const text = aText(
    'IPPool',
    '{"cidr":"FD80:24E2::/48","natOutgoing":false,"disabled":false,"nodeSelector":"","allowedUses":[],"ipipMode":null}',
  )
  const pool = decodeResource('IPPool', text, 1)
  assert.equal(pool.spec, {
    cidr: 'fd80:24e2::/48',
    natOutgoing: false,
    disabled: false,
    allowedUses: [],
  } as unknown as ResourceTypes['IPPool']['spec'])
  assert.match(encodeResource(pool), /"spec":\{"cidr":"fd80:24e2::\/48"\}\}$/)
})

test('strings are escaped as Go does', () => {
  const text = aText('IPPool', '{"cidr":"10.48.0.0/16","nodeSelector":"has(a) \\u0026\\u0026 b != \'\\u003cx\\u003e\'"}')
  const pool = decodeResource('IPPool', text, 1)
  assert.is(pool.spec.nodeSelector, "has(a) && b != '<x>'")
  assert.is(encodeResource(pool), text)
})

const refused: readonly (readonly [ResourceKind, string, string])[] = [
  ['IPPool', '{}', 'not an IPPool: spec.cidr: is required (a string)'],
  ['IPPool', '{"cidr":"10.0.0.1/8"}', 'not an IPPool: spec.cidr: "10.0.0.1/8" has host bits set, the prefix is 10.0.0.0/8'],
  [
    'IPPool',
    '{"cidr":5,"vxlanMode":"always"}',
    'not an IPPool: spec.cidr: must be a string, not 5: put it in quotes; spec.vxlanMode: "always" is not one of Never, Always, CrossSubnet: did you mean "Always"?',
  ],
  ['Node', '{"bgp":{"ipv4Address":"2001:db8::1"}}', 'not a Node: spec.bgp.ipv4Address: not an IPv4 address: "2001:db8::1"'],
]
for (const [kind, spec, message] of refused) {
  test(`${kind} ${spec} does not parse`, () => {
    assert.throws(
      () => decodeEntry(resourceKey(kind, 'default'), aText(kind, spec), 1),
      (error: Error) => assert.is(error.message, message) ?? true,
    )
  })
}

test('what is no object, and no JSON, does not parse', () => {
  assert.throws(() => decodeEntry(POOL, '[]', 1), /not an IPPool: metadata: is required/)
  assert.throws(() => decodeEntry(POOL, '{"a":', 1), /the value is not JSON/)
  assert.throws(() => decodeEntry(POOL, '', 1), /the value is not JSON/)
})

test('a member called __proto__ is data like any other', () => {
  const text = aText('IPPool', '{"cidr":"10.48.0.0/16","__proto__":{"disabled":true},"constructor":1}')
  const pool = decodeResource('IPPool', text, 1)
  assert.is(pool.spec.disabled, undefined)
  assert.is(encodeResource(pool), text)
})

test('an update keeps the members of the stored object that this version does not know', () => {
  const stored = decodeResource(
    'Node',
    aText('Node', '{"later":1,"bgp":{"ipv4Address":"192.0.2.1/24","deep":2},"interfaces":[{"name":"a","x":1},{"name":"b","x":2}]}'),
    1,
  )
  const given = decodeResource('Node', aText('Node', '{"bgp":{"ipv4Address":"192.0.2.9/24"},"interfaces":[{"name":"b"},{"name":"c"}]}'), 1)
  assert.is(
    encodeResource(mergeUnknown(stored, given)),
    aText('Node', '{"bgp":{"ipv4Address":"192.0.2.9/24","deep":2},"interfaces":[{"name":"b","x":2},{"name":"c"}],"later":1}'),
  )
})

test('an update keeps what it does not know in rules that an older writer filled with empty objects', () => {
  const rules = '[{"action":"Log","source":{},"destination":{}},{"action":"Allow","source":{},"destination":{"ports":["a"],"x":2},"y":1}]'
  const stored = decodeResource('Profile', aText('Profile', `{"ingress":${rules}}`), 1)
  const given = decodeResource('Profile', aText('Profile', '{"ingress":[{"action":"Allow","destination":{"ports":["a"]}}]}'), 1)
  assert.is(
    encodeResource(mergeUnknown(stored, given)),
    aText('Profile', '{"ingress":[{"action":"Allow","destination":{"ports":["a"],"x":2},"y":1}]}'),
  )
})

const BLOCK =
  '{"cidr":"10.48.0.64/29","affinity":"host:h1","affinity_claim_time":"2026-08-02T09:15:04Z","allocations":[0,null,1,null,null,null,null,null],"unallocated":[1,3,4,5,6,7],"attributes":[{"handle_id":"ipip-tunnel-addr-h1","secondary":{"node":"h1","type":"ipipTunnelAddress"}},{"releasedAt":"2026-08-02T09:15:04Z","later":1}],"sequenceNumber":18446744073709551615,"sequenceNumberForAllocation":{"0":1785662104123456789,"2":1785662104123456790},"deleted":false,"more":{"n":12345678901234567890}}'

test('a block keeps every digit and what it does not know', () => {
  const block = decodeBlock(BLOCK)
  assert.is(block.sequenceNumber, 18_446_744_073_709_551_615n)
  assert.is(block.sequenceNumberForAllocation.get(0), 1_785_662_104_123_456_789n)
  assert.is(encodeBlock(block), BLOCK)
})

test('a block of nobody has a null affinity', () => {
  const text =
    '{"cidr":"10.48.0.64/32","affinity":null,"allocations":[null],"unallocated":[0],"attributes":[],"sequenceNumber":3,"sequenceNumberForAllocation":{},"deleted":false}'
  assert.is(decodeBlock(text).affinity, undefined)
  assert.is(encodeBlock(decodeBlock(text)), text)
})

test('a block of an old writer is read', () => {
  const block = decodeBlock('{"cidr":"10.48.0.64/32","hostAffinity":"h1","allocations":[null],"unallocated":null,"attributes":null}')
  assert.equal(block, {
    cidr: '10.48.0.64/32',
    affinity: 'host:h1',
    allocations: [undefined],
    unallocated: [],
    attributes: [],
    sequenceNumber: 0n,
    sequenceNumberForAllocation: new Map(),
    deleted: false,
  } as unknown as typeof block)
})

const badBlocks = [
  [BLOCK.replace('"10.48.0.64/29"', '"10.48.0.64/28"'), /10\.48\.0\.64\/28 has 16 addresses, not 8/],
  [BLOCK.replace('"10.48.0.64/29"', '"10.0.0.0/8"'), /10\.0\.0\.0\/8 has 2\^24 addresses/],
  [BLOCK.replace('[0,null', '["0",null'), /allocations\[0\]: must be a number, not "0"/],
  [BLOCK.replace('18446744073709551615', '1.5'), /sequenceNumber: must be a whole number/],
] as const
for (const [text, message] of badBlocks) {
  test(`a block is refused: ${message.source}`, () => assert.throws(() => decodeBlock(text), message))
}

test('affinities, handles and the configuration are written as they were read', () => {
  for (const text of ['{"state":"pending","deleted":false}', '{"state":"confirmed","deleted":false,"later":1}'])
    assert.is(encodeAffinity(decodeAffinity(text)), text)
  for (const text of ['', '{}', '{"state":""}']) assert.equal(decodeAffinity(text), { state: 'confirmed', deleted: false })
  for (const text of ['{"block":{"10.48.0.64/29":1},"deleted":false}', '{"block":{},"deleted":false}'])
    assert.is(encodeHandle(decodeHandle(text)), text)
  for (const text of [
    '{"strict_affinity":true,"auto_allocate_blocks":true,"maxBlocksPerHost":20,"kubeVirtVMAddressPersistence":"Enabled"}',
    '{}',
  ]) {
    assert.is(encodeIpamConfig(decodeIpamConfig(text)), text)
  }
  assert.throws(() => decodeAffinity('{"state":"maybe"}'), /not a block affinity: state: "maybe" is not one of/)
})

test('a live record is read, without receiving modes of later versions', () => {
  const record = {
    node: 'h1',
    instance: 'i',
    version: '1',
    startedAt: '2026-11-21T00:00:00Z',
    addresses: ['192.0.2.1'],
    receives: { '10.65.0.0/16': ['vxlan'] },
  }
  const later = { ...record, receives: { '10.65.0.0/16': ['vxlan', 'later'] } }
  const entry = decodeEntry('/margay/v1/live/h1', encodeLive(later as unknown as Parameters<typeof encodeLive>[0]), 1)
  assert.equal(entry, { kind: 'Live', id: 'h1', value: record } as unknown as typeof entry)
})

test('a key that nobody follows holds nothing', () => assert.is(decodeEntry('/calico/ipam/v2/config', '{}', 1), undefined))

test.run()
