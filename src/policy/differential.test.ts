// at most 300 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anEndpoint } from '../../test/support/planning.ts'
import { moveTo, policedHost, policyHost, randomVariant, SERVICES, setsBeside, type Variant } from '../../test/support/policed-world.ts'
import { createPolicyLab } from '../../test/support/policy-lab.ts'
import { asPath, isNews, probe } from '../../test/support/probe.ts'
import { type Journey, randomJourney, randomOf, randomWorld, type World } from '../../test/support/random-policies.ts'
import { NftCounters } from '../kernel/nftables/counters.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import { counterOf } from './counted-rule.ts'
import { PolicyEngine } from './engine.ts'
import type { Step } from './evaluate.ts'
import { evaluatePath, type PathResult, type PathStep } from './evaluate-path.ts'
import type { Direction, PolicyKind } from './policies.ts'

const test = suite('policy/differential')

const { signal } = new AbortController()
const WORLDS = Number(process.env['TEST_WORLDS'] ?? (process.env['TEST_LONG'] === undefined ? 50 : 500))
const JOURNEYS = 40
const SEED = Number(process.env['TEST_SEED'] ?? 1)

function flush(engine: PolicyEngine, variant: Variant): readonly NftObject[] {
  const steps = engine.flush()
  for (;;) {
    if (steps.next().done) return [...setsBeside(variant), ...engine.objects.values()]
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
      objects = await commit(table, objects, flush(engine, variant))
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
    for (const { place, list, because } of steps) {
      if (because === 'defaultEndpointToHostAction' && steps.at(-1)?.verdict === 'deny') {
        const { name } = counterOf({ by: 'endpoint-to-host', direction: 'egress' }).object
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
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
