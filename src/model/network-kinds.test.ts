import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { faultsOfSpec, type GivenMore } from '../../test/support/given.ts'
import type { ResourceKind } from './kinds.ts'

const test = suite('model/network-kinds')

const NAME = '(lower-case letters, digits, "-" and ".", up to 253, beginning and ending with a letter or digit)'
const LINK_LOCAL = 'overlaps the link-local range'
const POOL = { cidr: '10.65.0.0/16' }
const KEY = 'jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY='
const ENDPOINT = {
  ...{ node: 'h-1', orchestrator: 'margay', workload: 'web', endpoint: 'eth0' },
  ...{ interfaceName: 'mgy0123456789a', ipNetworks: ['10.65.0.1'] },
}
const DSCP = 'is not a DSCP value (0 to 63, or a name such as EF, AF11 or CS1)'
const WHOLE = 'must be an integer from 0 to 9007199254740991'

/** Specs with all that is said of them; nothing of what is permitted. */
const cases: readonly (readonly [ResourceKind, unknown, readonly string[], GivenMore?])[] = [
  ['Node', {}, []],
  [
    'Node',
    { bgp: { ipv4Address: '192.0.2.1/24', ipv6Address: '2001:db8::1', asNumber: '64512' } },
    [],
    { status: { wireguardPublicKey: KEY } },
  ],
  ['Node', { bgp: {} }, ['spec.bgp: is empty: leave it out, or give an address']],
  ['Node', { bgp: { ipv4Address: '2001:db8::1' } }, ['spec.bgp.ipv4Address: not an IPv4 address: "2001:db8::1"']],
  ['Node', { bgp: { ipv6Address: '192.0.2.1/24' } }, ['spec.bgp.ipv6Address: not an IPv6 address: "192.0.2.1/24"']],
  ['Node', { bgp: { asNumber: -1 } }, ['spec.bgp.asNumber: not an AS number (0 to 4294967295, or 1.10): "-1"']],
  ['Node', { bgp: { routeReflectorClusterID: 5 } }, ['spec.bgp.routeReflectorClusterID: must be a string, not 5: put it in quotes']],
  ['Node', { bgp: { ipv4IPIPTunnelAddr: '10.65.0.0/32' } }, ['spec.bgp.ipv4IPIPTunnelAddr: not an IP address: "10.65.0.0/32"']],
  ['Node', { ipv4VXLANTunnelAddr: '2001:db8::1' }, ['spec.ipv4VXLANTunnelAddr: not an IPv4 address: "2001:db8::1"']],
  ['Node', { ipv6VXLANTunnelAddr: '10.65.0.1' }, ['spec.ipv6VXLANTunnelAddr: not an IPv6 address: "10.65.0.1"']],
  ['Node', { vxlanTunnelMACAddr: '66:11' }, ['spec.vxlanTunnelMACAddr: not a MAC address: "66:11"']],
  ['Node', { vxlanTunnelMACAddrV6: 'x' }, ['spec.vxlanTunnelMACAddrV6: not a MAC address: "x"']],
  ['Node', { wireguard: { interfaceIPv4Address: 'x' } }, ['spec.wireguard.interfaceIPv4Address: not an IP address: "x"']],
  ['Node', { orchRefs: [{ nodeName: 'a' }] }, ['spec.orchRefs[0].orchestrator: is required (a string)']],
  ['Node', { addresses: [{ type: 'InternalIP' }] }, ['spec.addresses[0].address: is required (a string)']],
  [
    'Node',
    { addresses: [{ address: '192.0.2.1', type: 'Home' }] },
    ['spec.addresses[0].type: "Home" is not one of CalicoNodeIP, InternalIP, ExternalIP'],
  ],
  [
    'Node',
    { interfaces: [{ name: 'eth0', addresses: ['192.0.2.1/24'] }] },
    ['spec.interfaces[0].addresses[0]: not an IP address: "192.0.2.1/24"'],
  ],
  ['Node', {}, ['status.wireguardPublicKey: "k" is not a key of WireGuard (32 bytes in base64)'], { status: { wireguardPublicKey: 'k' } }],
  [
    'Node',
    {},
    [`status.wireguardPublicKeyV6: "${KEY.slice(4)}" is not a key of WireGuard (32 bytes in base64)`],
    { status: { wireguardPublicKeyV6: KEY.slice(4) } },
  ],
  ['Node', {}, [`metadata.name: "H1" is not a name ${NAME}`], { metadata: { name: 'H1' } }],
  ['Node', {}, ['metadata.namespace: this kind has no namespace: leave it out'], { metadata: { namespace: 'n' } }],
  ['Node', {}, ['metadata.labels.a: must be a string, not 5: put it in quotes'], { metadata: { labels: { a: 5 } } }],

  ['IPPool', POOL, []],
  ['IPPool', { cidr: '2001:db8::/48', blockSize: 128, natOutgoing: true, assignmentMode: 'Manual', namespaceSelector: 'all()' }, []],
  ['IPPool', { cidr: '10.65.0.0/27', disabled: true }, []],
  ['IPPool', { ...POOL, allowedUses: ['LoadBalancer'], nodeSelector: 'all()', ipipMode: 'Never' }, []],
  ['IPPool', {}, ['spec.cidr: is required (a string)']],
  ['IPPool', { cidr: '10.65.0.0' }, ['spec.cidr: not a prefix (address/length): "10.65.0.0"']],
  ['IPPool', { cidr: '10.65.0.1/16' }, ['spec.cidr: "10.65.0.1/16" has host bits set, the prefix is 10.65.0.0/16']],
  ['IPPool', { cidr: '169.254.0.0/24' }, [`spec.cidr: 169.254.0.0/24 ${LINK_LOCAL} 169.254.0.0/16`]],
  ['IPPool', { cidr: '160.0.0.0/4' }, [`spec.cidr: 160.0.0.0/4 ${LINK_LOCAL} 169.254.0.0/16`]],
  ['IPPool', { cidr: 'fe80:1::/64' }, [`spec.cidr: fe80:1::/64 ${LINK_LOCAL} fe80::/10`]],
  ['IPPool', { ...POOL, blockSize: 19 }, ['spec.blockSize: 19 is out of range: 20 to 32 for IPv4']],
  ['IPPool', { cidr: '2001:db8::/48', blockSize: 64 }, ['spec.blockSize: 64 is out of range: 116 to 128 for IPv6']],
  ['IPPool', { ...POOL, blockSize: 26.5 }, ['spec.blockSize: must be a whole number, not 26.5']],
  [
    'IPPool',
    { cidr: '10.65.0.0/27' },
    ['spec.cidr: 10.65.0.0/27 is smaller than one block: a prefix length of 26 or less, or a larger blockSize'],
  ],
  ['IPPool', { cidr: '2001:db8::/48', ipipMode: 'Always' }, ['spec.ipipMode: "Always" on an IPv6 pool: IPIP carries IPv4 only']],
  [
    'IPPool',
    { ...POOL, ipipMode: 'Always', vxlanMode: 'CrossSubnet' },
    ['spec.ipipMode: "Always" beside vxlanMode "CrossSubnet": one of them must be "Never"'],
  ],
  ['IPPool', { ...POOL, vxlanMode: 'Off' }, ['spec.vxlanMode: "Off" is not one of Never, Always, CrossSubnet']],
  ['IPPool', { ...POOL, natOutgoing: 'yes' }, ['spec.natOutgoing: must be true or false, not "yes"']],
  ['IPPool', { ...POOL, assignmentMode: 'Auto' }, ['spec.assignmentMode: "Auto" is not one of Automatic, Manual']],
  [
    'IPPool',
    { ...POOL, nodeSelector: `a == "${'x'.repeat(1024)}"` },
    ['spec.nodeSelector: the selector has 1031 characters, 1024 are allowed'],
  ],
  [
    'IPPool',
    { ...POOL, nodeSelector: 'global()' },
    ['spec.nodeSelector: "global()" can\'t be used here: global() selects no resource by its labels'],
  ],
  ['IPPool', { ...POOL, allowedUses: ['Tunnel', 'Tunnel'] }, ['spec.allowedUses: names a use twice']],
  ['IPPool', { ...POOL, namespaceSelector: 'has(x)' }, []],
  ['IPPool', { ...POOL, namespaceSelector: 'has(x)', allowedUses: ['Tunnel'], disabled: true }, []],
  ['IPPool', { ...POOL, namespaceSelector: 'has(x)', allowedUses: ['Workload'] }, []],
  [
    'IPPool',
    { ...POOL, namespaceSelector: 'has(x)', allowedUses: ['Workload', 'Tunnel'] },
    ['spec.allowedUses: Tunnel can\'t be beside namespaceSelector, for tunnels are in no namespace: write ["Workload"]'],
  ],
  ['IPPool', { ...POOL, allowedUses: ['Pod'] }, ['spec.allowedUses[0]: "Pod" is not one of Workload, Tunnel, LoadBalancer']],
  [
    'IPPool',
    { ...POOL, allowedUses: ['LoadBalancer', 'Workload'], vxlanMode: 'Always', disableBGPExport: true, nodeSelector: 'has(x)' },
    [
      'spec.allowedUses: LoadBalancer stands alone, not with Workload or Tunnel',
      'spec.allowedUses: LoadBalancer needs ipipMode and vxlanMode "Never"',
      'spec.allowedUses: LoadBalancer needs disableBGPExport false',
      'spec.allowedUses: LoadBalancer needs nodeSelector "all()"',
    ],
  ],
  [
    'IPPool',
    { cidr: '10.65.0.1/16', natOutgoing: 1, ipipMode: 'Always', vxlanMode: 'Always', allowedUses: ['Tunnel', 'Tunnel'], nodeSelector: '(' },
    [
      'spec.cidr: "10.65.0.1/16" has host bits set, the prefix is 10.65.0.0/16',
      'spec.natOutgoing: must be true or false, not 1',
      'spec.nodeSelector: not a selector: "(": at column 2 expected a label, "(", "!", has(…) or all(), found the end',
      'spec.ipipMode: "Always" beside vxlanMode "Always": one of them must be "Never"',
      'spec.allowedUses: names a use twice',
    ],
  ],

  ['IPReservation', { reservedCIDRs: ['10.65.0.1', '10.65.0.9/28', '2001:db8::/64'] }, []],
  ['IPReservation', { reservedCIDRs: ['10.65'] }, ['spec.reservedCIDRs[0]: not an IP address: "10.65"']],
  ['IPReservation', { reservedCIDRs: '10.65.0.1' }, ['spec.reservedCIDRs: must be a list, not "10.65.0.1"']],

  ['IPAMConfiguration', { strictAffinity: true, maxBlocksPerHost: 20, kubeVirtVMAddressPersistence: 'Disabled' }, []],
  ['IPAMConfiguration', {}, ['metadata.name: "a": the only one of this kind is "default"'], { metadata: { name: 'a' } }],
  ['IPAMConfiguration', { maxBlocksPerHost: 1_000_001 }, ['spec.maxBlocksPerHost: must be an integer from 0 to 1000000, not 1000001']],
  ['IPAMConfiguration', { ipCooldownSeconds: 1201 }, ['spec.ipCooldownSeconds: must be an integer from 0 to 1200, not 1201']],
  ['IPAMConfiguration', { autoAllocateBlocks: 'on' }, ['spec.autoAllocateBlocks: must be true or false, not "on"']],

  ['WorkloadEndpoint', ENDPOINT, []],
  [
    'WorkloadEndpoint',
    {
      ...{ ...ENDPOINT, mac: 'EE:EE:EE:EE:EE:EE', profiles: ['kns.default'], ports: [{ name: 'http', protocol: 'TCP', port: 80 }] },
      ...{ ipNATs: [{ internalIP: '10.65.0.1', externalIP: '192.0.2.7' }], qosControls: { ingressBandwidth: 1_000_000, dscp: 'EF' } },
    },
    [],
  ],
  ['WorkloadEndpoint', { ...ENDPOINT, workload: undefined }, ['spec: a workload endpoint needs workload']],
  [
    'WorkloadEndpoint',
    { node: 'h1', orchestrator: 'margay', endpoint: 'eth0', mac: 'zz', profiles: ['A'], ipNetworks: ['10.65.0.0/31'] },
    [
      'spec.mac: not a MAC address: "zz"',
      'spec: a workload endpoint needs workload',
      'spec.interfaceName: is required (the name of the interface on the host)',
      `spec.profiles[0]: "A" is not a name ${NAME}`,
      'spec.ipNetworks[0]: 10.65.0.0/31 is more than one address: write 10.65.0.0/32',
    ],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, containerID: 'a_b.c' },
    ['spec.containerID: "a_b.c" is not the id of a container (letters, digits and inner "-")'],
  ],
  ['WorkloadEndpoint', { ...ENDPOINT, orchestrator: 'cni' }, ['spec: a workload endpoint needs containerID']],
  ['WorkloadEndpoint', { ...ENDPOINT, orchestrator: 'k8s' }, ['spec: a workload endpoint needs pod']],
  [
    'WorkloadEndpoint',
    ENDPOINT,
    ['metadata.name: "web" does not fit the spec: the name is "h--1-margay-web-eth0"'],
    { metadata: { name: 'web' } },
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, interfaceName: undefined },
    ['spec.interfaceName: is required (the name of the interface on the host)'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, interfaceName: 'this-is-too-long' },
    ['spec.interfaceName: "this-is-too-long" is not an interface (1 to 15 letters, digits, "_", "." and "-")'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ipNetworks: ['10.65.0.0/31'] },
    ['spec.ipNetworks[0]: 10.65.0.0/31 is more than one address: write 10.65.0.0/32'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ipNetworks: ['2001:db8::1/64'] },
    ['spec.ipNetworks[0]: 2001:db8::1/64 is more than one address: write 2001:db8::1/128'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ipNATs: [{ internalIP: '10.65.0.2', externalIP: '2001:db8::1' }] },
    ['spec.ipNATs[0]: 10.65.0.2 and 2001:db8::1 are of different IP versions', 'spec.ipNATs[0].internalIP: 10.65.0.2 is not in ipNetworks'],
  ],
  ['WorkloadEndpoint', { ...ENDPOINT, ipv4Gateway: '2001:db8::1' }, ['spec.ipv4Gateway: not an IPv4 address: "2001:db8::1"']],
  ['WorkloadEndpoint', { ...ENDPOINT, ipv6Gateway: '192.0.2.1' }, ['spec.ipv6Gateway: not an IPv6 address: "192.0.2.1"']],
  ['WorkloadEndpoint', { ...ENDPOINT, profiles: ['Web'] }, [`spec.profiles[0]: "Web" is not a name ${NAME}`]],
  ['WorkloadEndpoint', { ...ENDPOINT, serviceAccountName: 'A' }, [`spec.serviceAccountName: "A" is not a name ${NAME}`]],
  ['WorkloadEndpoint', { ...ENDPOINT, mac: 'ee' }, ['spec.mac: not a MAC address: "ee"']],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ name: 'HTTP', protocol: 'TCP', port: 80 }] },
    ['spec.ports[0].name: "HTTP" is not a port name (up to 15 lower-case letters, digits and inner "-", at least one letter)'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ protocol: 'TCP', port: 80 }] },
    ['spec.ports[0].name: is required, unless there is a hostPort'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ name: 'a', protocol: 'ICMP', port: 80 }] },
    ['spec.ports[0].protocol: ICMP has no ports: one of TCP, UDP, SCTP'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ name: 'a', protocol: 'tcp', port: 80 }] },
    ['spec.ports[0].protocol: "tcp" is not a protocol (TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or 1 to 255): did you mean "TCP"?'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ name: 'a', protocol: 'TCP', port: 0 }] },
    ['spec.ports[0].port: 0 is not a port (1 to 65535)'],
  ],
  [
    'WorkloadEndpoint',
    { ...ENDPOINT, ports: [{ name: 'a', protocol: 'TCP', port: 65_536 }] },
    ['spec.ports[0].port: must be an integer from 0 to 65535, not 65536'],
  ],
  ['WorkloadEndpoint', { ...ENDPOINT, allowSpoofedSourcePrefixes: ['x'] }, ['spec.allowSpoofedSourcePrefixes[0]: not an IP address: "x"']],
  ['WorkloadEndpoint', { ...ENDPOINT, qosControls: { dscp: 64 } }, [`spec.qosControls.dscp: "64" ${DSCP}`]],
  ['WorkloadEndpoint', { ...ENDPOINT, qosControls: { dscp: 'ef' } }, [`spec.qosControls.dscp: "ef" ${DSCP}`]],
  ['WorkloadEndpoint', { ...ENDPOINT, qosControls: { egressBurst: -1 } }, [`spec.qosControls.egressBurst: ${WHOLE}, not -1`]],
  [
    'WorkloadEndpoint',
    ENDPOINT,
    ['metadata.namespace: "N" is not a namespace (lower-case letters, digits and inner "-", up to 63)'],
    { metadata: { namespace: 'N' } },
  ],
]
for (const [kind, spec, want, more] of cases) {
  const given = `${JSON.stringify(spec).slice(0, 90)} ${more === undefined ? '' : JSON.stringify(more)}`
  test(`${kind} ${given} has ${want.length} faults`, () => assert.equal(faultsOfSpec(kind, spec, more), want))
}

test.run()
