import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { faultsOfSpec, type GivenMore } from '../../test/support/given.ts'
import { decodeResource, encodeResource } from './codec.ts'
import type { AnyResource, ResourceKind } from './kinds.ts'

const test = suite('model/settings-kinds')

const ONLY = 'the only one of this kind is "default"'
const LABEL = 'up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit'
const TEMPLATE = 'spec.controllers.node.hostEndpoint.templates[0]'
const SETTINGS = '`NAME=true` or `NAME=false`, with commas between'
const TABLES = 'is no range of routing tables (from 1 to'
const templates = (template: object) => ({ controllers: { node: { hostEndpoint: { templates: [template] } } } })

/** Specs with all that is said of them; nothing of what is permitted. */
const cases: readonly (readonly [ResourceKind, unknown, readonly string[], GivenMore?])[] = [
  ['ClusterInformation', { clusterType: 'margay', datastoreReady: false }, []],
  ['ClusterInformation', {}, [`metadata.name: "x": ${ONLY}`], { metadata: { name: 'x' } }],
  ['ClusterInformation', { datastoreReady: 'yes' }, ['spec.datastoreReady: must be true or false, not "yes"']],

  ['KubeControllersConfiguration', templates({ interfaceCIDRs: ['192.0.2.1/24'], labels: { a: '' }, nodeSelector: 'all()' }), []],
  ['KubeControllersConfiguration', { controllers: {}, prometheusMetricsPort: 0, logSeverityScreen: 'info' }, []],
  ['KubeControllersConfiguration', { controllers: {} }, [`metadata.name: "x": ${ONLY}`], { metadata: { name: 'x' } }],
  ['KubeControllersConfiguration', { healthChecks: 'Disabled' }, []],
  ['KubeControllersConfiguration', {}, []],
  [
    'KubeControllersConfiguration',
    templates({ generateName: 'A', labels: { '-': '' }, annotations: { 'a b': 'c' }, interfacePattern: 'eth.*' }),
    [
      `${TEMPLATE}.labels.-: "-" is not a label name (${LABEL}, after an optional DNS name and "/")`,
      `${TEMPLATE}.annotations.a b: "a b" is not a label name (${LABEL}, after an optional DNS name and "/")`,
      `${TEMPLATE}.generateName: "A" can't be part of a name`,
    ],
  ],
  [
    'KubeControllersConfiguration',
    templates({ generateName: 'a' }),
    [`${TEMPLATE}: needs interfaceCIDRs or interfacePattern: which addresses or interfaces it is for`],
  ],
  [
    'KubeControllersConfiguration',
    templates({ interfacePattern: '(' }),
    [`${TEMPLATE}.interfacePattern: "(" is not a regular expression (Unterminated group)`],
  ],
  ['KubeControllersConfiguration', templates({ interfaceCIDRs: ['eth0'] }), [`${TEMPLATE}.interfaceCIDRs[0]: not an IP address: "eth0"`]],
  [
    'KubeControllersConfiguration',
    { controllers: { node: { hostEndpoint: { autoCreate: 'Yes' } } } },
    ['spec.controllers.node.hostEndpoint.autoCreate: "Yes" is not one of Enabled, Disabled'],
  ],
  [
    'KubeControllersConfiguration',
    { controllers: { loadBalancer: { assignIPs: 'All' } }, debugProfilePort: 65_536, etcdV3CompactionPeriod: '10' },
    [
      'spec.etcdV3CompactionPeriod: not a duration such as 90s or 1m30s: "10"',
      'spec.controllers.loadBalancer.assignIPs: "All" is not one of AllServices, RequestedServicesOnly',
      'spec.debugProfilePort: must be an integer from 0 to 65535, not 65536',
    ],
  ],

  ['FelixConfiguration', { nodeSelector: 'has(rack)', vxlanVNI: 4096 }, [], { metadata: { name: 'rack' } }],
  ['FelixConfiguration', { defaultEndpointToHostAction: 'RETURN', logSeverityScreen: 'none', bpfEnforceRPF: 'strict' }, []],
  ['FelixConfiguration', { featureDetectOverride: 'SNATFullyRandom=true,RestoreSupportsLock=', featureGates: 'A=b,C=d' }, []],
  ['FelixConfiguration', { failsafeInboundHostPorts: [], mtuIfacePattern: '^eth', natPortRange: '1024:65535' }, []],
  [
    'FelixConfiguration',
    { nodeSelector: 'all()' },
    ['spec.nodeSelector: can\'t be in "node.h1", whose name already says for which hosts it is'],
    { metadata: { name: 'node.h1' } },
  ],
  [
    'FelixConfiguration',
    {
      routeTableRanges: [
        { min: 1, max: 250 },
        { min: 260, max: 250 },
        { min: 0, max: 4_294_967_296 },
      ],
    },
    [
      `spec.routeTableRanges[1]: 260 to 250 ${TABLES} 4294967295)`,
      `spec.routeTableRanges[2]: 0 to 4294967296 ${TABLES} 4294967295)`,
      'spec.routeTableRanges: names more than 65535 tables',
    ],
  ],
  ['FelixConfiguration', { routeTableRange: { min: 9, max: 1 } }, [`spec.routeTableRange: 9 to 1 ${TABLES} 250)`]],
  ['FelixConfiguration', { routeTableRange: { min: 1, max: 253 } }, [`spec.routeTableRange: 1 to 253 ${TABLES} 250)`]],
  ['FelixConfiguration', { routeTableRanges: [{ min: 1, max: 10_000 }] }, []],
  ['FelixConfiguration', { routeTableRanges: [{ min: 1000, max: 66_535 }] }, ['spec.routeTableRanges: names more than 65535 tables']],
  [
    'FelixConfiguration',
    { routeTableRanges: [], routeTableRange: { min: 1, max: 2 } },
    ['spec.routeTableRange: is the old form of routeTableRanges: give one of the two'],
  ],
  [
    'FelixConfiguration',
    {
      failsafeInboundHostPorts: [
        { protocol: 'TCP', port: 22 },
        { protocol: 'icmp', port: 1 },
      ],
    },
    ['spec.failsafeInboundHostPorts[1].protocol: "icmp" is not one of tcp, udp, sctp'],
  ],
  [
    'FelixConfiguration',
    {
      failsafeOutboundHostPorts: [
        { port: 65_536, net: 'home' },
        { protocol: 'x', port: 1 },
      ],
    },
    [
      'spec.failsafeOutboundHostPorts[0].port: must be an integer from 0 to 65535, not 65536',
      'spec.failsafeOutboundHostPorts[0].net: not an IP address: "home"',
      'spec.failsafeOutboundHostPorts[1].protocol: "x" is not one of tcp, udp, sctp',
    ],
  ],
  [
    'FelixConfiguration',
    { defaultEndpointToHostAction: 'Let' },
    ['spec.defaultEndpointToHostAction: "Let" is not one of Drop, Return, Accept'],
  ],
  ['FelixConfiguration', { workloadSourceSpoofing: 'Some' }, ['spec.workloadSourceSpoofing: "Some" is not one of Disabled, Any']],
  ['FelixConfiguration', { iptablesBackend: 'nf' }, ['spec.iptablesBackend: "nf" is not one of Legacy, NFT, Auto: did you mean "NFT"?']],
  ['FelixConfiguration', { nftablesMode: 'On' }, ['spec.nftablesMode: "On" is not one of Enabled, Disabled, Auto']],
  ['FelixConfiguration', { bpfLogLevel: 'Loud' }, ['spec.bpfLogLevel: "Loud" is not one of Off, Info, Debug']],
  ['FelixConfiguration', { bpfEnabled: 'true' }, ['spec.bpfEnabled: must be true or false, not "true"']],
  ['FelixConfiguration', { vxlanVNI: 16_777_216 }, ['spec.vxlanVNI: must be an integer from 1 to 16777215, not 16777216']],
  ['FelixConfiguration', { vxlanPort: 0 }, ['spec.vxlanPort: must be an integer from 1 to 65535, not 0']],
  [
    'FelixConfiguration',
    { wireguardRoutingRulePriority: 32_766 },
    ['spec.wireguardRoutingRulePriority: must be an integer from 1 to 32765, not 32766'],
  ],
  [
    'FelixConfiguration',
    { wireguardInterfaceName: 'a-name-that-is-long' },
    ['spec.wireguardInterfaceName: "a-name-that-is-long" is not an interface (1 to 15 letters, digits, "_", "." and "-")'],
  ],
  [
    'FelixConfiguration',
    { iptablesNATOutgoingInterfaceFilter: 'eth 0' },
    ['spec.iptablesNATOutgoingInterfaceFilter: "eth 0" is not an interface, or the beginning of one and "+" (1 to 15 characters)'],
  ],
  ['FelixConfiguration', { natPortRange: '9:1' }, ['spec.natPortRange: the range "9:1" is the wrong way round: write 1:9']],
  ['FelixConfiguration', { natOutgoingAddress: '2001:db8::1' }, ['spec.natOutgoingAddress: not an IPv4 address: "2001:db8::1"']],
  [
    'FelixConfiguration',
    { mtuIfacePattern: '[' },
    ['spec.mtuIfacePattern: "[" is not a regular expression (Unterminated character class)'],
  ],
  ['FelixConfiguration', { reportingInterval: '90' }, ['spec.reportingInterval: not a duration such as 90s or 1m30s: "90"']],
  ['FelixConfiguration', { reportingInterval: 90 }, ['spec.reportingInterval: must be a string, not 90: put it in quotes']],
  [
    'FelixConfiguration',
    { logActionRateLimit: '5/week' },
    ['spec.logActionRateLimit: "5/week" is not a rate (1 to 9999 a second, minute, hour or day: 5/second)'],
  ],
  [
    'FelixConfiguration',
    { logPrefix: 'a;b' },
    ['spec.logPrefix: "a;b" is not a prefix of log lines (letters, digits, blanks, "%", ":", "/", "_" and "-")'],
  ],
  ['FelixConfiguration', { featureDetectOverride: 'A=true,B=maybe' }, [`spec.featureDetectOverride: "B=maybe" is not ${SETTINGS}`]],
  [
    'FelixConfiguration',
    { iptablesMarkMask: 4_294_967_296 },
    ['spec.iptablesMarkMask: must be an integer from 0 to 4294967295, not 4294967296'],
  ],
  ['FelixConfiguration', { externalNodesList: ['192.0.2.1', '198.51.100.0/24'], bpfForceTrackPacketsFromIfaces: ['docker+'] }, []],
  [
    'FelixConfiguration',
    { externalNodesList: ['192.0.2.1', '2001:db8::1'] },
    ['spec.externalNodesList[1]: 2001:db8::1/128 is not an IPv4 address or prefix'],
  ],
  [
    'FelixConfiguration',
    { bpfForceTrackPacketsFromIfaces: ['eth0', 'eth@0'] },
    ['spec.bpfForceTrackPacketsFromIfaces[1]: "eth@0" is not an interface, or the beginning of one and "+" (1 to 15 characters)'],
  ],
  ['FelixConfiguration', { externalNodesList: ['here'] }, ['spec.externalNodesList[0]: not an IP address: "here"']],
  ['FelixConfiguration', { kubeNodePortRanges: Array(8).fill(80) }, ['spec.kubeNodePortRanges: has 8 items, 7 are allowed']],
  [
    'FelixConfiguration',
    { kubeNodePortRanges: ['http'] },
    ['spec.kubeNodePortRanges[0]: not a port (0 to 65535) or a range such as 8000:8100: "http"'],
  ],
  [
    'FelixConfiguration',
    { openstackRegion: 'Region' },
    ['spec.openstackRegion: "Region" is not a region (lower-case letters, digits and inner "-", up to 46)'],
  ],
  ['FelixConfiguration', { prometheusMetricsHost: 'a b' }, ['spec.prometheusMetricsHost: "a b" is not an address or a name']],
  [
    'FelixConfiguration',
    { healthTimeoutOverrides: [{ name: 'a/b', timeout: '-1s' }] },
    [
      'spec.healthTimeoutOverrides[0].name: "a/b" is not the name of a part: letters, digits, "_", "-" and blanks',
      'spec.healthTimeoutOverrides[0].timeout: "-1s" is less than 0',
    ],
  ],
  ['FelixConfiguration', { healthTimeoutOverrides: [{ name: 'a' }] }, ['spec.healthTimeoutOverrides[0].timeout: is required (a string)']],
  [
    'FelixConfiguration',
    { programClusterRoutes: 'enabled' },
    ['spec.programClusterRoutes: "enabled" is not one of Enabled, Disabled, EnabledIPIPOnly, EnabledNoEncapOnly: did you mean "Enabled"?'],
  ],
]
for (const [kind, spec, want, more] of cases) {
  test(`${kind} ${more === undefined ? '' : JSON.stringify(more)} ${JSON.stringify(spec).slice(0, 90)}`, () => {
    assert.equal(faultsOfSpec(kind, spec, more), want)
  })
}

test('settings that margay does not act on are read whatever they say, and written as they were', () => {
  const text = JSON.stringify({
    ...{ kind: 'FelixConfiguration', apiVersion: 'projectcalico.org/v3', metadata: { name: 'default' } },
    spec: { vxlanPort: 4790, bpfEnabled: 'sometimes', bpfLogLevel: 'Loud', routeSource: 7 },
  })
  const read = decodeResource('FelixConfiguration', text, 1)
  assert.is(read.spec.vxlanPort, 4790)
  assert.is(encodeResource(read as AnyResource), text)
  const wrong = JSON.stringify({ metadata: { name: 'default' }, spec: { vxlanPort: 'x' } })
  assert.throws(() => decodeResource('FelixConfiguration', wrong, 1), /spec\.vxlanPort/)
})

test.run()
