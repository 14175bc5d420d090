// at most 300 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../test/support/nft-lab.ts'
import { anEndpoint } from '../../test/support/planning.ts'
import { byId } from '../../test/support/policies.ts'
import { createPolicyLab, LINKS, OWN, type PolicyLab } from '../../test/support/policy-lab.ts'
import { idOf, type Journey, type Random, randomJourney, randomOf, randomWorld, type World } from '../../test/support/random-policies.ts'
import { NftCounters } from '../kernel/nftables/counters.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Profile } from '../model/profile.ts'
import type { Tier } from '../model/tier.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { parseIp } from '../net/ip.ts'
import type { Form } from './block.ts'
import { counterOf, type LogSettings } from './counted-rule.ts'
import { PolicyEngine, type PolicyHost, type PolicyInput } from './engine.ts'
import type { LocalEndpoint, Step } from './evaluate.ts'
import { evaluatePath, type PathResult, type PathSettings, type PathStep, type PolicedHost } from './evaluate-path.ts'
import { DEFAULT_FAILSAFES, type Failsafes } from './failsafes.ts'
import { planHostEndpoints } from './host-endpoints.ts'
import { type LabelledTypes, labelledOf } from './labelled.ts'
import { SearchedMembers, selects } from './members.ts'
import { type Direction, POLICY_KIND_NAMES, type PolicyKind, type PolicyResource, readPolicy } from './policies.ts'
import { readProfile } from './profiles.ts'
import { orderPolicies } from './tiers.ts'

const test = suite('policy/differential')

const { signal } = new AbortController()
const WORLDS = process.env['TEST_LONG'] === undefined ? 50 : 500
const JOURNEYS = 40
const SEED = Number(process.env['TEST_SEED'] ?? 1)

const SERVICES = new Map([
  [
    'red/shop',
    [
      { address: parseIp('10.65.0.3'), protocol: 6, port: 80 },
      { address: parseIp('2001:db8:65::3'), protocol: 17, port: 53 },
    ],
  ],
])
const PEERS = { 4: ['192.0.2.9'], 6: ['2001:db8:1::9'] }
const PEER_SETS: readonly NftObject[] = ([4, 6] as const).map((family) => ({
  kind: 'set',
  name: `hosts${family}`,
  family,
  isInterval: false,
  elements: new Set(PEERS[family]),
}))
const isWorkload = (name: string) => name.startsWith('mgy')
const interfaces = LINKS.map((name) => ({ name, addresses: OWN[name].map(parseIp) }))

const LIMIT = { rate: 10, seconds: 1, burst: 5 } as const

/** What differs from world to world beside what is in the store. */
interface Variant {
  readonly endpointToHost: 'Drop' | 'Return'
  readonly deny: 'drop' | 'reject'
  readonly failsafes: Failsafes
  readonly form: Form
  readonly logs: LogSettings | undefined
}

function randomVariant(random: Random): Variant {
  return {
    endpointToHost: random(2) === 0 ? 'Drop' : 'Return',
    deny: random(2) === 0 ? 'drop' : 'reject',
    failsafes: random(3) === 0 ? { inbound: [], outbound: [{ protocol: 6, port: 443, net: undefined }] } : DEFAULT_FAILSAFES,
    form: (['any', 'by-port', 'linear'] as const)[random(3)] ?? 'any',
    logs: random(2) === 0 ? { group: 77, verdicts: LIMIT, logAction: random(2) === 0 ? LIMIT : undefined } : undefined,
  }
}

function policyHost(variant: Variant): PolicyHost {
  const implicit = [{ protocol: 17, port: 4789, peers: { 4: 'hosts4', 6: 'hosts6' } }]
  return {
    node: 'h1',
    interfaces,
    settings: { ...variant, workloadInterfaces: ['mgy*'], dropsInvalid: true, implicit, markBit: 0x1000_0000 },
  }
}

/** The measure: everything looked for in everything. */
function policedHost(world: World, { endpointToHost, failsafes }: Variant): PolicedHost {
  const all = [...world.values()]
  const ofKind = <T extends PolicyInput>(...kinds: readonly T['kind'][]) => all.filter((one): one is T => kinds.includes(one.kind))
  const profiles = byId(ofKind<Profile>('Profile'))
  const policies = ofKind<PolicyResource>(...POLICY_KIND_NAMES).flatMap((one) => readPolicy(one) ?? [])
  const tiers = byId(ofKind<Tier>('Tier'))
  const local = (id: string, endpoint: WorkloadEndpoint | HostEndpoint): LocalEndpoint => {
    const labelled = labelledOf(endpoint)
    const selecting = policies.filter(({ selector }) => labelled !== undefined && selects(selector, labelled, profiles))
    return {
      id,
      tiers: orderPolicies(selecting, tiers),
      profiles: (endpoint.spec.profiles ?? []).map((name) => readProfile(name, profiles.get(name))),
    }
  }
  const here = ofKind<WorkloadEndpoint>('WorkloadEndpoint').filter(({ spec }) => spec.node === 'h1')
  const { byInterface, wildcard } = planHostEndpoints(ofKind<HostEndpoint>('HostEndpoint'), interfaces, isWorkload)
  const labelled = ofKind<LabelledTypes[keyof LabelledTypes]>('WorkloadEndpoint', 'HostEndpoint', 'GlobalNetworkSet', 'NetworkSet')
  const peers = [...PEERS[4], ...PEERS[6]]
  const settings: PathSettings = {
    ...{ endpointToHost, failsafes, dropsInvalid: true, isWorkloadInterface: isWorkload },
    implicit: [{ name: 'vxlan', protocol: 17, port: 4789, isPeer: (ip) => peers.includes(ip) }],
  }
  return {
    settings,
    workloads: new Map(here.map((endpoint) => [endpoint.spec.interfaceName ?? '', local(endpoint.metadata.name, endpoint)])),
    hostEndpoints: new Map([...byInterface].map(([name, endpoint]) => [name, local(endpoint.metadata.name, endpoint)])),
    wildcard: wildcard && local('*', wildcard),
    members: new SearchedMembers({ labelled: labelled.flatMap((one) => labelledOf(one) ?? []), profiles, services: SERVICES }),
  }
}

/** Takes the engine from one world to the next, by what differs. */
function moveTo(engine: PolicyEngine, before: World, after: World): void {
  for (const [key, resource] of before) if (!after.has(key)) engine.set(resource.kind, idOf(resource), undefined)
  for (const resource of after.values()) engine.set(resource.kind, idOf(resource), resource)
}

function flush(engine: PolicyEngine): readonly NftObject[] {
  const steps = engine.flush()
  for (;;) {
    if (steps.next().done) return [...PEER_SETS, ...engine.objects.values()]
  }
}

/** Puts a rule set in place of the one before, as the daemon does. */
async function commit(
  table: NftablesTable,
  before: ReadonlyMap<string, NftObject>,
  objects: readonly NftObject[],
): Promise<ReadonlyMap<string, NftObject>> {
  const put = new Map(objects.map((object) => [keyOf.policy(object), object]))
  const remove = new Map([...before].filter(([key]) => !put.has(key)))
  const failures = await table.commit({ put, remove }, signal)
  assert.equal(
    [...failures].map(([key, error]) => `${key}: ${error.message}`),
    [],
  )
  return put
}

/** Whether each packet got through: all that should have are waited for. */
async function probe(
  lab: PolicyLab,
  journeys: readonly Journey[],
  expected: readonly boolean[],
  firstId: number,
): Promise<readonly boolean[]> {
  for (const [i, { from, packet, hopLimit }] of journeys.entries()) lab.send(from, packet, firstId + i, hopLimit)
  const received = new Map<number, string>()
  const isComplete = () => {
    for (const [id, where] of lab.takeReceived()) received.set(id, where)
    return expected.every((isAllowed, i) => !isAllowed || received.has(firstId + i)) ? true : undefined
  }
  // What does not come in time is told as a difference, with all that belongs to it.
  await until('all packets', isComplete).catch(() => undefined)
  return journeys.map(({ to }, i) => received.get(firstId + i) === (to ?? 'host'))
}

test(`the kernel decides about ${WORLDS * JOURNEYS} random packets in ${WORLDS} random worlds as the evaluator does (seed ${SEED})`, async () => {
  const lab = createPolicyLab('diff')
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const counters = new NftCounters({ netns: lab.host.path })
  const engine = new PolicyEngine(policyHost(randomVariant(randomOf(0))))
  for (const [name, ends] of SERVICES) engine.setService(name, ends)
  // Somebody is always closed: else nothing is asked about anybody, not even about an interface of a workload that is none.
  engine.set('WorkloadEndpoint', 'default/closed', anEndpoint('closed', 'h1', ['10.65.0.200']))
  let [world, objects]: [World, ReadonlyMap<string, NftObject>] = [new Map(), new Map()]
  const seen = new Set<string>()
  let [allowed, rulesCounted] = [0, 0]
  try {
    for (let n = 0; n < WORLDS; n++) {
      const random = randomOf(SEED * 100_000 + n)
      const options = { hasUntracked: random(3) === 0 }
      const [variant, next] = [randomVariant(random), randomWorld(random, options)]
      engine.setHost(policyHost(variant))
      moveTo(engine, world, next)
      world = next
      objects = await commit(table, objects, flush(engine))
      assert.equal([...engine.problems.values()], [])
      const before = await counters.read(signal)
      const host = policedHost(world, variant)
      const journeys = Array.from({ length: JOURNEYS }, (_, i) => randomJourney(random, n * JOURNEYS + i, options)).filter((one) =>
        isNews(one, seen),
      )
      const results = journeys.map((one) => evaluatePath(host, asPath(one)))
      const expected = results.map(({ verdict }) => verdict === 'allow')
      const actual = await probe(lab, journeys, expected, n * JOURNEYS)
      allowed += actual.filter(Boolean).length
      const wrong = journeys.flatMap((journey, i) => (actual[i] === expected[i] ? [] : [{ journey, result: results[i] }]))
      assert.is(
        wrong.length,
        0,
        `world ${n} of seed ${SEED}: ${JSON.stringify({ wrong: wrong.slice(0, 2), variant, options }, undefined, 1)}`,
      )
      const after = await counters.read(signal)
      const counted = new Map(
        [...after].flatMap(([name, { packets }]) => {
          const more = packets - (before.get(name)?.packets ?? 0)
          return more === 0 ? [] : [[name, more] as const]
        }),
      )
      const named = (counts: ReadonlyMap<string, number>) =>
        [...counts].map(([name, count]) => `${count} ${JSON.stringify(engine.countedRules.get(name) ?? name)}`).toSorted()
      assert.equal(named(counted), named(expectedCounts(results, journeys)), `counters of world ${n} of seed ${SEED}`)
      rulesCounted += counted.size
    }
  } finally {
    table.close()
    counters.close()
    lab.close()
  }
  console.log(`  ${allowed} of ${WORLDS * JOURNEYS} packets allowed, ${rulesCounted} rules counted what they decided`)
  assert.ok(allowed > (WORLDS * JOURNEYS) / 20, 'hardly anything was allowed: this would prove nothing')
})

test.run()

/** How often each rule decided something, by its counter. */
function expectedCounts(results: readonly PathResult[], journeys: readonly Journey[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const [i, { steps }] of results.entries()) {
    for (const { place, list } of steps) {
      for (const step of list?.steps ?? []) {
        const name = counterAt(step, directionAt(place, journeys[i]?.from === 'host'))
        if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    }
  }
  return counts
}

function counterAt(step: Step, direction: Direction): string | undefined {
  if (step.by === 'end') return counterOf({ by: 'end', direction }).object.name
  if (step.by === 'tier') return step.action === 'Deny' ? counterOf({ by: 'tier', direction, tier: step.tier }).object.name : undefined
  const { rule, action } = step
  if (rule === undefined || action === undefined) return undefined
  if (step.by === 'profile') return counterOf({ by: 'profile', direction, profile: step.profile, rule, action }).object.name
  const [name = '', namespace, kind] = step.policy.split('/')
  const policy = { kind: kind as PolicyKind, namespace: namespace || undefined, name, tier: step.tier, isStaged: step.isStaged }
  return counterOf({ by: 'policy', direction, ...policy, rule, action }).object.name
}

function directionAt(place: PathStep['place'], isSent: boolean): Direction {
  if (place === 'untracked') return isSent ? 'egress' : 'ingress'
  return ['pre-dnat', 'forward-from-host-endpoint', 'to-workload', 'to-host'].includes(place) ? 'ingress' : 'egress'
}

function asPath({ from, to, packet, translated, hopLimit }: Journey) {
  return { ...packet, inInterface: from === 'host' ? undefined : from, outInterface: to, state: 'new' as const, translated, hopLimit }
}

/** Without ports an answer looks like a question: of two packets between the same ends only the first is sent. */
function isNews({ packet }: Journey, seen: Set<string>): boolean {
  if (packet.protocol !== 99) return true
  const ends = [packet.source.address, packet.destination.address].sort().join()
  if (seen.has(ends)) return false
  seen.add(ends)
  return true
}
