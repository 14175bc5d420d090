import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy, aPacket, aProfile, aTier, byId, nets } from '../../test/support/policies.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { GlobalNetworkPolicy } from '../model/network-policy.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { evaluatePath, type PathPacket, type PathSettings, type PolicedHost } from './evaluate-path.ts'
import { failsafesOf } from './failsafes.ts'
import { SearchedMembers } from './members.ts'
import { readPolicy } from './policies.ts'
import { readProfile } from './profiles.ts'
import { orderPolicies } from './tiers.ts'

const test = suite('policy/evaluate-path')

type Spec = GlobalNetworkPolicy['spec']

/** An endpoint with these policies of the tier `default`, and a profile that allows unless `closed`. */
function endpoint(id: string, policies: readonly Spec[], isOpen = true): LocalEndpoint {
  const read = policies.flatMap((spec, i) => readPolicy(aGlobalPolicy(`${id}-${i}`, spec)) ?? [])
  const open = aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] })
  return { id, tiers: orderPolicies(read, byId([aTier('default', { order: 1 })])), profiles: isOpen ? [readProfile('open', open)] : [] }
}

interface Scene {
  readonly workloads?: Readonly<Record<string, LocalEndpoint>>
  readonly hosts?: Readonly<Record<string, LocalEndpoint>>
  readonly any?: LocalEndpoint
  readonly settings?: Partial<PathSettings>
  readonly felix?: FelixConfigurationSpec
}

function host({ workloads = {}, hosts = {}, any, settings, felix = {} }: Scene): PolicedHost {
  return {
    settings: {
      endpointToHost: 'Drop',
      failsafes: failsafesOf(felix),
      dropsInvalid: true,
      isWorkloadInterface: (name) => name.startsWith('mgy'),
      implicit: [{ name: 'vxlan', protocol: 17, port: 4789, isPeer: (ip) => ip === '192.0.2.2' }],
      tunnels: [{ protocol: 17, port: 4789 }, { protocol: 4 }],
      ...settings,
    },
    workloads: new Map(Object.entries(workloads)),
    hostEndpoints: new Map(Object.entries(hosts)),
    wildcard: any,
    members: new SearchedMembers({ labelled: [], profiles: new Map() }),
  }
}

/** `tcp … > … in eth0 out mgyw1 established`: a way in or out that is not given is the host itself. */
function onPath(text: string): PathPacket {
  const [packet = '', ...rest] = text.split(/ (?=in |out |new|established|related|invalid|untracked|to |hop )/)
  const given = Object.fromEntries(rest.map((part) => part.split(' ') as [string, string | undefined]))
  const state = (['established', 'related', 'invalid', 'untracked'] as const).find((one) => one in given) ?? 'new'
  const translated = given['to'] === undefined ? undefined : aPacket(`tcp 192.0.2.9:1 > ${given['to']}`).destination
  return {
    ...aPacket(packet),
    inInterface: given['in'],
    outInterface: given['out'],
    state,
    translated,
    hopLimit: given['hop'] === undefined ? undefined : Number(given['hop']),
  }
}

const noTcp80: Spec = {
  types: ['Ingress'],
  ingress: [{ action: 'Deny', protocol: 'TCP', destination: { ports: [80] } }, { action: 'Allow' }],
}
const egress = (spec: Spec): Spec => ({ ...spec, types: ['Egress'], egress: spec.ingress, ingress: undefined })
const onForward = (spec: Spec): Spec => ({ ...spec, applyOnForward: true })
const preDnat = (spec: Spec): Spec => ({ ...spec, applyOnForward: true, preDNAT: true })
const untracked = (spec: Spec): Spec => ({ ...spec, applyOnForward: true, doNotTrack: true })
const open = endpoint('open', [])
const closed = endpoint('closed', [], false)
const web = 'tcp 192.0.2.9:40000 > 192.0.2.1:80 in eth0'
const ssh = 'tcp 192.0.2.9:40000 > 192.0.2.1:22 in eth0'
const toWorkload = 'tcp 192.0.2.9:40000 > 10.65.0.2:80 in eth0 out mgyw1'
const between = 'tcp 10.65.0.3:40000 > 10.65.0.2:80 in mgyw2 out mgyw1'
const fromWorkload = 'tcp 10.65.0.2:40000 > 192.0.2.9:80 in mgyw1 out eth0'
const through = 'tcp 192.0.2.9:40000 > 203.0.113.9:80 in eth0 out eth1'
const own = 'tcp 192.0.2.1:40000 > 192.0.2.9:80 out eth0'
const nd = 'icmpv6 2001:db8::9 > 2001:db8::1 135/0'

interface Case {
  readonly name: string
  readonly scene: Scene
  readonly allows?: readonly string[]
  readonly denies?: readonly string[]
}

const cases: readonly Case[] = [
  { name: 'without endpoints everything passes', scene: {}, allows: [web, through, own, 'tcp 192.0.2.9:1 > 192.0.2.1:80 in eth0 invalid'] },
  {
    name: 'a workload interface without an endpoint is closed both ways',
    scene: {},
    denies: [toWorkload, fromWorkload, 'tcp 10.65.0.2:1 > 192.0.2.1:80 in mgyw1'],
  },
  {
    name: 'the ingress policies of a workload',
    scene: { workloads: { mgyw1: endpoint('w1', [noTcp80]), mgyw2: open } },
    allows: [between.replace(':80', ':81'), `${between} established`, `${between} related`, fromWorkload],
    denies: [between, toWorkload, `${between.replace(':80', ':81')} invalid`],
  },
  {
    name: 'the egress policies of a workload',
    scene: { workloads: { mgyw1: endpoint('w1', [egress(noTcp80)]), mgyw2: open } },
    allows: [toWorkload, fromWorkload.replace(':80', ':81'), between],
    denies: [fromWorkload],
  },
  {
    name: 'both workloads of a host are asked',
    scene: { workloads: { mgyw1: open, mgyw2: closed } },
    denies: [between],
  },
  {
    name: 'the host reaches its workloads past their policies',
    scene: { workloads: { mgyw1: closed }, any: closed },
    allows: ['tcp 192.0.2.1:1 > 10.65.0.2:80 out mgyw1'],
  },
  {
    name: 'a workload does not reach its host',
    scene: { workloads: { mgyw1: open } },
    allows: ['icmpv6 fe80::1 > fe80::2 135/0 in mgyw1', 'tcp 10.65.0.2:1 > 192.0.2.1:80 in mgyw1 established'],
    denies: ['tcp 10.65.0.2:1 > 192.0.2.1:80 in mgyw1', 'icmpv6 fe80::1 > fe80::2 128/0 in mgyw1'],
  },
  {
    name: 'whatever its policies say a workload asks its gateway for addresses and names, and not by tunnels of its own',
    scene: { workloads: { mgyw1: closed }, settings: { endpointToHost: 'Drop' } },
    allows: [
      'udp 10.65.0.2:68 > 255.255.255.255:67 in mgyw1',
      'udp 10.65.0.2:68 > 169.254.1.1:67 in mgyw1',
      'udp [fe80::9]:546 > [ff02::1:2]:547 in mgyw1',
      'udp 10.65.0.2:1 > 169.254.1.1:53 in mgyw1',
      'tcp [fd65::2]:1 > [fe80::1]:53 in mgyw1',
    ],
    denies: [
      'udp 10.65.0.2:1 > 192.0.2.1:53 in mgyw1',
      'tcp 10.65.0.2:1 > 169.254.1.1:80 in mgyw1',
      'sctp 10.65.0.2:1 > 169.254.1.1:53 in mgyw1',
    ],
  },
  {
    name: 'an open workload sends no tunnel packets, and may get them',
    scene: { workloads: { mgyw1: open, mgyw2: open } },
    allows: ['udp 10.65.0.2:1 > 192.0.2.9:4790 in mgyw1 out eth0', 'udp 192.0.2.9:1 > 10.65.0.2:4789 in eth0 out mgyw1'],
    denies: [
      'udp 10.65.0.2:1 > 192.0.2.9:4789 in mgyw1 out eth0',
      '4 10.65.0.2 > 192.0.2.9 in mgyw1 out eth0',
      '4 10.65.0.2 > 192.0.2.1 in mgyw1',
    ],
  },
  {
    name: 'what hosts say to each other has a direction where it needs one',
    scene: {
      any: closed,
      settings: {
        implicit: [
          { name: 'etcd', protocol: 6, port: 2390, direction: 'egress', isPeer: (ip) => ip === '192.0.2.2' },
          { name: 'BGP', protocol: 6, port: 1790, direction: 'ingress', isPeer: (ip) => ip === '192.0.2.2' },
        ],
      },
    },
    allows: ['tcp 192.0.2.1:1 > 192.0.2.2:2390 out eth0', 'tcp 192.0.2.2:1 > 192.0.2.1:1790 in eth0'],
    denies: [
      'tcp 192.0.2.2:1 > 192.0.2.1:2390 in eth0',
      'tcp 192.0.2.1:1 > 192.0.2.2:1790 out eth0',
      'tcp 192.0.2.1:1 > 192.0.2.3:2390 out eth0',
    ],
  },
  {
    name: 'a workload reaches its host with Return and with Accept as its egress policies let it, past host endpoints',
    scene: { workloads: { mgyw1: endpoint('w1', [egress(noTcp80)]) }, any: closed, settings: { endpointToHost: 'Return' } },
    allows: ['tcp 10.65.0.2:1 > 192.0.2.1:81 in mgyw1'],
    denies: ['tcp 10.65.0.2:1 > 192.0.2.1:80 in mgyw1'],
  },
  {
    name: 'a host endpoint without policies and profiles is closed but for failsafes, what is known, discovery and tunnels of known hosts',
    scene: { hosts: { eth0: closed } },
    allows: [
      ssh,
      `${web} established`,
      `${web} related`,
      'udp 192.0.2.9:67 > 192.0.2.1:68 in eth0',
      'udp 192.0.2.1:40000 > 192.0.2.9:53 out eth0',
      'udp 192.0.2.2:40000 > 192.0.2.1:4789 in eth0 untracked',
      'udp 192.0.2.1:40000 > 192.0.2.2:4789 out eth0 untracked',
      `${nd} in eth0 hop 255`,
      `${nd} out eth0 hop 255`,
      'icmpv6 fe80::1 > ff02::16 143/0 out eth0 hop 1',
      'tcp 192.0.2.9:40000 > 192.0.2.1:80 in eth1',
      through,
      'tcp 127.0.0.1:1 > 127.0.0.1:80 in lo',
    ],
    denies: [
      web,
      own,
      'udp 192.0.2.9:40000 > 192.0.2.1:4789 in eth0',
      `${nd} in eth0 hop 64`,
      `${ssh} invalid`,
      'tcp 192.0.2.1:40000 > 192.0.2.9:22 out eth0',
      'tcp [2001:db8::9]:1 > [2001:db8::1]:6443 in eth0',
    ],
  },
  {
    name: 'failsafe ports of the configuration, from a net',
    scene: {
      hosts: { eth0: closed },
      felix: {
        failsafeInboundHostPorts: [{ protocol: 'TCP', port: 80, net: parseInterfaceAddress('192.0.2.8/29') }],
        failsafeOutboundHostPorts: [],
      },
    },
    allows: [web],
    denies: [
      ssh,
      web.replace('192.0.2.9', '192.0.2.99'),
      'udp 192.0.2.1:40000 > 192.0.2.9:53 out eth0',
      'tcp [2001:db8::9]:1 > [2001:db8::1]:80 in eth0',
    ],
  },
  {
    name: 'a host endpoint is asked about what is delivered and sent, not about what is forwarded',
    scene: { hosts: { eth0: endpoint('h', [noTcp80, egress(noTcp80)]) } },
    allows: [web.replace(':80', ':81'), own.replace(':80', ':81'), through, ssh],
    denies: [web, own],
  },
  {
    name: 'the host endpoint of all interfaces is asked where there is no other, and not on loopback',
    scene: { hosts: { eth0: open }, any: endpoint('any', [noTcp80]) },
    allows: [web, 'tcp 127.0.0.1:1 > 127.0.0.1:80 in lo', 'tcp 127.0.0.1:1 > 127.0.0.1:80 out lo'],
    denies: [web.replace('eth0', 'eth1')],
  },
  {
    name: 'loopback is asked about where a host endpoint names it',
    scene: { hosts: { lo: endpoint('lo', [noTcp80]) } },
    allows: ['tcp 127.0.0.1:1 > 127.0.0.1:81 in lo'],
    denies: ['tcp 127.0.0.1:1 > 127.0.0.1:80 in lo'],
  },
  {
    name: 'what is forwarded by a policy for it: in by its ingress, out by its egress; established passes',
    scene: { hosts: { eth0: endpoint('h', [onForward(noTcp80)]), eth1: endpoint('h1', [onForward(egress(noTcp80))]) } },
    allows: [through.replace(':80', ':81'), `${through} established`, through.replace('in eth0 out eth1', 'in eth1 out eth0')],
    denies: [
      through,
      through.replace('in eth0 out eth1', 'in eth0 out eth2'),
      through.replace('in eth0 out eth1', 'in eth2 out eth1'),
      web,
      `${through.replace(':80', ':81')} invalid`,
    ],
  },
  {
    name: 'the host endpoint of all interfaces is asked about what comes from and goes to workloads',
    scene: { workloads: { mgyw1: open, mgyw2: open }, any: endpoint('any', [onForward(noTcp80)]) },
    allows: [between.replace(':80', ':81')],
    denies: [between, toWorkload, fromWorkload],
  },
  {
    name: 'before NAT the destination counts that the packet came with, later the one that it gets',
    scene: { hosts: { eth0: endpoint('h', [preDnat(noTcp80)]) }, workloads: { mgyw1: endpoint('w', [noTcp80]) } },
    allows: ['tcp 192.0.2.9:1 > 192.0.2.1:8080 in eth0 out mgyw1 to 10.65.0.2:81'],
    denies: [
      'tcp 192.0.2.9:1 > 192.0.2.1:80 in eth0 out mgyw1 to 10.65.0.2:81',
      'tcp 192.0.2.9:1 > 192.0.2.1:8080 in eth0 out mgyw1 to 10.65.0.2:80',
    ],
  },
  {
    name: 'what is allowed before NAT is not asked about again at the host endpoint, but at the workload',
    scene: {
      hosts: {
        eth0: endpoint('h', [preDnat({ types: ['Ingress'], ingress: [{ action: 'Allow', protocol: 'TCP' }] }), onForward(noTcp80)], false),
      },
      workloads: { mgyw1: endpoint('w', [noTcp80]) },
    },
    allows: [web, through],
    denies: [toWorkload],
  },
  {
    name: 'a host endpoint without policies before NAT leaves them to the one of all interfaces',
    scene: { hosts: { eth0: open }, any: endpoint('any', [preDnat(noTcp80)]) },
    allows: [ssh, web.replace(':80', ':81')],
    denies: [web, 'tcp 10.65.0.2:1 > 192.0.2.9:80 in mgyw1 out eth0'],
  },
  {
    name: 'before tracking: allowed is allowed for good, denied is denied although it is established; failsafes stay tracked',
    scene: {
      hosts: {
        eth0: endpoint(
          'h',
          [
            untracked({
              types: ['Ingress'],
              ingress: [
                { action: 'Allow', protocol: 'UDP' },
                { action: 'Deny', protocol: 'TCP' },
              ],
            }),
          ],
          false,
        ),
      },
    },
    allows: ['udp 192.0.2.9:1 > 192.0.2.1:5 in eth0 untracked', ssh, 'tcp 192.0.2.9:2379 > 192.0.2.1:40000 in eth0 established'],
    denies: [`${web} established`, 'icmp 192.0.2.9 > 192.0.2.1 8/0 in eth0'],
  },
  {
    name: 'before tracking, what is sent',
    scene: {
      hosts: {
        eth0: endpoint('h', [untracked(egress({ ingress: [{ action: 'Allow', source: { ports: [53] }, protocol: 'UDP' }] }))], false),
      },
    },
    allows: ['udp 192.0.2.1:53 > 192.0.2.9:40000 out eth0 untracked'],
    denies: ['udp 192.0.2.1:54 > 192.0.2.9:40000 out eth0'],
  },
  {
    name: 'the host endpoint of all interfaces has no rules before tracking',
    scene: { any: endpoint('any', [untracked({ types: ['Ingress'], ingress: [{ action: 'Deny' }] })]) },
    allows: [web],
  },
  {
    name: 'what the host sends and NAT sends elsewhere is judged by where it goes',
    scene: {
      hosts: {
        eth0: endpoint('h', [
          { types: ['Egress'], egress: [{ action: 'Deny', destination: { nets: nets('192.0.2.8/29') } }] },
          egress({ ingress: [{ action: 'Allow' }] }),
        ]),
      },
    },
    allows: ['tcp 192.0.2.1:1 > 192.0.2.9:80 out eth0 to 203.0.113.9:80'],
    denies: ['tcp 192.0.2.1:1 > 203.0.113.9:80 out eth0 to 192.0.2.9:80'],
  },
  {
    name: 'what connection tracking can make nothing of passes where that is wanted',
    scene: { hosts: { eth0: open }, settings: { dropsInvalid: false } },
    allows: [`${web} invalid`],
  },
]

for (const { name, scene, allows = [], denies = [] } of cases) {
  test(name, () => {
    const allowed = [...allows, ...denies].filter((text) => evaluatePath(host(scene), onPath(text)).verdict === 'allow')
    assert.equal(allowed, allows)
  })
}

test('a trace names each place that was passed, who was asked there, and why', () => {
  const scene = host({ workloads: { mgyw1: endpoint('red/w1', [noTcp80]), mgyw2: endpoint('red/w2', []) }, any: endpoint('any', []) })
  const { steps } = evaluatePath(scene, onPath(between))
  assert.equal(
    steps.map(({ place, endpoint: asked, verdict, list }) => [place, asked, verdict, list?.steps.at(-1)]),
    [
      ['forward-from-host-endpoint', 'any', 'none', undefined],
      ['from-workload', 'red/w2', 'allow', { by: 'profile', profile: 'open', rule: 0, action: 'Allow' }],
      [
        'to-workload',
        'red/w1',
        'deny',
        { by: 'policy', tier: 'default', policy: 'red/w1-0//GlobalNetworkPolicy', isStaged: false, rule: 0, action: 'Deny' },
      ],
    ],
  )
})

test.run()
