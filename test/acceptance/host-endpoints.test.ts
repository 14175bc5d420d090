// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import type { LabDaemon } from '../../scripts/lab/daemon.ts'
import { untilReached } from '../support/fault.ts'
import { type Gateway, shareGateway } from '../support/gateway.ts'
import { apply, globalPolicy, hostEndpoint, remove } from '../support/policed.ts'
import { succeeded, withLab } from '../support/scenario.ts'
import { echoUdp, openFlows, passages } from '../support/traffic.ts'

const test = suite('acceptance/host-endpoints')
const atGateway = shareGateway(test)

const INBOUND = [
  ...['tcp 22', 'tcp 179', 'tcp 2379', 'tcp 2380', 'udp 68', 'udp 546'],
  ...['tcp 80', 'tcp 443', 'tcp 2222', 'tcp 5473', 'tcp 6443', 'tcp 6666', 'tcp 6667', 'udp 53', 'udp 67', 'udp 5000', 'icmp'],
]
const OUTBOUND = [
  ...['tcp 179', 'tcp 2379', 'tcp 2380', 'udp 53', 'udp 67', 'udp 547'],
  ...['tcp 22', 'tcp 80', 'tcp 8443', 'tcp 6443', 'udp 68', 'udp 123', 'udp 5353', 'icmp'],
]

function udpPorts(flows: readonly string[]): readonly number[] {
  return flows.flatMap((flow) => (flow.startsWith('udp ') ? [Number(flow.slice(4))] : []))
}

function failsafes(inbound: readonly object[], outbound: readonly object[]): object {
  const spec = { failsafeInboundHostPorts: inbound, failsafeOutboundHostPorts: outbound }
  return { kind: 'FelixConfiguration', metadata: { name: 'default' }, spec }
}

test('HEP-1 without policy a host endpoint leaves open its failsafe ports, as configured, and what hosts owe each other', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [{ host }, admin, outside] = [lab.daemon('h1'), lab.daemon('h2'), lab.topology.router]
    const pair = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')] as const
    const ends = [echoUdp(host, udpPorts(INBOUND)), echoUdp(outside, udpPorts(OUTBOUND))]
    const [own, others] = [
      [host.ipv4, host.ipv6],
      ['192.0.2.254', '2001:db8::fe'],
    ] as const
    const look = (family: (address: string) => boolean = () => true) =>
      Promise.all([openFlows(outside, own.filter(family), INBOUND), openFlows(host, others.filter(family), OUTBOUND)])
    const isOwed = async () => {
      // Neighbours are asked for again, and the tunnel carries both ways.
      await run(MACHINE, ['ip', '-n', host.name, '-6', 'neigh', 'flush', 'dev', 'eth0'])
      const ways = [pair, [pair[1], pair[0]]] as const
      await Promise.all(ways.flatMap(([from, to]) => ([4, 6] as const).map((family) => untilReached(from, to, family))))
      const found = await Promise.all(ways.map(([from, to]) => openFlows(from.namespace, to.addresses, ['tcp 80', 'icmp'])))
      assert.equal(found, [
        ['tcp 80', 'icmp'],
        ['tcp 80', 'icmp'],
      ])
    }
    try {
      assert.equal(await look(), [INBOUND, OUTBOUND], 'no endpoint')
      await apply(admin, hostEndpoint('h1-eth0', { interfaceName: 'eth0' }))
      assert.equal(await look(), [INBOUND.slice(0, 6), OUTBOUND.slice(0, 6)], 'the ports that are not configured')
      await isOwed()
      const [inbound, outbound] = [
        [
          { protocol: 'TCP', port: 2222 },
          { protocol: 'UDP', port: 5000, net: '192.0.2.254/32' },
          { protocol: 'TCP', port: 443, net: '198.51.100.0/24' },
        ],
        [
          { protocol: 'TCP', port: 8443 },
          { protocol: 'UDP', port: 5353, net: '2001:db8::/64' },
        ],
      ]
      await apply(admin, failsafes(inbound, outbound))
      assert.equal(
        await look((address) => !address.includes(':')),
        [
          ['tcp 2222', 'udp 5000'],
          ['tcp 2379', 'tcp 8443'],
        ],
        'IPv4: and etcd',
      )
      assert.equal(await look((address) => address.includes(':')), [['tcp 2222'], ['tcp 8443', 'udp 5353']], 'IPv6')
      await isOwed()
      await apply(admin, failsafes([], []))
      assert.equal(await look((address) => !address.includes(':')), [[], ['tcp 2379']], 'none, but etcd')
      assert.equal(await look((address) => address.includes(':')), [[], []])
      await isOwed()
      await remove(admin, 'hostendpoint', 'h1-eth0')
      assert.equal(await look(), [INBOUND, OUTBOUND], 'gone')
    } finally {
      for (const end of ends) end()
    }
  })
})

const FLOWS = ['tcp 80', 'udp 5000', 'icmp']
const LOCAL = ['outside > gateway', 'inside > gateway', 'gateway > outside', 'gateway > inside']
const FORWARDED = ['outside > inside', 'inside > outside']

/** The ways on which all flows get through; one with some only says so. */
async function openWays({ daemon: { host }, outside, inside, addresses }: Gateway): Promise<readonly string[]> {
  const ways = [
    [outside, addresses.gatewayOutside],
    [inside, addresses.gatewayInside],
    [host, addresses.outside],
    [host, addresses.inside],
    [outside, addresses.inside],
    [inside, addresses.outside],
  ] as const
  const found = await Promise.all(ways.map(([from, to]) => openFlows(from, to, FLOWS)))
  return [...LOCAL, ...FORWARDED].flatMap((way, i) => {
    const open = found[i] ?? []
    return open.length === 0 ? [] : open.join() === FLOWS.join() ? [way] : [`${way}: ${open}`]
  })
}

interface Step {
  readonly name: string
  readonly policies: readonly object[]
  readonly open: readonly string[]
}

const BOTH = { types: ['Ingress', 'Egress'] }
const ALLOW = { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] }
const DENY = { ingress: [{ action: 'Deny' }], egress: [{ action: 'Deny' }] }
const host = (name: string, spec: object) => globalPolicy(name, { selector: 'host == "yes"', ...spec })

const steps: readonly Step[] = [
  { name: 'no policy: closed but for what is forwarded', policies: [], open: FORWARDED },
  {
    name: 'a forward policy without rules closes what is forwarded, too',
    policies: [host('f', { ...BOTH, applyOnForward: true })],
    open: [],
  },
  { name: 'local allow: forwarded is as it was', policies: [host('l', { ...BOTH, ...ALLOW })], open: [...LOCAL, ...FORWARDED] },
  {
    name: 'local allow does not allow what is forwarded',
    policies: [host('l', { order: 1, ...BOTH, ...ALLOW }), host('f', { order: 2, applyOnForward: true, ...BOTH })],
    open: LOCAL,
  },
  {
    name: 'a local deny, asked earlier, does not deny what is forwarded',
    policies: [host('l', { order: 1, ...BOTH, ...DENY }), host('f', { order: 2, applyOnForward: true, ...BOTH, ...ALLOW })],
    open: FORWARDED,
  },
  {
    name: 'a forward policy is one for local traffic, too: asked earlier, it denies that',
    policies: [host('f', { order: 1, applyOnForward: true, ...BOTH, ...DENY }), host('l', { order: 2, ...BOTH, ...ALLOW })],
    open: [],
  },
  {
    name: 'what comes in: allowed locally, denied forwarded',
    policies: [
      host('l', { order: 1, types: ['Ingress'], ingress: ALLOW.ingress }),
      host('f', { order: 2, applyOnForward: true, types: ['Ingress'], ingress: DENY.ingress }),
    ],
    open: ['outside > gateway', 'inside > gateway'],
  },
  {
    name: 'what goes out: allowed locally, denied forwarded',
    policies: [
      host('l', { order: 1, types: ['Egress'], egress: ALLOW.egress }),
      host('f', { order: 2, applyOnForward: true, types: ['Egress'], egress: DENY.egress }),
    ],
    open: ['gateway > outside', 'gateway > inside'],
  },
  {
    name: 'one interface denies what comes in: only what comes in there is not forwarded',
    policies: [globalPolicy('f', { selector: 'side == "out"', applyOnForward: true, types: ['Ingress'], ingress: DENY.ingress })],
    open: ['inside > outside'],
  },
]

test('HEP-2 a gateway: what is local and what is forwarded are decided about apart', async () => {
  await atGateway(async (gateway) => {
    const { daemon, outside, inside } = gateway
    const ends = [daemon.host, outside, inside].map((end) => echoUdp(end, [5000]))
    try {
      assert.equal(await openWays(gateway), [...LOCAL, ...FORWARDED], 'no endpoint')
      await apply(daemon, sided('out', 'eth0'), sided('in', 'lan0'))
      for (const { name, policies, open } of steps) {
        if (policies.length > 0) await apply(daemon, ...policies)
        assert.equal(await openWays(gateway), open, name)
        await removeAll(daemon, policies)
      }
      for (const side of ['out', 'in']) await remove(daemon, 'hostendpoint', side)
      assert.equal(await openWays(gateway), [...LOCAL, ...FORWARDED], 'no endpoint again')
    } finally {
      for (const end of ends) end()
    }
  })
})

function sided(side: string, interfaceName: string): object {
  return { kind: 'HostEndpoint', metadata: { name: side, labels: { host: 'yes', side } }, spec: { node: 'h1', interfaceName } }
}

async function removeAll(daemon: LabDaemon, policies: readonly object[]): Promise<void> {
  const names = policies.map((policy) => (policy as { readonly metadata: { readonly name: string } }).metadata.name)
  // It is not waited for: what comes next is applied after it.
  if (names.length > 0) succeeded(await daemon.margay(['delete', 'globalnetworkpolicy', ...names]))
}

const CHOICES = ['none', 'allow', 'deny'] as const
/** What the policies of the three stages say about a port; the third is normal for the host's own ports, forward for the others. */
const combinations = CHOICES.flatMap((untracked) => CHOICES.flatMap((preDnat) => CHOICES.map((last) => ({ untracked, preDnat, last }))))
const LOCAL_PORT = 3000
const FORWARD_PORT = 4000

type Stage = keyof (typeof combinations)[number]

/** The ports about which a stage says so. */
function portsWhere(stage: Stage, choice: (typeof CHOICES)[number], ...first: readonly number[]): readonly number[] {
  return first.flatMap((start) => combinations.flatMap((one, i) => (one[stage] === choice ? [start + i] : [])))
}

function onPorts(stage: Stage, ...first: readonly number[]): readonly object[] {
  return ['TCP', 'UDP'].flatMap((protocol) => [
    { action: 'Allow', protocol, destination: { ports: portsWhere(stage, 'allow', ...first) } },
    { action: 'Deny', protocol, destination: { ports: portsWhere(stage, 'deny', ...first) } },
  ])
}

/** Answers must be untracked, too. */
const answers = ['TCP', 'UDP'].map((protocol) => ({
  action: 'Allow',
  protocol,
  source: { ports: portsWhere('untracked', 'allow', LOCAL_PORT) },
}))

const stages = [
  host('untracked', {
    doNotTrack: true,
    applyOnForward: true,
    ...BOTH,
    ingress: onPorts('untracked', LOCAL_PORT, FORWARD_PORT),
    egress: answers,
  }),
  host('before-nat', { preDNAT: true, applyOnForward: true, types: ['Ingress'], ingress: onPorts('preDnat', LOCAL_PORT, FORWARD_PORT) }),
  host('normal', { order: 1, types: ['Ingress'], ingress: onPorts('last', LOCAL_PORT) }),
  host('forward', { order: 2, applyOnForward: true, types: ['Ingress'], ingress: onPorts('last', FORWARD_PORT) }),
]

test('HEP-3 untracked, then preDNAT, then normal or forward: the first that decides gives the verdict', async () => {
  await atGateway(async ({ daemon, outside, inside, addresses }) => {
    const local = combinations.map((_, i) => LOCAL_PORT + i)
    const forwarded = combinations.map((_, i) => FORWARD_PORT + i)
    const ends = [echoUdp(daemon.host, local), echoUdp(inside, forwarded)]
    try {
      await apply(daemon, sided('out', 'eth0'), ...stages)
      const to = (addresses: readonly string[], protocol: string, ports: readonly number[]) =>
        passages(
          outside,
          addresses,
          ports.map((port) => `${protocol} ${port}`),
        )
      const [localUdp, localTcp, forwardedUdp, forwardedTcp] = await Promise.all([
        to(addresses.gatewayOutside, 'udp', local),
        to(addresses.gatewayOutside, 'tcp', local),
        to(addresses.inside, 'udp', forwarded),
        to(addresses.inside, 'tcp', forwarded),
      ])
      const found = combinations.map(({ untracked, preDnat, last }, i) => [
        `${untracked} ${preDnat} ${last}`,
        localUdp[`udp ${LOCAL_PORT + i}`],
        localTcp[`tcp ${LOCAL_PORT + i}`],
        forwardedUdp[`udp ${FORWARD_PORT + i}`],
        forwardedTcp[`tcp ${FORWARD_PORT + i}`],
      ])
      const want = combinations.map(({ untracked, preDnat, last }) => {
        const verdict = [untracked, preDnat, last].find((one) => one !== 'none') === 'allow' ? 'open' : 'closed'
        // The server's answer to a TCP connection of which nothing is known is no beginning of one.
        return [`${untracked} ${preDnat} ${last}`, verdict, verdict, verdict, untracked === 'allow' ? 'closed' : verdict]
      })
      assert.equal(found, want)
      await removeAll(daemon, stages)
      await remove(daemon, 'hostendpoint', 'out')
    } finally {
      for (const end of ends) end()
    }
  })
})

test('HEP-3 a preDNAT policy sees the port before NAT, a forward policy the one behind it', async () => {
  await atGateway(async ({ daemon, outside, addresses }) => {
    const rules = [8080, 8081].flatMap((port) => [
      `iifname eth0 meta nfproto ipv4 tcp dport ${port} dnat ip to 203.0.113.2:80`,
      `iifname eth0 meta nfproto ipv6 tcp dport ${port} dnat ip6 to [2001:db8:9::2]:80`,
    ])
    const text = ['table inet other {', 'chain in {', 'type nat hook prerouting priority dstnat', ...rules, '}', '}', ''].join('\n')
    await run(daemon.host, ['nft', '-f', '-'], { input: text })
    const look = () => openFlows(outside, addresses.gatewayOutside, ['tcp 8080', 'tcp 8081'])
    await apply(daemon, sided('out', 'eth0'))
    assert.equal(await look(), ['tcp 8080', 'tcp 8081'], 'forwarded')
    const on = (port: number) => [{ action: 'Deny', protocol: 'TCP', destination: { ports: [port] } }, { action: 'Allow' }]
    await apply(daemon, host('before-nat', { preDNAT: true, applyOnForward: true, types: ['Ingress'], ingress: [on(8081)[0]] }))
    assert.equal(await look(), ['tcp 8080'])
    await apply(daemon, host('forward', { applyOnForward: true, types: ['Ingress'], ingress: on(8080) }))
    assert.equal(await look(), ['tcp 8080'], 'that port is never seen there')
    await apply(daemon, host('forward', { applyOnForward: true, types: ['Ingress'], ingress: on(80) }))
    assert.equal(await look(), [])
  })
})

test.run()
