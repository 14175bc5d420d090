import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { aPolicy } from '../../test/support/policies.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { fieldWarnings } from '../model/field-warnings.ts'
import { trialHostsPrefix, trialKey } from '../model/keys.ts'
import { decodeTrial, type TrialHost } from '../model/own/trial.ts'
import { parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Explanation } from './explain-render.ts'

const test = suite('cli/explain')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

const document = (kind: string, metadata: string, spec: string) =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {${metadata}}\nspec: {${spec}}\n`
const node = (name: string, v4: string, v6: string, tunnels: string) =>
  document('Node', `name: ${name}`, `bgp: {ipv4Address: ${v4}, ipv6Address: "${v6}"}, ${tunnels}`)
const workload = (name: string, host: string, addresses: string, more = '') =>
  document(
    'WorkloadEndpoint',
    `namespace: shop, labels: {app: ${name}}`,
    `orchestrator: margay, workload: ${name}, node: ${host}, endpoint: eth0, interfaceName: mgy-${name}, profiles: [kns.shop], ipNetworks: [${addresses}]${more}`,
  )

/** h1 and h2 share a subnet, h3 is behind a router; db alone is restricted: from web, port 5432. */
const NETWORK = [
  document('IPPool', 'name: p4', 'cidr: 10.65.0.0/16, blockSize: 26, vxlanMode: CrossSubnet, natOutgoing: true'),
  document('IPPool', 'name: p6', 'cidr: "2001:db8:65::/112", blockSize: 122, vxlanMode: CrossSubnet'),
  node('h1', '192.0.2.1/24', '2001:db8:1::1/64', 'ipv4VXLANTunnelAddr: 10.65.0.1, ipv6VXLANTunnelAddr: "2001:db8:65::1"'),
  node('h2', '192.0.2.2/24', '2001:db8:1::2/64', 'ipv4VXLANTunnelAddr: 10.65.0.65, ipv6VXLANTunnelAddr: "2001:db8:65::41"'),
  node('h3', '198.51.100.3/24', '2001:db8:3::3/64', 'ipv4VXLANTunnelAddr: 10.65.0.129, ipv6VXLANTunnelAddr: "2001:db8:65::81"'),
  workload('web', 'h1', '10.65.0.9/32, "2001:db8:65::9/128"'),
  workload('api', 'h1', '10.65.0.10/32'),
  workload('near', 'h2', '10.65.0.70/32'),
  workload('db', 'h3', '10.65.0.140/32, "2001:db8:65::8c/128"', ', ports: [{name: sql, protocol: TCP, port: 5432}]'),
  document(
    'NetworkPolicy',
    'name: db, namespace: shop',
    `selector: app == 'db', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432]}}]`,
  ),
]

/** The network, and whatever a test adds to it. */
async function aNetwork(...more: readonly string[]) {
  const store = new MemoryStore()
  const value = {
    kind: 'ClusterInformation',
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: 'default' },
    spec: { clusterGUID: 'ab12', datastoreReady: true },
  }
  const key = '/calico/resources/v3/projectcalico.org/clusterinformations/default'
  await store.commit([], [{ put: key, value: JSON.stringify(value) }], never)
  const margay = (args: readonly string[], stdin = '') => run(args, { store: store.another(), stdin, env })
  const applied = await margay(['apply', '-f', '-'], [...NETWORK, ...more].join('---\n'))
  assert.is(applied.code, 0, applied.err)
  for (const [host, ...ips] of [
    ['h1', '10.65.0.9', '10.65.0.10', '2001:db8:65::9'],
    ['h2', '10.65.0.70'],
    ['h3', '10.65.0.140', '2001:db8:65::8c'],
  ] as const) {
    const ipam = createIpam({ store: store.another(), node: host, log: silentLogger })
    for (const ip of ips) {
      const request = { ip: parseIp(ip), handleId: `margay.${ip}`, attributes: { namespace: 'shop', node: host }, use: 'Workload' } as const
      await ipam.assignIp(request, never)
    }
  }
  return Object.assign(margay, { store })
}

/** The answer as `-o json` gives it, with its exit code. */
async function ask(margay: Awaited<ReturnType<typeof aNetwork>>, question: string) {
  const done = await margay(['explain', ...question.split(' '), '--json'])
  assert.is(done.err, '', question)
  return { code: done.code, answer: JSON.parse(done.out) as Explanation }
}

/** Verdict with what decided it. */
async function verdictOf(margay: Awaited<ReturnType<typeof aNetwork>>, question: string): Promise<string> {
  const { code, answer } = await ask(margay, question)
  assert.is(code, answer.verdict === 'allow' ? 0 : 3)
  const deciding = answer.flows.find(({ verdict }) => verdict === answer.verdict)
  return `${answer.verdict}: ${deciding?.because}`
}

const verdicts: readonly (readonly [question: string, want: string])[] = [
  ['shop/web shop/db tcp 5432', 'allow: nothing on h1 and h3 denies it'],
  ['shop/web shop/db tcp sql', 'allow: nothing on h1 and h3 denies it'],
  ['web db tcp 5432 --family 6', 'allow: nothing on h1 and h3 denies it'],
  ['2001:db8:65::9 2001:db8:65::8c tcp 5432', 'allow: nothing on h1 and h3 denies it'],
  ['shop/api shop/db tcp 5432', 'deny: h3, to-workload: no policy of tier default decided: its default is Deny'],
  ['shop/web shop/db', 'deny: h3, to-workload: no policy of tier default decided: its default is Deny'],
  ['198.51.100.77 shop/db tcp 5432', 'deny: h3, to-workload: no policy of tier default decided: its default is Deny'],
  ['shop/web shop/api udp 53', 'allow: nothing on h1 denies it'],
  ['shop/web shop/near icmp', 'allow: nothing on h1 and h2 denies it'],
  ['shop/web shop/web tcp 80', 'allow: it does not leave the workload'],
  ['node/h3 shop/db tcp 22', 'allow: nothing on h3 denies it'],
  ['shop/web node/h1 tcp 22', 'deny: h1, to-host: defaultEndpointToHostAction'],
  ['shop/web 10.65.0.11 tcp 22', 'unreachable: no workload and no host has 10.65.0.11'],
  ['shop/web 10.65.200.1 tcp 22', 'unreachable: no host has the block 10.65.200.0/26 of 10.65.200.1'],
  ['shop/web 203.0.113.9 udp 4789', 'deny: h1, from-workload: workloads may not send packets of tunnels (allowVXLANPacketsFromWorkloads)'],
  ['203.0.113.9 node/h1 udp 4789', 'deny: h1, to-host: packets of tunnels are taken from hosts of the network only (externalNodesList)'],
]
for (const [question, want] of verdicts) {
  test(`explain ${question}: ${want}`, async () => {
    assert.is(await verdictOf(await aNetwork(), question), want)
  })
}

/** `via` with what follows from it, and the source as the destination sees it. */
const routes: readonly (readonly [question: string, want: string])[] = [
  ['shop/web shop/near tcp 1', 'direct eth 192.0.2.2 1450 10.65.0.9'],
  ['shop/web shop/db tcp 5432 --family 4', 'vxlan margay.vxlan 10.65.0.129 1450 10.65.0.9'],
  ['shop/web shop/db tcp 5432 --family 6', 'vxlan margay.vxlan6 2001:db8:65::81 1430 2001:db8:65::9'],
  ['shop/web shop/api tcp 1', 'local mgy-api - 1450 10.65.0.9'],
  // The kernel gives what a host sends through a tunnel the tunnel's address.
  ['node/h1 shop/db tcp 5432 --family 4', 'vxlan margay.vxlan 10.65.0.129 1450 10.65.0.1'],
  ['192.0.2.1 shop/db tcp 5432', 'vxlan margay.vxlan 10.65.0.129 1450 10.65.0.1'],
  ['node/h1 shop/near tcp 1', 'direct eth 192.0.2.2 1450 192.0.2.1'],
  // NAT outgoing: the pool has it for IPv4, and other hosts are outside of all pools.
  ['shop/web node/h2 tcp 80 --family 4', 'host-routes eth - 1450 192.0.2.1'],
  ['shop/web node/h2 tcp 80 --family 6', 'host-routes eth - 1430 2001:db8:65::9'],
]
for (const [question, want] of routes) {
  test(`explain ${question}: goes ${want}`, async () => {
    const { answer } = await ask(await aNetwork(), question)
    const [flow] = answer.flows
    const route = flow?.route
    const link = route?.link === '(uplink)' ? 'eth' : route?.link
    assert.is(`${route?.via} ${link} ${route?.nextHop ?? '-'} ${flow?.mtuBytes} ${flow?.hosts.at(-1)?.source}`, want)
  })
}

const hostEndpoint = (name: string, spec: string) => document('HostEndpoint', `name: ${name}, labels: {role: host}`, spec)
const globalPolicy = (name: string, spec: string) => document('GlobalNetworkPolicy', `name: ${name}`, spec)
const uplinks = ['h1', 'h2', 'h3'].map((host) => hostEndpoint(`${host}-eth0`, `node: ${host}, interfaceName: eth0`))

interface World {
  readonly name: string
  readonly documents: readonly string[]
  readonly want: readonly (readonly [question: string, want: string])[]
}

const worlds: readonly World[] = [
  {
    name: 'a host endpoint closes its host, but for failsafes and tunnels',
    documents: uplinks,
    want: [
      ['203.0.113.9 node/h1 tcp 80', 'deny: h1, to-host: no policy applies, and no profile allows it: Deny'],
      ['203.0.113.9 hep/h1-eth0 tcp 80', 'deny: h1, to-host: no policy applies, and no profile allows it: Deny'],
      ['203.0.113.9 2001:db8:1::1 tcp 80', 'error'],
      ['2001:db8:9::9 2001:db8:1::1 tcp 80', 'deny: h1, to-host: no policy applies, and no profile allows it: Deny'],
      ['203.0.113.9 node/h1 tcp 22', 'allow: nothing on h1 denies it'],
      ['node/h1 203.0.113.9 tcp 80', 'deny: h1, from-host: no policy applies, and no profile allows it: Deny'],
      ['shop/web shop/db tcp 5432', 'allow: nothing on h1 and h3 denies it'],
    ],
  },
  {
    name: 'an expected address finds the host endpoint, and a wildcard is for the other interfaces',
    documents: [
      hostEndpoint('a', 'node: h1, expectedIPs: [192.0.2.1], profiles: [projectcalico-default-allow]'),
      hostEndpoint('any', 'node: h1, interfaceName: "*"'),
    ],
    want: [
      ['203.0.113.9 node/h1 tcp 80', 'allow: nothing on h1 denies it'],
      ['node/h1 shop/near tcp 80', 'allow: nothing on h1 and h2 denies it'],
    ],
  },
  {
    name: 'a policy that applies on forward stops a workload at the uplink of its host',
    documents: [
      ...uplinks,
      globalPolicy(
        'no-smtp',
        `selector: role == 'host', applyOnForward: true, order: 1, types: [Egress], egress: [{action: Deny, protocol: TCP, destination: {ports: [25]}}, {action: Allow}]`,
      ),
    ],
    want: [
      [
        'shop/web 203.0.113.9 tcp 25',
        'deny: h1, forward-to-host-endpoint: GlobalNetworkPolicy no-smtp, egress rule 0: Deny TCP to port 25',
      ],
      ['shop/web 203.0.113.9 tcp 26', 'allow: nothing on h1 denies it'],
    ],
  },
  {
    name: 'rules before connection tracking also see the packets of tunnels',
    documents: [
      ...uplinks,
      globalPolicy(
        'no-udp',
        `selector: role == 'host', applyOnForward: true, doNotTrack: true, types: [Ingress], ingress: [{action: Deny, protocol: UDP}]`,
      ),
    ],
    want: [['shop/web shop/db tcp 5432 --family 4', 'deny: h3, untracked: GlobalNetworkPolicy no-udp, ingress rule 0: Deny UDP']],
  },
  {
    name: "the interface of another host's workload may have the name of an uplink",
    documents: [
      ...uplinks,
      document(
        'WorkloadEndpoint',
        'namespace: shop',
        'orchestrator: cni, containerID: c1, node: h2, endpoint: eth0, interfaceName: eth0, ipNetworks: [10.65.0.71/32]',
      ),
    ],
    want: [
      ['203.0.113.9 node/h1 tcp 22', 'allow: nothing on h1 denies it'],
      ['shop/c1 shop/web tcp 22', 'deny: h2, from-workload: no policy applies, and no profile allows it: Deny'],
    ],
  },
  {
    name: 'names that mean several things are asked back',
    documents: [hostEndpoint('web', 'node: h1, interfaceName: eth0')],
    want: [
      ['web shop/api tcp 80', 'error'],
      ['hep/web 203.0.113.9 tcp 22', 'deny: h1, from-host: no policy applies, and no profile allows it: Deny'],
      ['shop/web shop/api tcp 80', 'allow: nothing on h1 denies it'],
    ],
  },
]
for (const { name, documents, want } of worlds) {
  test(name, async () => {
    const margay = await aNetwork(...documents)
    for (const [question, verdict] of want) {
      if (verdict === 'error') assert.is((await margay(['explain', ...question.split(' ')])).code, 2, question)
      else assert.is(await verdictOf(margay, question), verdict, question)
    }
  })
}

test('tiers, passes, logs and staged policies are shown one after the other, and what staged ones would do', async () => {
  const margay = await aNetwork(
    document('Tier', 'name: security', 'order: 1'),
    globalPolicy(
      'security.first',
      `tier: security, selector: app == 'api', types: [Ingress], ingress: [{action: Log}, {action: Pass, source: {nets: [10.65.0.0/16]}}]`,
    ),
    document(
      'StagedGlobalNetworkPolicy',
      'name: closed',
      `selector: app == 'api', order: 1, types: [Ingress], ingress: [{action: Deny, notProtocol: ICMP}]`,
    ),
  )
  const { answer } = await ask(margay, 'shop/web shop/api tcp 80')
  assert.equal([answer.verdict, answer.stagedVerdict], ['allow', 'deny'])
  assert.equal(answer.flows[0]?.hosts[0]?.steps.at(-1), {
    place: 'to-workload',
    endpoint: 'workload endpoint shop/h1-margay-api-eth0',
    verdict: 'allow',
    stagedVerdict: 'deny',
    checks: [
      {
        by: 'policy',
        tier: 'security',
        name: 'GlobalNetworkPolicy security.first',
        isStaged: false,
        rule: 0,
        action: 'Log',
        text: 'ingress rule 0: Log everything',
      },
      {
        by: 'policy',
        tier: 'security',
        name: 'GlobalNetworkPolicy security.first',
        isStaged: false,
        rule: 1,
        action: 'Pass',
        text: 'ingress rule 1: Pass from 10.65.0.0/16',
      },
      {
        by: 'policy',
        tier: 'default',
        name: 'StagedGlobalNetworkPolicy closed',
        isStaged: true,
        rule: 0,
        action: 'Deny',
        text: 'ingress rule 0: Deny not ICMP',
      },
      { by: 'profile', name: 'kns.shop', rule: 0, action: 'Allow', text: 'ingress rule 0: Allow everything' },
    ],
  })
})

test('the answer for people says where it comes from, and ends with the verdict', async () => {
  const margay = await aNetwork()
  const done = await margay(['explain', 'shop/web', 'shop/db', 'tcp', '5432', '--family', '4'])
  assert.equal([done.code, done.err], [0, ''])
  // What hosts of this version enforce is told by its kinds.
  const text = done.out
    .replace(/revision \d+/, 'revision N')
    .replace(/ {2}warning: \w+ is kept, and hosts of this version do not .*\n/g, '')
  assert.is(text, GOLDEN)
})

test('a trial that runs on a host on the way is named with its own verdict; what is written decides the rest', async () => {
  const margay = await aNetwork()
  const closed = document(
    'NetworkPolicy',
    'name: db, namespace: shop',
    "selector: app == 'db', types: [Ingress], ingress: [{action: Deny}]",
  )
  const { out } = await margay(['apply', '-f', '-', '--confirm', '60s', '--wait', '1'], closed)
  const id = /^trial (\w{4}):/m.exec(out)?.[1] ?? ''
  const { lease } = decodeTrial((await margay.store.get(trialKey(id), never))?.value ?? '', 0)
  const says = (node: string, state: TrialHost['state']) => {
    const put = { put: `${trialHostsPrefix(id)}${node}`, value: JSON.stringify({ node, state, reasons: [] }), lease: BigInt(lease) }
    return margay.store.commit([], [put], never)
  }
  await says('h2', 'running')
  await says('h3', 'refused')
  const question = 'shop/web shop/db tcp 5432 --family 4'
  assert.is((await ask(margay, question)).answer.tried, undefined)
  await says('h3', 'running')
  const { code, answer } = await ask(margay, question)
  assert.equal([code, answer.verdict, answer.tried?.verdict], [0, 'allow', 'deny'])
  assert.equal(
    answer.tried?.trials.map(({ id: found, nodes, changes }) => [found, nodes, changes]),
    [[id, ['h3'], ['networkpolicy/shop/db']]],
  )
  const lines = (await margay(['explain', ...question.split(' ')])).out.trim().split('\n').slice(-3)
  assert.match(lines[0] ?? '', /^trial \w{4} of networkpolicy\/shop\/db runs on h3, until 03:0[45]:\d\dZ \(\d+ s left\)$/)
  assert.equal(lines.slice(1), [
    'with it: deny: h3, to-workload: NetworkPolicy shop/db, ingress rule 0: Deny everything',
    'allow: nothing on h1 and h3 denies it',
  ])
})

const GOLDEN = `shop/web (workload on h1) to shop/db (workload on h3), TCP port 5432 (from port 40000)
computed from the store at revision N

IPv4: 10.65.0.9 to 10.65.0.140
  route: h1 to h3, vxlan next hop 10.65.0.129 on margay.vxlan (192.0.2.1 to 198.51.100.3, UDP 4789)
    pool p4 has vxlanMode CrossSubnet, and 198.51.100.3 is not on the subnet 192.0.2.0/24 of h1
    pool p4 10.65.0.0/16, encapsulation vxlanMode CrossSubnet, block 10.65.0.128/26
  MTU 1450
  on h1: in mgy-web, out margay.vxlan, 10.65.0.9 to 10.65.0.140
    from-workload, workload endpoint shop/h1-margay-web-eth0: allow
      profile kns.shop: egress rule 0: Allow everything
    tunnel packet, from-host: goes on, VXLAN between hosts of the network
  on h3: in margay.vxlan, out mgy-db, 10.65.0.9 to 10.65.0.140
    tunnel packet, to-host: goes on, VXLAN between hosts of the network
    to-workload, workload endpoint shop/h3-margay-db-eth0: allow
      tier default, NetworkPolicy shop/db: ingress rule 0: Allow TCP from "app == 'web'" to port 5432

  assumed: h1 does not say that it lives: what it applies may be older
  assumed: h3 does not say that it lives: what it applies may be older
  assumed: uplinks carry 1500 bytes, and no destination NAT is on the way
allow: nothing on h1 and h3 denies it
`

const faults: readonly (readonly [question: string, code: number, want: RegExp])[] = [
  ['shop/gone shop/db tcp 80', 1, /"shop\/gone" is not the name of a workload \(NAMESPACE\/NAME\), a host endpoint, a node or an address/],
  ['203.0.113.1 203.0.113.2 tcp 80', 2, /neither 203\.0\.113\.1 nor 203\.0\.113\.2 is a workload or a host of this network/],
  ['shop/api 2001:db8:65::8c tcp 80', 2, /no IP version that both have: shop\/api has 10\.65\.0\.10, shop\/db has 2001:db8:65::8c/],
  ['shop/web shop/db 443', 2, /"443" is not a protocol .*; for a port write "tcp 443"/],
  ['shop/web shop/db tcp', 2, /give one after the protocol, as in "tcp 443"/],
  ['shop/web shop/db tcp 70000', 2, /"70000" is not a port: give 1 to 65535, or .*shop\/db has sql/],
  ['shop/web shop/db udp sql', 2, /"sql" is not a port/],
  ['shop/web shop/db 47 80', 2, /protocol 47 has no ports/],
  ['shop/web shop/db icmp 8/x', 2, /"8\/x" is not a type of ICMP, give TYPE or TYPE\/CODE/],
]
for (const [question, code, want] of faults) {
  test(`explain ${question} is refused with exit code ${code}`, async () => {
    const margay = await aNetwork()
    const done = await margay(['explain', ...question.split(' ')])
    assert.is(done.code, code)
    assert.match(done.err, want)
  })
}

test('what hosts of this version keep and do not enforce is said', async () => {
  const { answer } = await ask(await aNetwork(), 'shop/web shop/api tcp 80')
  const isKept = fieldWarnings(aPolicy('shop/db', { selector: 'all()' })).some(({ path }) => path === '')
  assert.is(
    answer.warnings.some((text) => text.startsWith('NetworkPolicy ')),
    isKept,
  )
  if (isKept) assert.is(answer.isEnforced, false)
})

test('a policy that cannot be read is named', async () => {
  const store = new MemoryStore()
  const key = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/broken'
  await store.commit([], [{ put: key, value: '{"spec":{"selector":"a =="}}' }], never)
  for (const document of [NETWORK[2], NETWORK[3]]) {
    const applied = await run(['apply', '-f', '-'], { store: store.another(), stdin: document ?? '', env })
    assert.is(applied.code, 0, applied.err)
  }
  const done = await run(['explain', 'h1', 'h2', 'tcp', '80'], { store: store.another(), env })
  assert.match(done.out, /warning: GlobalNetworkPolicy broken can't be read, and is left out: /)
})

test.run()
