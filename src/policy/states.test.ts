import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Pass, passIn } from '../../test/support/passing.ts'
import { anEndpoint } from '../../test/support/planning.ts'
import { aGlobalPolicy, aHostEndpoint, aProfile, aTier } from '../../test/support/policies.ts'
import { createPolicyLab, LINKS, OWN, type PolicyLab, REACHED } from '../../test/support/policy-lab.ts'
import { NftCounters } from '../kernel/nftables/counters.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import type { NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { GlobalNetworkPolicy } from '../model/network-policy.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { counterOf } from './counted-rule.ts'
import { PolicyEngine, type PolicyHost, type PolicyInput } from './engine.ts'

const test = suite('policy/states')

const { signal } = new AbortController()
const settings: PolicyHost['settings'] = {
  workloadInterfaces: ['mgy*'],
  endpointToHost: 'Drop',
  failsafes: { inbound: [], outbound: [] },
  dropsInvalid: true,
  implicit: [],
  tunnels: [],
  markBit: 0x1000_0000,
  deny: 'drop',
}
const interfaces = LINKS.map((name) => ({ name, addresses: OWN[name].map(parseIp) }))
let labels = 0

/** A host under policy: what it is told is in force when `apply` has ended. */
interface Scene {
  readonly lab: PolicyLab
  apply(more: Partial<PolicyHost['settings']>, ...resources: readonly PolicyInput[]): Promise<void>
  /** Who gets each of these packets; undefined: nobody. */
  readonly pass: Pass
}

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const lab = createPolicyLab(`st${labels++}`)
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const engine = new PolicyEngine({ node: 'h1', interfaces, settings })
  let before: ReadonlyMap<string, NftObject> = new Map()
  const apply: Scene['apply'] = async (more, ...resources) => {
    engine.setHost({ node: 'h1', interfaces, settings: { ...settings, ...more } })
    for (const one of resources)
      engine.set(one.kind, one.metadata.namespace ? `${one.metadata.namespace}/${one.metadata.name}` : one.metadata.name, one)
    const steps = engine.flush()
    let step = steps.next()
    while (!step.done) step = steps.next()
    const put = new Map(engine.objects)
    const failures = await table.commit({ put, remove: new Map([...before].filter(([key]) => !put.has(key))) }, signal)
    assert.equal([...failures.values()], [])
    before = put
  }
  const pass = passIn(lab)
  try {
    const endpoints = (['mgyw1', 'mgyw2'] as const).map((link) =>
      anEndpoint(link, 'h1', REACHED[link], { interfaceName: link, profiles: ['open'] }),
    )
    await apply(
      {},
      aTier('default', { order: 1 }),
      aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] }),
      ...endpoints,
      // Somebody is closed: else nothing is asked about anybody.
      anEndpoint('closed', 'h1', ['10.65.0.9']),
    )
    await work({ lab, apply, pass })
  } finally {
    table.close()
    lab.close()
  }
}

const policy = (spec: GlobalNetworkPolicy['spec']) => aGlobalPolicy('p', spec)
const closed = policy({ types: ['Ingress', 'Egress'] })

for (const [family, w1, w2] of [
  ['IPv4', '10.65.0.2', '10.65.0.3'],
  ['IPv6', '[2001:db8:65::2]', '[2001:db8:65::3]'],
] as const) {
  const [there, back, other] = [`udp ${w1}:1000 > ${w2}:53`, `udp ${w2}:53 > ${w1}:1000`, `udp ${w2}:54 > ${w1}:1000`]

  test(`${family}: answers pass where nothing new would, and go on when what they answer is denied from then on`, () =>
    withScene(async ({ apply, pass }) => {
      assert.equal(await pass(['mgyw1', there]), ['mgyw2'])
      await apply(
        {},
        policy({
          types: ['Ingress', 'Egress'],
          ingress: [{ action: 'Allow', protocol: 'UDP', destination: { ports: [53] } }],
          egress: [{ action: 'Allow', protocol: 'UDP', destination: { ports: [53] } }],
        }),
      )
      assert.equal(await pass(['mgyw2', other], ['mgyw2', back]), [undefined, 'mgyw1'])
      await apply({}, closed)
      assert.equal(await pass(['mgyw1', there], ['mgyw2', back], ['mgyw1', there.replace(':53', ':55')]), ['mgyw2', 'mgyw1', undefined])
    }))
}

test('what connection tracking can make nothing of is dropped at endpoints, unless that is not wanted', () =>
  withScene(async ({ apply, pass }) => {
    const answers = [
      ['mgyw1', 'icmp 10.65.0.2 > 10.65.0.3 0/0'],
      ['eth0', 'icmp 192.0.2.9 > 10.65.0.3 0/0'],
      ['eth0', 'icmp 192.0.2.9 > 203.0.113.9 0/0'],
    ] as const
    assert.equal(await pass(...answers), [undefined, undefined, 'eth1'])
    await apply({ dropsInvalid: false })
    assert.equal(await pass(...answers), ['mgyw2', 'mgyw2', 'eth1'])
  }))

test('what is allowed before connection tracking is not tracked, and needs no more permission at the host endpoint', () =>
  withScene(async ({ lab, apply, pass }) => {
    const rules = { doNotTrack: true, applyOnForward: true, types: ['Ingress', 'Egress'] } as const
    const untracked = policy({
      ...rules,
      ingress: [{ action: 'Allow', protocol: 'UDP', destination: { ports: [53] } }],
      egress: [{ action: 'Allow', protocol: 'UDP', source: { ports: [53] } }],
      selector: 'host == "yes"',
    })
    await apply({}, aHostEndpoint('eth0', { interfaceName: 'eth0' }, { host: 'yes' }), untracked)
    lab.host.run(
      'nft',
      'add table inet probe; add chain inet probe in { type filter hook input priority 10; }; add rule inet probe in ct state untracked counter',
    )
    const question = 'udp 192.0.2.9:1000 > 192.0.2.1:53'
    assert.equal(await pass(['eth0', question], ['eth0', question.replace(':53', ':54')], ['host', 'udp 192.0.2.1:53 > 192.0.2.9:1000']), [
      'host',
      undefined,
      'eth0',
    ])
    assert.match(lab.host.run('nft', 'list', 'table', 'inet', 'probe'), /ct state untracked counter packets 1 /)
  }))

test('nobody can claim to be allowed early by a mark of its own', () =>
  withScene(async ({ lab, apply, pass }) => {
    const early = policy({
      preDNAT: true,
      applyOnForward: true,
      types: ['Ingress'],
      ingress: [{ action: 'Allow', protocol: 'TCP' }],
      selector: 'host == "yes"',
    })
    await apply({}, aHostEndpoint('eth0', { interfaceName: 'eth0' }, { host: 'yes' }), early)
    lab.host.run(
      'nft',
      'add table inet probe; add chain inet probe in { type filter hook prerouting priority -350; }; add rule inet probe in meta mark set 0x10000000',
    )
    assert.equal(await pass(['eth0', 'udp 192.0.2.9:1000 > 192.0.2.1:53'], ['eth0', 'tcp 192.0.2.9:1000 > 192.0.2.1:53']), [
      undefined,
      'host',
    ])
  }))

test('an interface of a workload that no endpoint has is closed', () =>
  withScene(async ({ apply, pass }) => {
    await apply({}, anEndpoint('mgyw2', 'h2', REACHED.mgyw2, { interfaceName: 'mgyw2', profiles: ['open'] }))
    assert.equal(
      await pass(
        ['mgyw2', 'udp 10.65.0.3:1 > 192.0.2.9:53'],
        ['eth0', 'udp 192.0.2.9:1 > 10.65.0.3:53'],
        ['mgyw1', 'udp 10.65.0.2:1 > 192.0.2.9:53'],
      ),
      [undefined, undefined, 'eth0'],
    )
  }))

test('what a workload sends to a group is asked about where the host is in the group, and else counted nowhere', () =>
  withScene(async ({ lab, apply, pass }) => {
    await apply({}, closed)
    const counters = new NftCounters({ netns: lab.host.path })
    try {
      const denied = async () =>
        (await counters.read(signal)).get(counterOf({ by: 'tier', direction: 'egress', tier: 'default' }).object.name)?.packets
      // No rule can see before routing whether anybody of the host listens.
      await pass(['mgyw1', 'udp 10.65.0.2:1000 > 224.0.0.251:5353'], ['mgyw1', 'udp [2001:db8:65::2]:1000 > [ff02::fb]:5353'])
      assert.is(await denied(), 0)
      const toAll = [
        ['mgyw1', 'udp 10.65.0.2:1000 > 224.0.0.1:5353'],
        ['mgyw1', 'udp [2001:db8:65::2]:1000 > [ff02::1]:5353'],
      ] as const
      assert.equal(await pass(...toAll), [undefined, undefined])
      assert.is(await denied(), 2)
      await apply({ endpointToHost: 'Return' }, policy({ types: ['Egress'], egress: [{ action: 'Allow' }] }))
      assert.equal(await pass(...toAll), ['host', 'host'])
    } finally {
      counters.close()
    }
  }))

test('what is forwarded is asked about by where it goes to, also where a routing header first leads it to the host', () =>
  withScene(async ({ lab, apply, pass }) => {
    const [gateway, outside] = ['2001:db8:65::1', '2001:db8:1::9']
    lab.host.run('sh', '-c', 'for link in all mgyw1; do echo 1 > /proc/sys/net/ipv6/conf/$link/seg6_enabled; done')
    const passes = (...nets: readonly string[]) =>
      apply(
        { endpointToHost: 'Return' },
        policy({ types: ['Egress'], egress: [{ action: 'Allow', destination: { nets: nets.map((ip) => parseCidr(`${ip}/128`)) } }] }),
      )
    await passes(gateway)
    assert.equal(await pass(['mgyw1', `udp [2001:db8:65::2]:1000 > [${outside}]:53 via ${gateway}`]), [undefined])
    await passes(gateway, outside)
    assert.equal(await pass(['mgyw1', `udp [2001:db8:65::2]:1001 > [${outside}]:53 via ${gateway}`]), ['eth0'])
  }))

test.run()
