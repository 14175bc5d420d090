import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anEndpoint } from '../../test/support/planning.ts'
import { aGlobalNetworkSet, aGlobalPolicy, aHostEndpoint, aProfile, aTier } from '../../test/support/policies.ts'
import { LINKS, OWN } from '../../test/support/policy-lab.ts'
import { idOf, randomOf, randomWorld, type World } from '../../test/support/random-policies.ts'
import { keyOf, type NftChain, type NftObject, type NftSet } from '../kernel/objects.ts'
import { parseSelector } from '../model/selector-parse.ts'
import { parseIp } from '../net/ip.ts'
import { PolicyEngine, type PolicyHost } from './engine.ts'
import { DEFAULT_FAILSAFES } from './failsafes.ts'
import type { ObjectDelta } from './kept-objects.ts'

const test = suite('policy/engine')

const host: PolicyHost = {
  node: 'h1',
  interfaces: LINKS.map((name) => ({ name, addresses: OWN[name].map(parseIp) })),
  settings: {
    workloadInterfaces: ['mgy*'],
    endpointToHost: 'Drop',
    failsafes: DEFAULT_FAILSAFES,
    dropsInvalid: true,
    implicit: [],
    tunnels: [],
    markBit: 0x1000_0000,
    deny: 'drop',
  },
}

function flush(engine: PolicyEngine): ReadonlyMap<string, NftObject> {
  takeDelta(engine)
  return new Map(engine.objects)
}

function takeDelta(engine: PolicyEngine): ObjectDelta {
  const steps = engine.flush()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** Objects as they would be compared with the kernel: elements in order. */
function comparable(objects: ReadonlyMap<string, NftObject>): readonly unknown[] {
  const sorted = [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object)
  return sorted.map((object) => (object.kind === 'set' ? { ...object, elements: [...object.elements].sort() } : object))
}

function workload(name: string, node: string, ip: string, labels: Readonly<Record<string, string>>) {
  const made = anEndpoint(name, node, [ip], { profiles: ['kns.default'], interfaceName: `mgy${name}` })
  return { ...made, metadata: { ...made.metadata, labels } }
}

/** A workload of this host that others of the role `web` may reach. */
function scene(): PolicyEngine {
  const engine = new PolicyEngine(host)
  engine.set('Tier', 'default', aTier('default', { order: 1 }))
  engine.set('Profile', 'kns.default', aProfile('kns.default', { egress: [{ action: 'Allow' }] }))
  engine.set(
    'GlobalNetworkPolicy',
    'p',
    aGlobalPolicy('p', { types: ['Ingress'], ingress: [{ action: 'Allow', source: { selector: 'role == "web"' } }] }),
  )
  engine.set('WorkloadEndpoint', 'default/here', workload('here', 'h1', '10.65.0.2', { role: 'db' }))
  engine.set('WorkloadEndpoint', 'default/there', workload('there', 'h2', '10.65.1.2', { role: 'web' }))
  return engine
}

const sets = (objects: ReadonlyMap<string, NftObject>) =>
  [...objects.values()].filter((object): object is NftSet => object.kind === 'set' && /^[sn]4_/.test(object.name))
const chains = (objects: ReadonlyMap<string, NftObject>) =>
  [...objects.values()].filter((object): object is NftChain => object.kind === 'chain')

test('a member that comes changes its set, and no chain', () => {
  const engine = scene()
  const before = flush(engine)
  engine.set('WorkloadEndpoint', 'default/more', workload('more', 'h3', '10.65.2.2', { role: 'web' }))
  const after = flush(engine)
  assert.equal(
    sets(before).map(({ elements }) => [...elements]),
    [['10.65.1.2']],
  )
  assert.equal(
    sets(after).map(({ elements }) => [...elements]),
    [['10.65.1.2', '10.65.2.2']],
  )
  assert.ok(chains(after).every((chain) => before.get(keyOf.policy(chain)) === chain))
  assert.is(flush(engine).get(keyOf.policy(sets(after)[0] as NftSet)), sets(after)[0])
})

test('a set that gets its first prefix has another name, which the rules name at the same time', () => {
  const engine = scene()
  const [before] = sets(flush(engine))
  engine.set('GlobalNetworkSet', 'office', aGlobalNetworkSet('office', { role: 'web' }, '198.51.100.0/24'))
  const objects = flush(engine)
  const [after] = sets(objects)
  assert.equal([before?.isInterval, after?.isInterval, [...(after?.elements ?? [])]], [false, true, ['10.65.1.2/32', '198.51.100.0/24']])
  const named = new Set(
    chains(objects).flatMap(({ rules }) => rules.flatMap(({ matches }) => matches.flatMap((match) => ('set' in match ? [match.set] : [])))),
  )
  assert.ok(named.has(after?.name ?? '') && !named.has(before?.name ?? ''))
})

test('a policy of which no endpoint here is one keeps no set', () => {
  const engine = scene()
  const before = flush(engine)
  engine.set(
    'GlobalNetworkPolicy',
    'q',
    aGlobalPolicy('q', { selector: 'role == "web"', ingress: [{ action: 'Allow', source: { selector: 'role == "x"' } }] }),
  )
  assert.equal(comparable(flush(engine)), comparable(before))
})

test('an endpoint that moves to another host takes its rules with it', () => {
  const engine = scene()
  flush(engine)
  engine.set('WorkloadEndpoint', 'default/here', workload('here', 'h2', '10.65.0.2', { role: 'db' }))
  assert.equal([...flush(engine).keys()], [])
})

test('as long as every workload is open there are no chains that all packets pass but the one that keeps them from their host', () => {
  const engine = new PolicyEngine(host)
  const allow = [{ action: 'Allow' }] as const
  engine.set('Profile', 'kns.default', aProfile('kns.default', { ingress: allow, egress: allow }))
  engine.set('WorkloadEndpoint', 'default/a', workload('a', 'h1', '10.65.0.2', {}))
  engine.set('WorkloadEndpoint', 'default/b', workload('b', 'h1', '10.65.0.3', { role: 'db' }))
  const bases = () =>
    chains(flush(engine))
      .flatMap(({ name, hook }) => (hook === undefined ? [] : [name]))
      .sort()
  const open = bases()
  assert.equal(open, ['workload-to-host'])
  engine.set('GlobalNetworkPolicy', 'p', aGlobalPolicy('p', { selector: 'role == "db"', types: ['Ingress'] }))
  assert.equal(bases(), ['forward-from-workload', 'forward-to-workload', 'input-from-workload', 'workload-to-host'])
  engine.set('GlobalNetworkPolicy', 'p', undefined)
  assert.equal(bases(), open)
  engine.set('HostEndpoint', 'h', aHostEndpoint('h', { interfaceName: 'eth0' }))
  assert.ok(bases().includes('forward-from-workload') && bases().includes('to-host'))
})

test('a resource that does not read keeps its last good version, and is named until it reads', () => {
  const engine = scene()
  const before = flush(engine)
  engine.set('GlobalNetworkPolicy', 'p', aGlobalPolicy('p', { ingress: [{ action: 'Allow', source: { selector: 'role ==' } }] }))
  assert.equal(comparable(flush(engine)), comparable(before))
  assert.equal(
    [...engine.problems.values()],
    ['GlobalNetworkPolicy p: not a selector: "role ==": at column 8 expected a string in quotes, found the end'],
  )
  engine.set('GlobalNetworkPolicy', 'p', undefined)
  assert.is(engine.problems.size, 0)
  assert.equal(sets(flush(engine)), [])
})

test('what something that does not parse would govern is closed, until it parses or goes', () => {
  const engine = new PolicyEngine(host)
  const allow = [{ action: 'Allow' }] as const
  engine.set('Profile', 'kns.default', aProfile('kns.default', { ingress: allow, egress: allow }))
  engine.set('WorkloadEndpoint', 'default/a', workload('a', 'h1', '10.65.0.2', { role: 'web' }))
  engine.set('WorkloadEndpoint', 'default/b', workload('b', 'h1', '10.65.0.3', { role: 'db' }))
  engine.set('GlobalNetworkPolicy', 'p', aGlobalPolicy('p', { tier: 'first', selector: 'role == "web"', ingress: allow }))
  engine.set('Tier', 'first', aTier('first', { order: 1 }))
  const open = comparable(flush(engine))
  const closed = () => {
    const objects = flush(engine)
    const map = objects.get('set to-workloads')
    const isClosed = (chain: string) => {
      const found = objects.get(`chain ${chain}`)
      return found?.kind === 'chain' && found.rules.every(({ verdict }) => verdict.do !== 'accept' && verdict.do !== 'return')
    }
    const links = map?.kind === 'set' ? [...map.elements].map((element) => element.split(' goto ')) : []
    return links.flatMap(([link = '', chain = '']) => (isClosed(chain) ? [link] : [])).sort()
  }
  assert.equal(closed(), [])
  const cases = [
    ['GlobalNetworkPolicy', 'q', { of: 'endpoints', selector: parseSelector('role == "db"') }, ['mgyb']],
    ['Tier', 'first', { of: 'tier', name: 'first' }, ['mgya']],
    ['Profile', 'kns.default', { of: 'profile', name: 'kns.default' }, ['mgya', 'mgyb']],
  ] as const
  for (const [kind, id, reach, links] of cases) {
    engine.setUnreadable(kind, id, reach)
    assert.equal(closed(), links, kind)
    engine.setUnreadable(kind, id, undefined)
    if (kind === 'GlobalNetworkPolicy') engine.set(kind, id, undefined)
    assert.equal(comparable(flush(engine)), open, kind)
  }
})

test('the interface of a host endpoint that does not parse is closed but for failsafe ports', () => {
  const engine = new PolicyEngine(host)
  engine.set('GlobalNetworkPolicy', 'p', aGlobalPolicy('p', { selector: 'all()', ingress: [{ action: 'Allow' }] }))
  engine.set('HostEndpoint', 'h', undefined)
  engine.setUnreadable('HostEndpoint', 'h', { of: 'host', node: 'h1', interfaceName: 'eth0', expectedIps: [] })
  const chain = flush(engine).get('chain to-host.eth0')
  const verdicts = chain?.kind === 'chain' ? chain.rules.map(({ matches, verdict }) => (matches.length === 0 ? verdict.do : '')) : []
  assert.ok(verdicts.includes('jump') && verdicts.at(-1) === 'drop' && !verdicts.includes('accept'), verdicts.join())
  engine.set('HostEndpoint', 'h', aHostEndpoint('h', { interfaceName: 'eth1' }))
  engine.setUnreadable('HostEndpoint', 'h', undefined)
  const objects = flush(engine)
  assert.equal([objects.has('chain to-host.eth0'), objects.has('chain to-host.eth1')], [false, true])
  engine.set('HostEndpoint', 'h', undefined)
  assert.equal([...flush(engine).keys()], [])
})

test('an interface that gets the address of a host endpoint is governed from then on', () => {
  const engine = new PolicyEngine({ ...host, interfaces: [] })
  engine.set('HostEndpoint', 'h', aHostEndpoint('h', { expectedIPs: OWN.eth0.map(parseIp) }))
  const governed = () =>
    chains(flush(engine)).some(
      ({ name, rules }) =>
        name === 'to-host' && rules.some(({ matches }) => matches.some((match) => match.on === 'iifname' && match.value === 'eth0')),
    )
  assert.is(governed(), false)
  engine.setHost(host)
  assert.is(governed(), true)
})

test('from any world to any other, in any steps, the rule set comes to what it is from nothing, and each delta says what changed', () => {
  const engine = new PolicyEngine(host)
  const told = new Map<string, NftObject>()
  let world: World = new Map()
  for (let seed = 1; seed <= 25; seed++) {
    const random = randomOf(1000 + seed)
    const next = randomWorld(randomOf(seed), { hasUntracked: seed % 3 === 0 })
    const keys = [...new Set([...world.keys(), ...next.keys()])]
    const now = new Map(world)
    while (keys.length > 0) {
      // One change, some, or all that are left.
      for (const key of keys.splice(0, [1, 5, keys.length][random(3)])) {
        const [before, after] = [now.get(key), next.get(key)]
        const resource = after ?? before
        if (resource) engine.set(resource.kind, idOf(resource), after)
        if (after) now.set(key, after)
        else now.delete(key)
      }
      const { put, remove } = takeDelta(engine)
      for (const key of remove) assert.ok(told.delete(key), key)
      for (const object of put) told.set(keyOf.policy(object), object)
      assert.ok(isSame(told, engine.objects), `the delta of seed ${seed}`)
      const fresh = new PolicyEngine(host)
      for (const resource of now.values()) fresh.set(resource.kind, idOf(resource), resource)
      assert.equal(comparable(engine.objects), comparable(flush(fresh)), `seed ${seed}`)
    }
    world = next
  }
})

/** Whether both have the same objects, not merely equal ones. */
function isSame(a: ReadonlyMap<string, NftObject>, b: ReadonlyMap<string, NftObject>): boolean {
  return a.size === b.size && [...a].every(([key, object]) => b.get(key) === object)
}

test.run()
