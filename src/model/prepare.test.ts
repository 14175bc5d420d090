import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkResource } from './check.ts'
import { decodeResource } from './codec.ts'
import type { AnyResource, ResourceKind, ResourceTypes } from './kinds.ts'
import { prepareCreate, prepareUpdate } from './prepare.ts'
import { API_VERSION } from './resource.ts'
import { workloadEndpointName, workloadEndpointPrefix } from './workload-endpoint-name.ts'

const test = suite('model/prepare')

const NOW = new Date('2026-11-21T10:11:12.345Z')

/** A resource as decoded from this spec. */
function a<K extends ResourceKind>(kind: K, spec: unknown, name = 'default', namespace?: string): ResourceTypes[K] {
  const { resourceVersion: _, ...metadata } = decodeResource(kind, JSON.stringify({ metadata: { name, namespace }, spec }), 1).metadata
  return { ...decodeResource(kind, JSON.stringify({ metadata: { name }, spec }), 1), metadata }
}

function faultsOf(resource: AnyResource): string[] {
  return checkResource(resource).map(({ path, message }) => `${path}: ${message}`)
}

test('a new resource gets uid, time and defaults', () => {
  assert.equal(prepareCreate(a('IPPool', { cidr: '10.65.0.0/16' }, 'p'), NOW, 'uuid'), {
    apiVersion: API_VERSION,
    kind: 'IPPool',
    metadata: { name: 'p', uid: 'uuid', creationTimestamp: '2026-11-21T10:11:12Z' },
    spec: {
      cidr: '10.65.0.0/16',
      vxlanMode: 'Never',
      ipipMode: 'Never',
      blockSize: 26,
      nodeSelector: 'all()',
      allowedUses: ['Workload', 'Tunnel'],
      assignmentMode: 'Automatic',
    },
  } as unknown as ResourceTypes['IPPool'])
  assert.is(prepareCreate(a('IPPool', { cidr: '2001:db8::/48' }, 'p'), NOW, 'u').spec.blockSize, 122)
  assert.equal(prepareCreate(a('Tier', {}, 'default'), NOW, 'u').spec, { order: 1_000_000, defaultAction: 'Deny' })
  assert.is(prepareCreate(a('Tier', {}, 'mine'), NOW, 'u').spec.defaultAction, 'Deny')
  assert.equal(prepareCreate(a('IPAMConfiguration', {}), NOW, 'u').spec, { strictAffinity: false, autoAllocateBlocks: true })
})

test('a new resource has no resourceVersion, and is valid', () => {
  const pool = a('IPPool', { cidr: '10.65.0.0/16' }, 'p')
  assert.throws(
    () => prepareCreate({ ...pool, metadata: { name: 'p', resourceVersion: '5' } }, NOW, 'u'),
    /a new IPPool has no resourceVersion, "p" was given one/,
  )
  assert.throws(
    () => prepareCreate({ ...pool, metadata: { name: 'P' } }, NOW, 'u'),
    /not a valid IPPool "P": metadata\.name: "P" is not a name/,
  )
})

const endpoint = {
  node: 'h-1',
  orchestrator: 'margay',
  workload: 'web',
  endpoint: 'eth0',
  interfaceName: 'mgy0123456789a',
  ipNetworks: ['10.65.0.1'],
}

test('a new workload endpoint gets its name and its labels', () => {
  const given = a('WorkloadEndpoint', endpoint, '', 'prod')
  const made = prepareCreate(
    { ...given, metadata: { ...given.metadata, labels: { app: 'web', 'projectcalico.org/namespace': 'forged' } } },
    NOW,
    'u',
  )
  assert.is(made.metadata.name, 'h--1-margay-web-eth0')
  assert.equal(made.metadata.labels, { app: 'web', 'projectcalico.org/namespace': 'prod', 'projectcalico.org/orchestrator': 'margay' })
  assert.equal(made.spec.ipNetworks, ['10.65.0.1/32'] as unknown as typeof made.spec.ipNetworks)
})

test('an update keeps identity, status and unknown members, and replaces labels', () => {
  const text =
    '{"metadata":{"name":"h1","uid":"u","creationTimestamp":"t","generation":4,"labels":{"a":"1","b":"2"}},"spec":{"later":1,"bgp":{"ipv4Address":"192.0.2.1/24"}},"status":{"wireguardPublicKey":"jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY="}}'
  const stored = decodeResource('Node', text, 9)
  const given = a('Node', { bgp: { ipv4Address: '192.0.2.2/24' } }, 'h1')
  assert.equal(prepareUpdate(stored, { ...given, metadata: { name: 'h1', uid: 'other', labels: { a: '3' } } }), {
    apiVersion: API_VERSION,
    kind: 'Node',
    metadata: { name: 'h1', uid: 'u', creationTimestamp: 't', generation: 4, resourceVersion: '9', labels: { a: '3' } },
    spec: { bgp: { ipv4Address: '192.0.2.2/24' }, later: 1 },
    status: { wireguardPublicKey: 'jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY=' },
  } as unknown as ResourceTypes['Node'])
})

test('what blocks were made by can’t change', () => {
  const stored = decodeResource('IPPool', '{"metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16"}}', 9)
  assert.throws(
    () => prepareUpdate(stored, a('IPPool', { cidr: '10.66.0.0/16', blockSize: 28 }, 'p')),
    (error: Error) =>
      assert.is(
        error.message,
        "IPPool \"p\" can't be changed so: spec.cidr: can't change from 10.65.0.0/16 to 10.66.0.0/16: create another pool; spec.blockSize: can't change from 26 to 28: create another pool",
      ) ?? true,
  )
  assert.is(prepareUpdate(stored, a('IPPool', { cidr: '10.65.0.0/16', disabled: true }, 'p')).spec.disabled, true)
})

const names = [
  [{ node: 'h1', orchestrator: 'k8s', pod: 'web-1', endpoint: 'eth0' }, 'h1-k8s-web--1-eth0'],
  [{ node: 'h1', orchestrator: 'cni', containerID: 'abc', endpoint: 'eth0' }, 'h1-cni-abc-eth0'],
  [{ node: 'h1', orchestrator: 'libnetwork', endpoint: '6b2e' }, 'h1-libnetwork-libnetwork-6b2e'],
  [{ node: 'a-b', orchestrator: 'margay', workload: 'c--d', endpoint: 'eth0' }, 'a--b-margay-c----d-eth0'],
] as const
for (const [identity, want] of names) {
  test(`${want} is the name of its identity`, () => assert.is(workloadEndpointName(identity), want))
}

test('a part that would make names ambiguous is refused', () => {
  assert.throws(
    () => workloadEndpointName({ node: 'h1-', orchestrator: 'margay', workload: 'w', endpoint: 'e' }),
    /node "h1-" of a workload endpoint begins or ends with "-"/,
  )
  assert.throws(
    () => workloadEndpointName({ node: 'h1', orchestrator: 'cni', workload: 'w', endpoint: 'e' }),
    /a workload endpoint needs containerID/,
  )
  assert.is(workloadEndpointPrefix('h-1'), 'h--1-')
})

const faults: readonly (readonly [ResourceKind, unknown, string, readonly string[]])[] = [
  ['IPPool', { cidr: '10.65.0.0/16', blockSize: 19 }, 'p', ['spec.blockSize: 19 is out of range: 20 to 32 for IPv4']],
  ['IPPool', { cidr: '2001:db8::/48', blockSize: 64 }, 'p', ['spec.blockSize: 64 is out of range: 116 to 128 for IPv6']],
  [
    'IPPool',
    { cidr: '10.65.0.0/27' },
    'p',
    ['spec.cidr: 10.65.0.0/27 is smaller than one block: a prefix length of 26 or less, or a larger blockSize'],
  ],
  ['IPPool', { cidr: '10.65.0.0/27', disabled: true }, 'p', []],
  ['IPPool', { cidr: '169.254.0.0/24' }, 'p', ['spec.cidr: 169.254.0.0/24 overlaps the link-local range 169.254.0.0/16']],
  ['IPPool', { cidr: '160.0.0.0/4' }, 'p', ['spec.cidr: 160.0.0.0/4 overlaps the link-local range 169.254.0.0/16']],
  ['IPPool', { cidr: 'fe80:1::/64' }, 'p', ['spec.cidr: fe80:1::/64 overlaps the link-local range fe80::/10']],
  ['IPPool', { cidr: '2001:db8::/48', ipipMode: 'Always' }, 'p', ['spec.ipipMode: "Always" on an IPv6 pool: IPIP carries IPv4 only']],
  [
    'IPPool',
    { cidr: '10.65.0.0/16', ipipMode: 'Always', vxlanMode: 'CrossSubnet' },
    'p',
    ['spec.ipipMode: "Always" beside vxlanMode "CrossSubnet": one of them must be "Never"'],
  ],
  [
    'IPPool',
    {
      cidr: '10.65.0.0/16',
      allowedUses: ['LoadBalancer', 'Workload'],
      vxlanMode: 'Always',
      disableBGPExport: true,
      nodeSelector: 'has(x)',
    },
    'p',
    [
      'spec.allowedUses: LoadBalancer stands alone, not with Workload or Tunnel',
      'spec.allowedUses: LoadBalancer needs ipipMode and vxlanMode "Never"',
      'spec.allowedUses: LoadBalancer needs disableBGPExport false',
      'spec.allowedUses: LoadBalancer needs nodeSelector "all()"',
    ],
  ],
  ['IPPool', { cidr: '10.65.0.0/16', allowedUses: ['Tunnel', 'Tunnel'] }, 'p', ['spec.allowedUses: names a use twice']],
  ['Node', { bgp: {} }, 'h1', ['spec.bgp: is empty: leave it out, or give an address']],
  ['Tier', { order: 5 }, 'default', ['spec.order: the tier default is built in: its order is 1000000, not 5']],
  [
    'Tier',
    { defaultAction: 'Deny' },
    'kube-admin',
    ['spec.defaultAction: the tier kube-admin is built in: its defaultAction is Pass, not Deny'],
  ],
  ['Tier', {}, 'a.b', ['metadata.name: "a.b" is not a tier\'s name (lower-case letters, digits and inner "-", up to 63)']],
  ['Tier', {}, 'constructor', []],
  ['Profile', {}, 'projectcalico-default-allow', ["metadata.name: projectcalico-default-allow is built in and can't be written"]],
  [
    'Profile',
    { labelsToApply: { a: 'b c' } },
    'p',
    [
      'spec.labelsToApply.a: "b c" is not a label value (empty, or up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit)',
    ],
  ],
  ['ClusterInformation', {}, 'x', ['metadata.name: "x": the only one of this kind is "default"']],
  [
    'KubeControllersConfiguration',
    { controllers: { node: { hostEndpoint: { templates: [{ generateName: 'A', labels: { '-': '' }, interfacePattern: 'eth.*' }] } } } },
    'default',
    [
      'spec.controllers.node.hostEndpoint.templates[0].labels.-: "-" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
      'spec.controllers.node.hostEndpoint.templates[0].generateName: "A" can\'t be part of a name',
    ],
  ],
  ['BGPConfiguration', {}, 'x', ['metadata.name: "x": a configuration of this kind is called "default" or "node.<name>"']],
  [
    'BGPConfiguration',
    { asNumber: 1, listenPort: 1790, nodeToNodeMeshEnabled: true },
    'node.h1',
    ['spec.nodeToNodeMeshEnabled: is for the configuration "default" only', 'spec.asNumber: is for the configuration "default" only'],
  ],
  [
    'BGPConfiguration',
    { nodeToNodeMeshEnabled: false, nodeMeshMaxRestartTime: '1m30s' },
    'default',
    ['spec.nodeMeshMaxRestartTime: needs nodeToNodeMeshEnabled true'],
  ],
  [
    'BGPConfiguration',
    { communities: [{ name: 'a', value: '65536:1' }] },
    'default',
    [
      'spec.communities[0].value: "65536:1" is not a community (two parts of 16 bits, 64512:100, or three of 32 bits, 64512:100:1)',
      'spec.communities: needs prefixAdvertisements that use them',
    ],
  ],
  [
    'BGPConfiguration',
    {
      communities: [{ name: 'a', value: '64512:1' }],
      prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: ['a', '64512:1:2', 'b'] }],
    },
    'default',
    [
      'spec.prefixAdvertisements[0].communities: "b" is neither in spec.communities nor a community (two parts of 16 bits, 64512:100, or three of 32 bits, 64512:100:1)',
    ],
  ],
  [
    'FelixConfiguration',
    { nodeSelector: 'all()' },
    'node.h1',
    ['spec.nodeSelector: can\'t be in "node.h1", whose name already says for which hosts it is'],
  ],
  [
    'FelixConfiguration',
    {
      nodeSelector: 'all()',
      routeTableRanges: [
        { min: 1, max: 250 },
        { min: 250, max: 260 },
      ],
    },
    'rack',
    ['spec.routeTableRanges: 250 to 260 is no range of routing tables (1 or more, without 253 to 255)'],
  ],
  [
    'FelixConfiguration',
    {
      failsafeInboundHostPorts: [
        { protocol: 'TCP', port: 22 },
        { protocol: 'icmp', port: 1 },
      ],
    },
    'default',
    ['spec.failsafeInboundHostPorts[1].protocol: "icmp" is not one of tcp, udp, sctp'],
  ],
  [
    'WorkloadEndpoint',
    { ...endpoint, interfaceName: 'this-is-too-long' },
    'h--1-margay-web-eth0',
    ['spec.interfaceName: "this-is-too-long" is not an interface (1 to 15 letters, digits, "_", "." and "-")'],
  ],
  [
    'WorkloadEndpoint',
    { ...endpoint, interfaceName: undefined },
    'h--1-margay-web-eth0',
    ['spec.interfaceName: is required (the name of the interface on the host)'],
  ],
  [
    'WorkloadEndpoint',
    { ...endpoint, ipNetworks: ['10.65.0.0/31'] },
    'h--1-margay-web-eth0',
    ['spec.ipNetworks[0]: 10.65.0.0/31 is more than one address: write 10.65.0.0/32'],
  ],
  [
    'WorkloadEndpoint',
    { ...endpoint, ipNATs: [{ internalIP: '10.65.0.2', externalIP: '2001:db8::1' }] },
    'h--1-margay-web-eth0',
    ['spec.ipNATs[0]: 10.65.0.2 and 2001:db8::1 are of different IP versions', 'spec.ipNATs[0].internalIP: 10.65.0.2 is not in ipNetworks'],
  ],
  [
    'WorkloadEndpoint',
    { ...endpoint, ports: [{ name: 'HTTP', port: 80 }] },
    'h--1-margay-web-eth0',
    ['spec.ports[0].name: "HTTP" is not a port name (up to 15 lower-case letters, digits and inner "-", at least one letter)'],
  ],
]
for (const [kind, spec, name, want] of faults) {
  test(`${kind} ${name} ${JSON.stringify(spec).slice(0, 70)} has ${want.length} faults`, () => {
    assert.equal(faultsOf(a(kind, spec, name, kind === 'WorkloadEndpoint' ? 'default' : undefined)), want)
  })
}

test.run()
