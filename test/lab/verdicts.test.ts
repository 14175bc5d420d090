// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import type { LabDaemon } from '../../scripts/lab/daemon.ts'
import { setSysctls } from '../../scripts/lab/topology.ts'
import { type Arrivals, type Shot, type Station, watchArrivals } from '../support/arrivals.ts'
import { type Gateway, withGateway } from '../support/gateway.ts'
import { globalPolicy, policy, under } from '../support/policed.ts'

const test = suite('lab/verdicts')

/** What gets through under some resources, each way: `out > host`. What is not in the second list is denied. */
interface Case {
  readonly name: string
  readonly resources: readonly object[]
  readonly ways: Readonly<Record<string, readonly [asked: readonly Shot[], open: readonly Shot[]]>>
}

/** Who sends and gets beside the host, a machine outside and one inside: workloads, by name, namespace, addresses and role. */
const ADDRESSES = [
  ['web', 'default', '10.65.1.1', 'fd65::1:1', 'web'],
  ['db', 'default', '10.65.1.2', 'fd65::1:2', 'db'],
  ['srv', 'default', '10.65.1.3', 'fd65::1:3', 'srv'],
  ['red', 'red', '10.65.1.4', 'fd65::1:4', 'srv'],
] as const

const DENY = [{ action: 'Deny' }]
const ALLOW = [{ action: 'Allow' }]
const tcp = (action: string, ...ports: readonly number[]) => ({ action, protocol: 'TCP', destination: { ports } })
const to = (name: string, ingress: readonly object[]) => globalPolicy(name, { selector: 'role == "srv"', types: ['Ingress'], ingress })
const set = (name: string, ...nets: readonly string[]) => ({
  kind: 'GlobalNetworkSet',
  metadata: { name, labels: { set: 'x' } },
  spec: { nets },
})
const ALL = ['tcp 80', 'udp 53', 'sctp 90', 'udplite 7', '99', 'ping']
const TCP = ['tcp 80', 'tcp 81']

const ruleCases: readonly Case[] = [
  {
    name: 'SCTP by port',
    resources: [to('p', [{ action: 'Allow', protocol: 'SCTP', destination: { ports: [90] } }])],
    ways: { 'web > srv': [ALL, ['sctp 90']] },
  },
  { name: 'UDP-Lite', resources: [to('p', [{ action: 'Allow', protocol: 'UDPLite' }])], ways: { 'web > srv': [ALL, ['udplite 7']] } },
  {
    name: 'any protocol but one',
    resources: [to('p', [{ action: 'Allow', notProtocol: 99 }])],
    ways: { 'web > srv': [ALL, ALL.filter((one) => one !== '99')] },
  },
  {
    name: 'ICMP is of IPv4, and a type of it',
    resources: [to('p', [{ action: 'Allow', protocol: 'ICMP', notICMP: { type: 13 } }])],
    ways: { 'web > srv': [['ping', 'icmp 13/0'], ['ping v4']] },
  },
  {
    name: 'prefixes of one family say nothing of the other',
    resources: [to('p', [{ action: 'Allow', protocol: 'TCP', source: { nets: ['10.65.0.0/16'], notNets: ['10.65.1.2/32'] } }])],
    ways: { 'web > srv': [TCP, TCP.map((one) => `${one} v4`)], 'db > srv': [TCP, []] },
  },
  {
    name: 'selector, prefixes and ports must all match',
    resources: [
      to('p', [
        {
          ...{ action: 'Allow', protocol: 'TCP', destination: { selector: 'role == "srv"', notPorts: [81] } },
          source: { nets: ['10.65.0.0/16'], selector: 'has(role)', notSelector: 'role == "db"' },
        },
      ]),
    ],
    ways: { 'web > srv': [TCP, ['tcp 80 v4']], 'db > srv': [TCP, []], 'out > srv': [TCP, []] },
  },
  {
    name: 'network sets whose prefixes overlap, repeat, and cover all',
    resources: [
      set('a', '10.65.1.0/24', '10.65.1.1/32', '10.65.1.0/24', '10.65.1.77/24', 'fd65::1:1'),
      set('b', '10.0.0.0/8', '10.65.1.1', '0.0.0.0/1'),
      to('p', [{ action: 'Allow', source: { selector: 'set == "x"' } }]),
    ],
    ways: { 'web > srv': [['tcp 80'], ['tcp 80']], 'db > srv': [['tcp 80'], ['tcp 80 v4']], 'out > srv': [['tcp 80'], []] },
  },
  {
    name: 'everything, as a network set',
    resources: [set('a', '0.0.0.0/0'), to('p', [{ action: 'Deny', source: { selector: 'set == "x"' } }, ...ALLOW])],
    ways: {
      'web > srv': [
        ['tcp 80', 'ping'],
        ['tcp 80 v6', 'ping v6'],
      ],
    },
  },
  {
    name: 'a policy of a namespace does not know what is global, unless it says so',
    resources: [
      set('a', '10.65.1.1/32'),
      policy('red/p', {
        ingress: [
          { ...tcp('Allow', 80), source: { selector: 'set == "x"' } },
          { ...tcp('Allow', 81), source: { selector: 'set == "x"', namespaceSelector: 'global()' } },
        ],
      }),
    ],
    ways: { 'web > red': [TCP, ['tcp 81 v4']] },
  },
  {
    name: 'a host endpoint of another host is a peer by the addresses that are expected',
    resources: [
      {
        kind: 'HostEndpoint',
        metadata: { name: 'a', labels: { set: 'x' } },
        spec: { node: 'h9', interfaceName: 'eth0', expectedIPs: ['192.0.2.254'] },
      },
      to('p', [{ action: 'Allow', source: { selector: 'set == "x"' } }]),
    ],
    ways: { 'out > srv': [['tcp 80'], ['tcp 80 v4']], 'web > srv': [['tcp 80'], []] },
  },
  {
    name: 'a rule about HTTP never allows more than it says',
    resources: [
      to('p', [
        { action: 'Allow', protocol: 'TCP', http: { methods: ['GET'] } },
        { action: 'Allow', protocol: 'UDP' },
      ]),
    ],
    ways: { 'web > srv': [['tcp 80', 'udp 53'], ['udp 53']] },
  },
  {
    name: 'a service is its workloads and their ports',
    resources: [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 's', namespace: 'red' },
        spec: { selector: { role: 'srv' }, ports: [{ port: 8000, targetPort: 80 }] },
      },
      policy('default/p', {
        selector: 'role == "web"',
        types: ['Egress'],
        egress: [{ action: 'Allow', destination: { services: { name: 's', namespace: 'red' } } }],
      }),
    ],
    ways: { 'web > red': [TCP, ['tcp 80']], 'web > srv': [TCP, []], 'db > red': [TCP, TCP] },
  },
]

test('rules: protocols, families, sets, scopes and services, each with what gets through and what does not', async () => {
  await withStations(async ({ daemon }, look) => {
    for (const one of ruleCases) await check(daemon, one, look)
  })
})

const hep = (name: string, spec: object) => ({
  kind: 'HostEndpoint',
  metadata: { name, labels: { host: 'yes', hep: name } },
  spec: { node: 'h1', ...spec },
})
const star = hep('star', { interfaceName: '*' })
const eth0 = hep('eth0', { interfaceName: 'eth0' })
const open = hep('eth0', { interfaceName: 'eth0', profiles: ['projectcalico-default-allow'] })
const host = (name: string, spec: object) => globalPolicy(name, { selector: 'host == "yes"', ...spec })
const forward = { applyOnForward: true }
const preDnat = { applyOnForward: true, preDNAT: true, types: ['Ingress'] }
const SSH = ['tcp 22', 'tcp 80', 'ping']

const hostCases: readonly Case[] = [
  {
    name: '*: the host is closed, workloads and what is forwarded are not',
    resources: [star],
    ways: {
      'out > host': [SSH, ['tcp 22']],
      'out > srv': [SSH, SSH],
      'web > srv': [SSH, SSH],
      'web > host': [SSH, SSH],
      'host > web': [SSH, SSH],
      'host > host': [SSH, SSH],
      'out > in': [SSH, SSH],
    },
  },
  {
    name: '*: a forward policy is for what workloads send and get, too, but not with their own host',
    resources: [star, host('f', { ...forward, types: ['Ingress'], ingress: DENY })],
    ways: { 'web > srv': [SSH, []], 'out > srv': [SSH, []], 'web > out': [SSH, []], 'web > host': [SSH, SSH], 'host > web': [SSH, SSH] },
  },
  {
    name: '* beside a named one: forwarded is what each interface says',
    resources: [star, eth0, globalPolicy('f', { selector: 'hep == "star"', ...forward, types: ['Egress'], egress: DENY })],
    ways: { 'out > srv': [SSH, []], 'in > out': [SSH, SSH], 'web > out': [SSH, SSH], 'web > srv': [SSH, []] },
  },
  {
    name: 'an interface without preDNAT policies of its own has those of *',
    resources: [star, open, globalPolicy('d', { selector: 'hep == "star"', ...preDnat, ingress: [tcp('Deny', 80)] })],
    ways: { 'out > host': [TCP, ['tcp 81']], 'out > srv': [TCP, ['tcp 81']], 'web > srv': [TCP, ['tcp 81']], 'host > web': [TCP, TCP] },
  },
  {
    name: 'what preDNAT allows, the policies of workloads still decide about, and forward policies of what goes out',
    resources: [
      ...[star, host('d', { ...preDnat, ingress: ALLOW }), to('w', [tcp('Allow', 81)])],
      host('f', { ...forward, types: ['Ingress', 'Egress'], ingress: DENY, egress: [tcp('Deny', 82), ...ALLOW] }),
    ],
    ways: { 'out > srv': [TCP, ['tcp 81']], 'out > in': [['tcp 81', 'tcp 82'], ['tcp 81']], 'out > host': [['tcp 80'], ['tcp 80']] },
  },
  {
    name: 'failsafe ports are let past preDNAT and doNotTrack policies, also forwarded',
    resources: [
      ...[eth0, host('d', { ...forward, doNotTrack: true, types: ['Ingress'], ingress: [tcp('Deny', 22, 80)] })],
      host('e', { ...preDnat, ingress: [tcp('Deny', 22, 81)] }),
    ],
    ways: {
      'out > host': [['tcp 22', ...TCP], ['tcp 22']],
      'out > in': [
        ['tcp 22', 'tcp 80', 'tcp 81', 'tcp 82'],
        ['tcp 22', 'tcp 82'],
      ],
    },
  },
  {
    name: 'doNotTrack: not on *, and what goes out only from the host itself',
    resources: [star, open, host('d', { ...forward, doNotTrack: true, types: ['Egress'], egress: DENY })],
    ways: {
      'host > out': [['tcp 80', 'udp 53'], ['udp 53']],
      'in > out': [SSH, SSH],
      'host > in': [['tcp 80', 'udp 53'], ['udp 53']],
      'out > in': [SSH, SSH],
    },
  },
  {
    name: 'of several for an interface the first by name counts, by interface or address',
    resources: [
      ...[
        hep('b', { interfaceName: 'eth0' }),
        hep('a', { expectedIPs: ['192.0.2.11'] }),
        hep('0', { interfaceName: 'eth9', expectedIPs: ['192.0.2.11'] }),
      ],
      ...['a', 'b'].map((name, i) =>
        globalPolicy(name, { selector: `hep == "${name}"`, types: ['Ingress'], ingress: [tcp('Allow', 80 + i)] }),
      ),
    ],
    ways: { 'out > host': [TCP, ['tcp 80']] },
  },
  {
    name: 'loopback, where it is named',
    resources: [
      hep('lo', { interfaceName: 'lo' }),
      host('l', { types: ['Ingress', 'Egress'], ingress: [tcp('Allow', 80)], egress: ALLOW }),
    ],
    ways: { 'host > host': [TCP, ['tcp 80']], 'out > host': [TCP, TCP] },
  },
  {
    name: 'what the host sends is judged as NAT makes it, at the interface by which it leaves',
    resources: [
      eth0,
      hep('lan0', { interfaceName: 'lan0' }),
      globalPolicy('p', { selector: 'hep == "lan0"', types: ['Egress'], egress: [tcp('Allow', 80)] }),
    ],
    ways: { 'host > out': [['tcp 9000', 'tcp 9001', 'tcp 80'], []], 'host > published': [['tcp 9000', 'tcp 9001'], ['tcp 9000']] },
  },
  {
    name: 'workloads to their host: their own policies and defaultEndpointToHostAction, whatever * says',
    resources: [
      { kind: 'FelixConfiguration', metadata: { name: 'node.h1' }, spec: { defaultEndpointToHostAction: 'Drop' } },
      ...[star, host('d', { ...preDnat, ingress: ALLOW })],
    ],
    ways: { 'web > host': [SSH, []], 'host > web': [SSH, SSH], 'out > host': [['tcp 80'], ['tcp 80']] },
  },
]

test('hosts: host endpoints by name, address and *, each stage, with what workloads, others and the host itself send', async () => {
  await withStations(async ({ daemon }, look) => {
    const sent = [
      'meta nfproto ipv4 ip daddr 192.0.2.254 tcp dport 9000-9001 dnat ip to 203.0.113.2 : tcp dport map { 9000 : 80, 9001 : 81 }',
      'meta nfproto ipv6 ip6 daddr 2001:db8::fe tcp dport 9000-9001 dnat ip6 to 2001:db8:9::2 : tcp dport map { 9000 : 80, 9001 : 81 }',
    ]
    await run(daemon.host, ['nft', '-f', '-'], {
      input: ['table inet other {', 'chain out {', 'type nat hook output priority -100;', ...sent, '}', '}', ''].join('\n'),
    })
    for (const one of hostCases) await check(daemon, one, look)
  })
})

type Look = (way: string, shots: readonly Shot[]) => Promise<readonly Shot[]>

async function check(daemon: LabDaemon, { name, resources, ways }: Case, look: Look): Promise<void> {
  const found = await under(daemon, resources, async () => {
    const answers: [string, readonly Shot[]][] = []
    for (const [way, [asked]] of Object.entries(ways)) answers.push([way, await look(way, asked)])
    return answers
  })
  assert.equal(
    found,
    Object.entries(ways).map(([way, [, open]]) => [way, open]),
    name,
  )
}

async function withStations(action: (gateway: Gateway, look: Look) => Promise<void>): Promise<void> {
  await withGateway(async (gateway) => {
    const { lab, daemon, outside, inside, addresses } = gateway
    const stations = new Map<string, Station>([
      ['host', { ...daemon.host, addresses: addresses.gatewayOutside }],
      ['out', { ...outside, addresses: addresses.outside }],
      ['in', { ...inside, addresses: addresses.inside }],
      // Who gets what NAT makes of packets to the outside.
      ['published', { ...inside, addresses: addresses.outside }],
    ])
    // Nobody fills in the checksums of SCTP.
    await setSysctls(daemon.host, ['net.netfilter.nf_conntrack_checksum=0'])
    for (const [net, to] of [
      ['10.65.0.0/16', daemon.host.ipv4],
      ['fd65::/48', daemon.host.ipv6],
    ] as const)
      await run(MACHINE, ['ip', '-n', outside.name, ...(net.includes(':') ? ['-6'] : []), 'route', 'add', net, 'via', to])
    for (const [name, namespace, ipv4, ipv6, role] of ADDRESSES) {
      const workload = await lab.addWorkload('h1', name, ['-n', namespace, '--ip', ipv4, '--ip', ipv6, '--label', `role=${role}`])
      stations.set(name, { ...workload.namespace, addresses: [ipv4, ipv6] })
    }
    const arrivals = watchArrivals()
    try {
      await action(gateway, lookOf(arrivals, stations))
    } finally {
      arrivals.close()
    }
  })
}

function lookOf(arrivals: Arrivals, stations: ReadonlyMap<string, Station>): Look {
  const station = (name = ''): Station => {
    const found = stations.get(name)
    if (found === undefined) throw new Error(`nobody is called ${name}`)
    return found
  }
  return (way, shots) => {
    const [from, to] = way.split(' > ')
    return arrivals.arrived(station(from), station(to), shots)
  }
}

test.run()
