import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../test/support/nft-lab.ts'
import { anEndpoint } from '../../test/support/planning.ts'
import { policedHost, policyHost, randomVariant, SERVICES, setsBeside, type Variant } from '../../test/support/policed-world.ts'
import { aGlobalNetworkSet, aGlobalPolicy, aHostEndpoint } from '../../test/support/policies.ts'
import { createPolicyLab, type PolicyLab } from '../../test/support/policy-lab.ts'
import { asPath, isNews, probe } from '../../test/support/probe.ts'
import { idOf, type Journey, type Random, randomJourney, randomOf, randomWorld, type World } from '../../test/support/random-policies.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftChain, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { PolicyInput } from './engine.ts'
import { evaluatePath } from './evaluate-path.ts'
import { Generations, type Told, type TrialOverlay } from './generations.ts'
import { TRIAL_FAMILIES, TRIAL_SET } from './trial.ts'

const test = suite('policy/trial')

const { signal } = new AbortController()
const WORLDS = process.env['TEST_LONG'] === undefined ? 10 : 300
const JOURNEYS = 15
const SEED = Number(process.env['TEST_SEED'] ?? 1)
const CLOSED = anEndpoint('closed', 'h1', ['10.65.0.200'])

/** Lets the generations work, and takes over what they give as the daemon does. */
class Followed {
  readonly generations: Generations
  readonly objects = new Map<string, NftObject>()
  #world: World = new Map()

  constructor(variant: Variant) {
    this.generations = new Generations(policyHost(variant))
    for (const [name, ends] of SERVICES) this.generations.setService(name, ends)
    this.generations.set('WorkloadEndpoint', 'default/closed', CLOSED)
  }

  moveTo(world: World): void {
    for (const [key, one] of this.#world) if (!world.has(key)) this.generations.set(one.kind, idOf(one), undefined)
    for (const one of world.values()) this.generations.set(one.kind, idOf(one), one)
    this.#world = world
  }

  setTrial(overlay: TrialOverlay | undefined): void {
    const world = this.#world
    const tellAll = function* (told: Told): Generator<undefined, void> {
      for (const [name, ends] of SERVICES) told.setService(name, ends)
      told.set('WorkloadEndpoint', 'default/closed', CLOSED)
      for (const one of world.values()) told.set(one.kind, idOf(one), one)
      yield
    }
    drain(this.generations.setTrial(overlay, tellAll))
  }

  flush(): void {
    const { put, remove } = drain(this.generations.flush())
    for (const key of remove) this.objects.delete(key)
    for (const object of put) this.objects.set(keyOf.policy(object), object)
  }
}

function drain<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

async function commit(table: NftablesTable, before: ReadonlyMap<string, NftObject>, objects: Iterable<NftObject>) {
  const put = new Map([...objects].map((object) => [keyOf.policy(object), object]))
  const remove = new Map([...before].filter(([key]) => !put.has(key)))
  const failures = await table.commit({ put, remove }, signal)
  assert.equal(
    [...failures].map(([key, error]) => `${key}: ${error.message}`),
    [],
  )
  return put
}

/** What makes one world of another; `isPolicyOnly` leaves who has which labels and addresses as it is. Workloads are not tried. */
function overlayOf(from: World, to: World, isPolicyOnly: boolean): { readonly overlay: TrialOverlay; readonly world: World } {
  const overlay = new Map<string, PolicyInput | undefined>()
  const world = new Map(from)
  for (const [key, one] of [...from, ...to]) {
    if (one.kind === 'WorkloadEndpoint' || (isPolicyOnly && !/Policy$|^Tier$/.test(one.kind))) continue
    const now = to.get(key)
    overlay.set(`${one.kind}/${idOf(one)}`, now)
    if (now === undefined) world.delete(key)
    else world.set(key, now)
  }
  return { overlay, world }
}

async function compare(
  lab: PolicyLab,
  worldFor: (family: 4 | 6) => World,
  variant: Variant,
  journeys: readonly Journey[],
  firstId: number,
  what: string,
) {
  const hosts = { 4: policedHost(worldFor(4), variant), 6: policedHost(worldFor(6), variant) }
  const expected = journeys.map((one) => evaluatePath(hosts[one.packet.family], asPath(one)).verdict === 'allow')
  const actual = await probe(lab, journeys, expected, firstId)
  const wrong = journeys.filter((_, i) => actual[i] !== expected[i])
  assert.is(wrong.length, 0, `${what}: ${JSON.stringify({ wrong: wrong.slice(0, 2), variant }, undefined, 1)}`)
  return expected.filter(Boolean).length
}

test(`${WORLDS} random trials: the families in the set are judged by the trial, others as before, and all of it comes and goes by what changed (seed ${SEED})`, async () => {
  const lab = createPolicyLab('tria')
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const seen = new Set<string>()
  let objects: ReadonlyMap<string, NftObject> = new Map()
  let [id, allowed, different] = [0, 0, 0]
  try {
    for (let n = 0; n < WORLDS; n++) {
      const random: Random = randomOf(SEED * 100_000 + 50_000 + n)
      const options = { hasUntracked: random(3) === 0 }
      const [variant, committed, other] = [randomVariant(random), randomWorld(random, options), randomWorld(random, options)]
      const { overlay, world } = overlayOf(committed, other, random(2) === 0)
      const followed = new Followed(variant)
      followed.moveTo(committed)
      if (random(2) === 0) followed.flush()
      followed.setTrial(overlay)
      followed.flush()
      objects = await commit(table, objects, [...setsBeside(variant), ...followed.objects.values()])
      const rounds: readonly (readonly [families: readonly string[], worldFor: (family: 4 | 6) => World])[] = [
        [[], () => committed],
        [TRIAL_FAMILIES, () => world],
        [['4'], (family) => (family === 4 ? world : committed)],
        [[], () => committed],
      ]
      for (const [families, worldFor] of rounds) {
        await table.changeTimed(TRIAL_SET, { remove: TRIAL_FAMILIES, put: { elements: families, timeoutMs: 60_000 } })
        const journeys = Array.from({ length: JOURNEYS }, (_, i) => randomJourney(random, id + i, options)).filter((one) =>
          isNews(one, seen),
        )
        allowed += await compare(lab, worldFor, variant, journeys, id, `world ${n} of seed ${SEED} with [${families}] in the set`)
        id += JOURNEYS
      }
      if ([...followed.objects.values()].some(leadsToTrial)) different++
      const keys = new Set(followed.generations.trialKeys)
      assert.equal(sorted(followed.generations.committedOf(followed.objects)), sorted(followed.generations.committed.objects))
      // What changes meanwhile comes to the same as if it had been so from the beginning.
      const meanwhile = randomWorld(random, options)
      followed.moveTo(meanwhile)
      followed.flush()
      const beside = new Followed(variant)
      beside.moveTo(meanwhile)
      beside.setTrial(overlay)
      beside.flush()
      assert.equal(sorted(followed.objects), sorted(beside.objects), `world ${n} of seed ${SEED}, changed during the trial`)
      // What is committed becomes what was tried, then the trial ends: nothing of it stays.
      followed.moveTo(world)
      followed.flush()
      followed.setTrial(undefined)
      followed.flush()
      const fresh = new Followed(variant)
      fresh.moveTo(world)
      fresh.flush()
      assert.equal(sorted(followed.objects), sorted(fresh.objects))
      assert.ok(keys.has(keyOf.policy(TRIAL_SET)))
    }
  } finally {
    table.close()
    lab.close()
  }
  console.log(`  ${allowed} of ${id} packets allowed, ${different} of ${WORLDS} trials change something here`)
  assert.ok(allowed > id / 25 && different > WORLDS / 3, 'hardly anything was allowed, or tried: this would prove nothing')
})

function sorted(objects: ReadonlyMap<string, NftObject>): readonly unknown[] {
  return [...objects]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, one]) => [key, one.kind === 'set' ? [...one.elements].sort() : one])
}

function leadsToTrial(object: NftObject): boolean {
  return object.kind === 'chain' && object.hook !== undefined && JSON.stringify(object.rules[0]).includes('"set":"trial"')
}

const endpoint = aHostEndpoint('e', { node: 'h1', interfaceName: 'eth0' }, { host: 'yes' })
const open = aGlobalPolicy('p', { selector: 'host == "yes"', types: ['Ingress'], ingress: [{ action: 'Allow' }] })
const close = aGlobalPolicy('p', { selector: 'host == "yes"', types: ['Ingress'], ingress: [{ action: 'Deny' }] })

function aHost(...resources: readonly PolicyInput[]): Followed {
  const followed = new Followed(randomVariant(randomOf(7)))
  followed.moveTo(new Map(resources.map((one) => [`${one.kind}/${idOf(one)}`, one])))
  followed.flush()
  return followed
}

test('a trial that changes nothing, and one of what is elsewhere, change no rule', () => {
  const followed = aHost(endpoint, open)
  const before = sorted(followed.objects)
  followed.setTrial(new Map([['GlobalNetworkPolicy/p', open]]))
  followed.flush()
  assert.equal(
    sorted(followed.objects).filter((one) => (one as [string])[0] !== 'set trial'),
    before,
  )
})

test('what a trial does not change stands there once', () => {
  const followed = aHost(endpoint, open)
  const before = followed.objects.size
  followed.setTrial(new Map([['GlobalNetworkPolicy/p', close]]))
  followed.flush()
  const names = [...followed.objects.values()].filter(({ name }) => name.startsWith('trial')).map(({ name }) => name)
  assert.equal(names.toSorted(), ['trial', 'trial-to-host', 'trial-to-host.eth0'])
  assert.ok(followed.objects.size < before + 8, `${followed.objects.size} objects instead of ${before}`)
})

test('members of sets are those of the trial where it changes who is a member, and stand there once where it does not', () => {
  const before = aGlobalNetworkSet('bad', { bad: 'yes' }, '192.0.2.9/32')
  const after = aGlobalNetworkSet('bad', { bad: 'yes' }, '192.0.2.10/32')
  const deny = aGlobalPolicy('p', {
    ...open.spec,
    ingress: [{ action: 'Deny', source: { selector: 'bad == "yes"' } }, { action: 'Allow' }],
  })
  const followed = aHost(endpoint, deny, before)
  const members = () =>
    [...followed.objects.values()].flatMap((one) =>
      one.kind === 'set' && /[ns]4_/.test(one.name) ? [[one.name.replace(/.4_.*/, ''), ...one.elements]] : [],
    )
  followed.setTrial(new Map([['GlobalNetworkPolicy/p', aGlobalPolicy('p', { ...deny.spec, order: 3 })]]))
  followed.flush()
  assert.equal(members(), [['', '192.0.2.9']])
  followed.setTrial(new Map([['GlobalNetworkSet/bad', after]]))
  followed.flush()
  assert.equal(members(), [
    ['', '192.0.2.9'],
    ['trial-', '192.0.2.10'],
  ])
  followed.generations.set('GlobalNetworkSet', 'bad', aGlobalNetworkSet('bad', { bad: 'yes' }, '192.0.2.77/32'))
  followed.flush()
  assert.equal(members(), [
    ['', '192.0.2.77'],
    ['trial-', '192.0.2.10'],
  ])
})

test('a host that had no rules gets base chains that only lead to the trial, and loses them with it', () => {
  const followed = new Followed(randomVariant(randomOf(7)))
  const alone = new Generations(policyHost(randomVariant(randomOf(7))))
  followed.flush()
  assert.not(followed.objects.has('chain to-host'))
  followed.setTrial(
    new Map<string, PolicyInput>([
      ['HostEndpoint/e', endpoint],
      ['GlobalNetworkPolicy/p', close],
    ]),
  )
  followed.flush()
  assert.equal((followed.objects.get('chain to-host') as NftChain).rules, [
    { matches: [{ on: 'family', set: 'trial' }], verdict: { do: 'goto', chain: 'trial-to-host' } },
  ])
  followed.setTrial(undefined)
  followed.flush()
  assert.not(followed.objects.has('chain to-host'))
  assert.is(alone.overlay, undefined)
})

test('what is told while a trial runs reaches both, but not what the trial changes', () => {
  const followed = aHost(endpoint, open)
  followed.setTrial(new Map([['GlobalNetworkPolicy/p', close]]))
  followed.flush()
  const trialChain = () => JSON.stringify(followed.objects.get('chain trial-to-host.eth0'))
  const before = trialChain()
  followed.generations.set('GlobalNetworkPolicy', 'p', aGlobalPolicy('p', { ...open.spec, ingress: [{ action: 'Deny', protocol: 'TCP' }] }))
  followed.flush()
  assert.is(trialChain(), before)
  followed.generations.set(
    'GlobalNetworkPolicy',
    'q',
    aGlobalPolicy('q', { ...open.spec, order: 1, ingress: [{ action: 'Allow', protocol: 'UDP' }] }),
  )
  followed.flush()
  assert.is.not(trialChain(), before)
})

test('the policy that was returns when the time is over, with nobody doing anything', async () => {
  const lab = createPolicyLab('trix')
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const variant = { ...randomVariant(randomOf(7)), failsafes: { inbound: [], outbound: [] }, tunnels: [] }
  const followed = new Followed(variant)
  try {
    followed.moveTo(new Map<string, PolicyInput>([endpoint, open].map((one) => [`${one.kind}/${idOf(one)}`, one])))
    followed.setTrial(new Map([['GlobalNetworkPolicy/p', close]]))
    followed.flush()
    await commit(table, new Map(), [...setsBeside(variant), ...followed.objects.values()])
    const random = randomOf(3)
    let id = 1
    const isOpen = async (family: 4 | 6) => {
      const [source, destination] = family === 4 ? ['192.0.2.10', '192.0.2.1'] : ['2001:db8:1::10', '2001:db8:1::1']
      const packet = {
        ...{ family, protocol: 17 },
        source: { address: source, port: 20_000 + id },
        destination: { address: destination, port: 4000 + random(1000) },
      } as Journey['packet']
      const first = id++
      lab.send('eth0', packet, first)
      // What is let through arrives in microseconds.
      const deadline = performance.now() + 100
      return await until('the packet, or its time', () => {
        if (lab.takeReceived().has(first)) return true
        return performance.now() > deadline ? false : undefined
      })
    }
    const start = performance.now()
    await table.changeTimed(TRIAL_SET, { put: { elements: TRIAL_FAMILIES, timeoutMs: 1500 } })
    table.close()
    assert.equal([await isOpen(4), await isOpen(6)], [false, false])
    await until('the policy that was', async () => ((await isOpen(4)) && (await isOpen(6)) ? true : undefined))
    assert.ok(performance.now() - start >= 1400, 'it returned before its time')
  } finally {
    lab.close()
  }
})

test.run()
