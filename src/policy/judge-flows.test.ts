import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anEndpoint } from '../../test/support/planning.ts'
import { moveTo, policedHost, policyHost, randomVariant, SERVICES } from '../../test/support/policed-world.ts'
import { aGlobalNetworkSet, aGlobalPolicy, aHostEndpoint, aPacket, aProfile, aTier } from '../../test/support/policies.ts'
import { LINKS, OWN, REACHED } from '../../test/support/policy-lab.ts'
import { type Journey, randomJourney, randomOf, randomWorld } from '../../test/support/random-policies.ts'
import { parseIp } from '../net/ip.ts'
import { PolicyEngine, type PolicyInput } from './engine.ts'
import { evaluatePath, type PolicedHost } from './evaluate-path.ts'
import type { Flow } from './flow.ts'
import { planImplicit } from './implicit.ts'
import { FlowJudge, judgeFlows } from './judge-flows.ts'
import type { Packet } from './packet.ts'

const test = suite('policy/judge-flows')

const [WORLDS, JOURNEYS, SEED] = [60, 60, 7]

/** What the kernel tracks of a packet that was let through. */
function aFlow({ family, protocol, source, destination, icmp }: Packet, translated = destination): Flow {
  const ports = (from: number | undefined, to: number | undefined) =>
    from === undefined || to === undefined ? {} : { sourcePort: from, destinationPort: to }
  return {
    family,
    original: {
      source: source.address,
      destination: destination.address,
      protocol,
      ...ports(source.port, destination.port),
      ...(icmp && { icmp }),
    },
    reply: { source: translated.address, destination: source.address, protocol, ...ports(translated.port, source.port) },
  }
}

const OWN_ADDRESSES = new Set<string>(Object.values(OWN).flat())

function linkOf(ip: string): string | undefined {
  return OWN_ADDRESSES.has(ip) ? 'lo' : LINKS.find((link) => REACHED[link].includes(ip))
}

function finish<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

function engineOf(resources: readonly PolicyInput[]): PolicedHost {
  const engine = new PolicyEngine(policyHost({ ...randomVariant(randomOf(0)), endpointToHost: 'Drop' }))
  for (const one of resources)
    engine.set(one.kind, one.metadata.namespace ? `${one.metadata.namespace}/${one.metadata.name}` : one.metadata.name, one)
  finish(engine.flush())
  return engine.policed(() => false)
}

/** Whether the packet of a flow with these ends takes the way that the flow is judged for. */
function isOrdinary({ from, to, packet }: Journey): boolean {
  const goesTo = to ?? 'lo'
  return (from === 'host' || linkOf(packet.source.address) === from) && (goesTo === 'lo' || from !== to)
}

test(`random flows in random worlds are judged as the evaluator judges their first packet (seed ${SEED})`, () => {
  const engine = new PolicyEngine(policyHost(randomVariant(randomOf(0))))
  for (const [name, ends] of SERVICES) engine.setService(name, ends)
  let before: ReturnType<typeof randomWorld> = new Map()
  let [allowed, denied] = [0, 0]
  for (let n = 0; n < WORLDS; n++) {
    const random = randomOf(SEED * 100_000 + n)
    const options = { hasUntracked: random(3) === 0 }
    const [variant, world] = [randomVariant(random), randomWorld(random, options)]
    engine.setHost(policyHost(variant))
    moveTo(engine, before, world)
    before = world
    finish(engine.flush())
    const judge = new FlowJudge(
      engine.policed((set, ip) => planImplicit(variant.implicit).isIn((one) => ['192.0.2.9', '2001:db8:1::9'].includes(one), set, ip)),
      linkOf,
    )
    const measure = policedHost(world, variant)
    for (let i = 0; i < JOURNEYS; i++) {
      const journey = randomJourney(random, i, options)
      if (!isOrdinary(journey)) continue
      const { from, to, packet, translated } = journey
      const path = { ...packet, translated, inInterface: from === 'host' ? undefined : from, outInterface: to, state: 'new' } as const
      const expected = evaluatePath(measure, path)
      const because = judge.judge(aFlow(packet, translated))
      assert.is(
        because === undefined,
        expected.verdict === 'allow',
        `world ${n}: ${JSON.stringify({ journey, expected, because }, undefined, 1)}`,
      )
      const step = expected.steps.at(-1)?.list?.steps.at(-1)
      if (because === undefined) allowed++
      else {
        denied++
        assert.is(because.place, expected.steps.at(-1)?.place)
        if (step?.by === 'policy') assert.equal([because.policy, because.rule], [step.policy, step.rule])
      }
    }
  }
  assert.ok(allowed > 300 && denied > 300, `${allowed} allowed, ${denied} denied: that would prove little`)
})

const w1 = anEndpoint('w1', 'h1', ['10.65.0.2', '2001:db8:65::2'], { interfaceName: 'mgyw1', profiles: ['open'] })
const open = aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] })
const web = { action: 'Deny', protocol: 'TCP', destination: { ports: [80] } } as const
const noWeb = aGlobalPolicy('no-web', {
  selector: 'all()',
  types: ['Ingress'],
  ingress: [{ action: 'Allow', protocol: 'UDP' }, { action: 'Allow', protocol: 'TCP', source: { ports: [7] } }, web, { action: 'Allow' }],
})
const defaultTier = aTier('default', { order: 1e6, defaultAction: 'Deny' })
const base = [w1, open, defaultTier]

test('a denied flow is named with the endpoint, the policy and the number of its rule', () => {
  const judge = new FlowJudge(engineOf([...base, noWeb]), linkOf)
  assert.equal(judge.judge(aFlow(aPacket('tcp 192.0.2.9:40000 > 10.65.0.2:80'))), {
    place: 'to-workload',
    endpoint: 'WorkloadEndpoint/default/w1',
    policy: 'no-web//GlobalNetworkPolicy',
    rule: 2,
    tier: 'default',
    direction: 'ingress',
    by: 'GlobalNetworkPolicy no-web ingress rule 2',
  })
  for (const allowed of ['tcp 192.0.2.9:7 > 10.65.0.2:80', 'tcp 192.0.2.9:40000 > 10.65.0.2:81', 'udp 192.0.2.9:40000 > 10.65.0.2:80']) {
    assert.is(judge.judge(aFlow(aPacket(allowed))), undefined, allowed)
  }
})

test('it says so where a tier or the profiles deny', () => {
  const onlyDns = aGlobalPolicy('dns', {
    selector: 'all()',
    types: ['Ingress'],
    ingress: [{ action: 'Allow', protocol: 'UDP', destination: { ports: [53] } }],
  })
  const judge = new FlowJudge(engineOf([...base, onlyDns]), linkOf)
  assert.is(judge.judge(aFlow(aPacket('tcp 192.0.2.9:40000 > 10.65.0.2:80')))?.by, 'tier default')
  const closed = new FlowJudge(engineOf([w1, defaultTier, aProfile('open', {})]), linkOf)
  assert.is(closed.judge(aFlow(aPacket('tcp 10.65.0.2:40000 > 192.0.2.9:80')))?.by, 'no profile allows it')
})

test('it says so where the profile does not exist, and where something can not be read', () => {
  const incoming = aFlow(aPacket('tcp 192.0.2.9:40000 > 10.65.0.2:80'))
  const missing = new FlowJudge(engineOf([w1, defaultTier]), linkOf).judge(incoming)
  assert.equal([missing?.by, missing?.profile, missing?.isMissing, missing?.rule], ['profile open does not exist', 'open', true, undefined])
  const closedBy = (...[kind, id, reach]: Parameters<PolicyEngine['setUnreadable']>) => {
    const engine = new PolicyEngine(policyHost({ ...randomVariant(randomOf(0)), endpointToHost: 'Drop' }))
    for (const one of base) engine.set(one.kind, one.metadata.namespace ? `default/${one.metadata.name}` : one.metadata.name, one)
    engine.setUnreadable(kind, id, reach)
    finish(engine.flush())
    const { by, closed } =
      new FlowJudge(
        engine.policed(() => false),
        linkOf,
      ).judge(incoming) ?? {}
    return { by, closed }
  }
  assert.equal(closedBy('GlobalNetworkPolicy', 'web', { of: 'endpoints', selector: { op: 'all' } }), {
    by: "closed: GlobalNetworkPolicy web can't be read",
    closed: { kind: 'GlobalNetworkPolicy', name: 'web' },
  })
  assert.equal(closedBy('Profile', 'open', { of: 'profile', name: 'open' }), {
    by: "closed: what decides about it can't be read",
    closed: {},
  })
})

test('a translated destination is judged by where it goes, and by what it was before NAT', () => {
  const toWorkload = { address: parseIp('10.65.0.2'), port: 80 }
  const flow = aFlow(aPacket('tcp 192.0.2.9:40000 > 192.0.2.1:8080'), toWorkload)
  assert.is(new FlowJudge(engineOf([...base, noWeb]), linkOf).judge(flow)?.place, 'to-workload')
  const beforeNat = aGlobalPolicy('before-nat', {
    ...{ selector: 'has(host)', preDNAT: true, applyOnForward: true, types: ['Ingress'] },
    ingress: [{ action: 'Deny', protocol: 'TCP', destination: { ports: [8080] } }],
  })
  const eth0 = aHostEndpoint('eth0', { interfaceName: 'eth0' }, { host: 'yes' })
  const judge = new FlowJudge(engineOf([...base, beforeNat, eth0]), linkOf)
  assert.is(judge.judge(flow)?.by, 'GlobalNetworkPolicy before-nat ingress rule 0')
  assert.is(judge.judge(aFlow(aPacket('tcp 192.0.2.9:40000 > 192.0.2.1:8081'), toWorkload)), undefined)
})

test('members of sets decide, single addresses and prefixes', () => {
  const guests = [
    aGlobalNetworkSet('g1', { role: 'guest' }, '192.0.2.9', '2001:db8:1::/64'),
    aGlobalNetworkSet('g2', { role: 'net' }, '203.0.113.0/24'),
  ]
  const noGuests = aGlobalPolicy('no-guests', {
    ...{ selector: 'all()', types: ['Ingress'] },
    ingress: [
      { action: 'Deny', source: { selector: 'role == "guest"' } },
      { action: 'Deny', source: { selector: 'role == "net"' } },
      { action: 'Allow' },
    ],
  })
  const judge = new FlowJudge(engineOf([...base, ...guests, noGuests]), linkOf)
  const ruleFor = (text: string) => judge.judge(aFlow(aPacket(text)))?.rule
  assert.is(ruleFor('tcp 192.0.2.9:40000 > 10.65.0.2:80'), 0)
  assert.is(ruleFor('tcp [2001:db8:1::10]:40000 > [2001:db8:65::2]:80'), 0)
  assert.is(ruleFor('tcp 203.0.113.77:40000 > 10.65.0.2:80'), 1)
  assert.is(ruleFor('tcp 192.0.2.10:40000 > 10.65.0.2:80'), undefined)
})

test('flows whose way is unknown, and what goes to many, are left alone', () => {
  const judge = new FlowJudge(engineOf([...base, aGlobalPolicy('none', { selector: 'all()', types: ['Ingress', 'Egress'] })]), linkOf)
  for (const text of [
    'udp 198.18.0.1:1 > 10.65.0.2:2',
    'udp 10.65.0.2:1 > 224.0.0.251:5353',
    'udp 0.0.0.0:68 > 255.255.255.255:67',
    'udp [2001:db8:65::2]:1 > [ff02::fb]:5353',
  ]) {
    assert.is(judge.judge(aFlow(aPacket(text))), undefined, text)
  }
  assert.is(judge.judge(aFlow(aPacket('udp 10.65.0.2:1 > 192.0.2.9:2')))?.place, 'from-workload')
})

test('flows are judged in steps, and only the denied ones are given', () => {
  const flows = Array.from({ length: 100 }, (_, i) => aFlow(aPacket(`tcp 192.0.2.9:${40_000 + i} > 10.65.0.2:${i % 2 === 0 ? 80 : 81}`)))
  const steps = judgeFlows({ flows, host: engineOf([...base, noWeb]), linkOf })
  let stops = 0
  for (;;) {
    const { done, value } = steps.next()
    if (!done) {
      stops++
      continue
    }
    assert.equal(
      value.map(({ flow }) => flow),
      flows.filter((_, i) => i % 2 === 0),
    )
    break
  }
  assert.ok(stops >= 6, `${stops} stops`)
})

test.run()
