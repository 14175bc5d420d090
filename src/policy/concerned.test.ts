import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anEndpoint } from '../../test/support/planning.ts'
import { moveTo, policyHost, randomVariant, SERVICES } from '../../test/support/policed-world.ts'
import { aGlobalNetworkSet, aGlobalPolicy, aPacket, aProfile, aTier } from '../../test/support/policies.ts'
import { OWN } from '../../test/support/policy-lab.ts'
import { idOf, type Random, randomJourney, randomOf, randomWorld, type World } from '../../test/support/random-policies.ts'
import type { RuleAction } from '../model/rule.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { parseIp } from '../net/ip.ts'
import { type Concern, concernOf, isConcerned } from './concerned.ts'
import { PolicyEngine, type PolicyInput } from './engine.ts'
import type { PolicedHost } from './evaluate-path.ts'
import type { Flow } from './flow.ts'
import { FlowJudge } from './judge-flows.ts'
import type { Packet } from './packet.ts'

const test = suite('policy/concerned')

const [WORLDS, CHANGES, JOURNEYS, SEED] = [30, 15, 60, 11]

function finish<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

function flowOf({ family, protocol, source, destination, icmp }: Packet, translated = destination): Flow {
  const tuple = (from: Packet['source'], to: Packet['source']) => ({
    ...{ source: from.address, destination: to.address, protocol, ...(icmp && { icmp }) },
    ...(from.port === undefined || to.port === undefined ? {} : { sourcePort: from.port, destinationPort: to.port }),
  })
  return { family, original: tuple(source, destination), reply: tuple(translated, source) }
}

const OWN_ADDRESSES = new Set<string>(Object.values(OWN).flat())

/** As `findLinks` knows the ways of a host without host endpoints. */
function linksOf(world: World): (ip: string) => string {
  const links = new Map<string, string>()
  for (const one of world.values()) {
    if (one.kind !== 'WorkloadEndpoint' || one.spec.node !== 'h1' || one.spec.interfaceName === undefined) continue
    for (const network of one.spec.ipNetworks ?? []) links.set(network.slice(0, network.indexOf('/')), one.spec.interfaceName)
  }
  return (ip) => (OWN_ADDRESSES.has(ip) ? 'lo' : (links.get(ip) ?? 'eth9'))
}

/** Always there: what else comes into a set and leaves it changes its members only, and not its shape with the rules that name it. */
const ALWAYS = ['web', 'db', 'bot'].map((role) =>
  aGlobalNetworkSet(`always-${role}`, { role, ...(role === 'bot' ? { extra: 'yes' } : {}) }, '203.0.113.64/28', '2001:db8:113::/64'),
)

/** Without host endpoints, with which most changes concern everybody. */
function worldOf(random: Random, options: { readonly hasUntracked: boolean }): World {
  const found = [...randomWorld(random, options)].filter(([, one]) => one.kind !== 'HostEndpoint')
  return new Map([...found, ...ALWAYS.map((one) => [`always ${one.metadata.name}`, one] as const)])
}

test(`whatever changes, only flows of those concerned can be allowed before and denied after (seed ${SEED})`, () => {
  const counts = { everybody: 0, nobody: 0, some: 0, cut: 0, spared: 0 }
  for (let n = 0; n < WORLDS; n++) {
    const random = randomOf(SEED * 100_000 + n)
    const options = { hasUntracked: false }
    const engine = new PolicyEngine(policyHost(randomVariant(random)))
    for (const [name, ends] of SERVICES) engine.setService(name, ends)
    let world = worldOf(random, options)
    moveTo(engine, new Map(), world)
    finish(engine.flush())
    engine.takeChanges()
    const flows = Array.from({ length: JOURNEYS }, (_, i) => randomJourney(random, i, options)).map(({ packet, translated }) =>
      flowOf(packet, translated),
    )
    const judge = () => {
      const one = new FlowJudge(
        engine.policed(() => false),
        linksOf(world),
      )
      return flows.map((flow) => one.judge(flow) !== undefined)
    }
    let before = judge()
    for (let change = 0; change < CHANGES; change++) {
      const other = worldOf(random, options)
      const all = new Map([...world, ...other])
      // Of network sets there are few, and what they change is the most delicate.
      const keys = [...all.keys()].filter((one) => change % 3 === 0 || all.get(one)?.kind.endsWith('NetworkSet'))
      const key = keys[random(keys.length)] ?? ''
      const next = new Map(world)
      const resource = random(3) === 0 ? undefined : other.get(key)
      if (resource === undefined) next.delete(key)
      else next.set(key, resource)
      const changed = all.get(key)
      if (changed !== undefined) engine.set(changed.kind, idOf(changed), resource)
      world = next
      finish(engine.flush())
      const concern = concernOf(
        engine.policed(() => false),
        [engine.takeChanges()],
      )
      counts[typeof concern === 'object' ? 'some' : concern]++
      const after = judge()
      flows.forEach((flow, i) => {
        if (!isConcerned(concern, flow)) counts.spared++
        if (before[i] || !after[i]) return
        counts.cut++
        assert.ok(isConcerned(concern, flow), `world ${n}, ${key}: ${JSON.stringify(flow)} is denied and was not concerned`)
      })
      before = after
    }
  }
  const { everybody, nobody, some, cut, spared } = counts
  assert.ok(nobody > 10 && some > 50 && cut > 50 && spared > 1000 && everybody < some, JSON.stringify(counts))
})

const open = aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] })

function workload(name: string, address: string, role: string): WorkloadEndpoint {
  const made = anEndpoint(name, 'h1', [address], { interfaceName: `mgy${name}`, profiles: ['open'] })
  return { ...made, metadata: { ...made.metadata, labels: { role } } }
}

const local = workload('w1', '10.65.0.2', 'db')
const base: readonly PolicyInput[] = [aTier('default', { order: 1e6, defaultAction: 'Deny' }), open, local]
const FLOW = flowOf(aPacket('tcp 192.0.2.9:40000 > 10.65.0.2:80'))

/** What a change of one resource concerns. */
function concernAfter(resources: readonly PolicyInput[], [kind, id, now]: readonly [PolicyInput['kind'], string, PolicyInput | undefined]) {
  const engine = new PolicyEngine(policyHost(randomVariant(randomOf(0))))
  for (const one of resources) engine.set(one.kind, idOf(one), one)
  finish(engine.flush())
  engine.takeChanges()
  engine.set(kind, id, now)
  finish(engine.flush())
  const host: PolicedHost = engine.policed(() => false)
  return concernOf(host, [engine.takeChanges()])
}

const friends = (action: RuleAction, not = '') =>
  aGlobalPolicy('friends', {
    selector: 'role == "db"',
    types: ['Ingress'],
    ingress: [{ action, source: { [not === '' ? 'selector' : 'notSelector']: 'friend == "yes"' } }, { action: 'Allow' }],
  })
/** Without it the set would change its shape, and the rules that name it with it. */
const always = aGlobalNetworkSet('always', { friend: 'yes' }, '203.0.113.0/24')
const friend = aGlobalNetworkSet('friend', { friend: 'yes' }, '192.0.2.9/32', '198.51.100.0/24')

/** Whether a flow of somebody who comes into a set, or leaves it, is judged. */
const cases: readonly {
  readonly name: string
  readonly action: RuleAction
  readonly not?: string
  readonly comes: boolean
  readonly is: boolean
}[] = [
  { name: 'who may come in as well is not asked about', action: 'Allow', comes: true, is: false },
  { name: 'who is not let in any more is asked about', action: 'Allow', comes: false, is: true },
  { name: 'who is denied as well is asked about', action: 'Deny', comes: true, is: true },
  { name: 'who is not denied any more is not asked about', action: 'Deny', comes: false, is: false },
  { name: 'who is not one of the others any more is asked about', action: 'Allow', not: 'not', comes: true, is: true },
  { name: 'who is one of the others again is not asked about', action: 'Allow', not: 'not', comes: false, is: false },
  { name: 'who is passed on is asked about', action: 'Pass', comes: true, is: true },
]
for (const { name, action, not, comes, is } of cases) {
  test(name, () => {
    const resources = [...base, always, friends(action, not), ...(comes ? [] : [friend])]
    const concern: Concern = concernAfter(resources, ['GlobalNetworkSet', 'friend', comes ? friend : undefined])
    assert.is(isConcerned(concern, FLOW), is)
    assert.is(typeof concern, is ? 'object' : 'string')
    if (!is) return
    assert.not(isConcerned(concern, flowOf(aPacket('tcp 192.0.2.8:40000 > 10.65.0.2:80'))))
    assert.ok(isConcerned(concern, flowOf(aPacket('tcp 198.51.100.77:40000 > 10.65.0.2:80'))))
  })
}

test('a changed policy concerns the flows of the workloads that it is for', () => {
  const other = workload('w2', '10.65.0.3', 'web')
  const concern = concernAfter([...base, other, friends('Allow')], ['GlobalNetworkPolicy', 'friends', friends('Deny')])
  assert.ok(isConcerned(concern, FLOW))
  assert.not(isConcerned(concern, flowOf(aPacket('tcp 192.0.2.9:40000 > 10.65.0.3:80'))))
})

test('the address that a workload had is concerned', () => {
  const moved = workload('w1', '10.65.0.9', 'db')
  const concern = concernAfter(base, ['WorkloadEndpoint', idOf(local), moved])
  assert.equal(
    ['10.65.0.2', '10.65.0.9', '10.65.0.3'].map((ip) => typeof concern === 'object' && concern.has(parseIp(ip))),
    [true, true, false],
  )
})

test.run()
