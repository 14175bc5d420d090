import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatSelector } from '../model/selector.ts'
import { parseSelector, type Selector } from '../model/selector-parse.ts'
import type { Cidr } from '../net/cidr.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { type AddressSet, namedPortSet, selectorSet, serviceSet } from './address-set.ts'
import { LabelIndex } from './label-index.ts'
import type { Labelled, NamedPort } from './labelled.ts'
import { selects } from './members.ts'

const test = suite('policy/label-index')

function drain(index: LabelIndex): void {
  for (const _ of index.flush()) {
    // Tests have all the time there is.
  }
}

function item(labels: Readonly<Record<string, string>>, address: string, more: Partial<Labelled> = {}): Labelled {
  return { labels, profiles: [], addresses: [parseCidr(address)], ports: [], ...more }
}

const set = (text: string) => selectorSet(parseSelector(text))

function members(index: LabelIndex, of: AddressSet): readonly string[] {
  return [...index.members(of.id)].sort()
}

test('members come with items and with sets, whichever is first', () => {
  const index = new LabelIndex()
  const web = set('role == "web"')
  index.activate(web)
  index.set('a', item({ role: 'web' }, '10.65.0.1/32'))
  index.set('b', item({ role: 'db' }, '10.65.0.2/32'))
  drain(index)
  const others = set('role != "web"')
  index.activate(others)
  drain(index)
  assert.equal([members(index, web), members(index, others)], [['10.65.0.1/32'], ['10.65.0.2/32']])
})

test('a change of labels moves one member, and only that is told', () => {
  const index = new LabelIndex()
  const [web, db] = [set('role == "web"'), set('role == "db"')]
  for (const one of [web, db]) index.activate(one)
  for (let i = 0; i < 5; i++) index.set(`i${i}`, item({ role: 'web' }, `10.65.0.${i}/32`))
  drain(index)
  index.takeChanges()
  index.set('i3', item({ role: 'db' }, '10.65.0.3/32'))
  index.set('i4', item({ role: 'web', unseen: 'x' }, '10.65.0.4/32'))
  drain(index)
  assert.equal(
    index.takeChanges(),
    new Map([
      [web.id, { added: new Set(), removed: new Set(['10.65.0.3/32']) }],
      [db.id, { added: new Set(['10.65.0.3/32']), removed: new Set() }],
    ]),
  )
  assert.equal(index.takeChanges(), new Map())
})

test('an address that two items have stays until both are gone', () => {
  const index = new LabelIndex()
  const all = set('all()')
  index.activate(all)
  for (const id of ['a', 'b', 'c']) index.set(id, item({}, '10.65.0.1/32'))
  drain(index)
  for (const [id, want] of [
    ['a', 1],
    ['b', 1],
    ['c', 0],
  ] as const) {
    index.set(id, undefined)
    drain(index)
    assert.is(index.members(all.id).size, want)
  }
})

test('the labels of a profile are inherited: an own one goes before, then the first profile, whether selectors see its value or not', () => {
  const index = new LabelIndex()
  const web = set('role == "web"')
  index.activate(web)
  index.setProfile('first', { role: 'unseen' })
  index.setProfile('second', { role: 'web' })
  index.set('own', item({ role: 'x' }, '10.65.0.1/32', { profiles: ['second'] }))
  index.set('both', item({}, '10.65.0.2/32', { profiles: ['first', 'second'] }))
  index.set('last', item({}, '10.65.0.3/32', { profiles: ['gone', 'second'] }))
  drain(index)
  assert.equal(members(index, web), ['10.65.0.3/32'])
  index.setProfile('first', undefined)
  drain(index)
  assert.equal(members(index, web), ['10.65.0.2/32', '10.65.0.3/32'])
  index.setProfile('gone', { role: 'y' })
  drain(index)
  assert.equal(members(index, web), ['10.65.0.2/32'])
})

test('named ports are members with protocol and port, of those that the selector matches', () => {
  const index = new LabelIndex()
  const http = namedPortSet(parseSelector('role == "web"'), 6, 'http')
  const ports: NamedPort[] = [
    { name: 'http', protocol: 6, port: 8080 },
    { name: 'http', protocol: 6, port: 8081 },
    { name: 'http', protocol: 17, port: 9 },
    { name: 'dns', protocol: 6, port: 53 },
  ]
  index.activate(http)
  index.set('a', item({ role: 'web' }, '10.65.0.1/32', { ports, addresses: ['10.65.0.1/32' as Cidr, '2001:db8::1/128' as Cidr] }))
  index.set('b', item({ role: 'db' }, '10.65.0.2/32', { ports }))
  drain(index)
  assert.equal(members(index, http), ['10.65.0.1/32,6,8080', '10.65.0.1/32,6,8081', '2001:db8::1/128,6,8080', '2001:db8::1/128,6,8081'])
})

test('what stands behind a Service, with ports and without, before and after the set is in use', () => {
  const index = new LabelIndex()
  const [withPorts, without] = [serviceSet('red/shop', true), serviceSet('red/shop', false)]
  index.activate(withPorts)
  index.setService('red/shop', [{ address: parseIp('10.65.0.1'), protocol: 6, port: 80 }])
  index.activate(without)
  index.setService('red/shop', [
    { address: parseIp('10.65.0.1'), protocol: 6, port: 81 },
    { address: parseIp('2001:db8::1'), protocol: 17, port: 53 },
  ])
  drain(index)
  assert.equal(members(index, withPorts), ['10.65.0.1/32,6,81', '2001:db8::1/128,17,53'])
  assert.equal(members(index, without), ['10.65.0.1/32', '2001:db8::1/128'])
  index.setService('red/shop', undefined)
  assert.equal(members(index, without), [])
})

test('two sets of one selector end one by one', () => {
  const index = new LabelIndex()
  const web = set('role == "web"')
  const http = namedPortSet(web.selector, 6, 'http')
  for (const one of [web, http]) index.activate(one)
  index.set('a', item({ role: 'web' }, '10.65.0.1/32'))
  drain(index)
  index.deactivate(http)
  index.set('b', item({ role: 'web' }, '10.65.0.2/32'))
  drain(index)
  assert.equal([members(index, web), members(index, http)], [['10.65.0.1/32', '10.65.0.2/32'], []])
})

/** A generator of numbers that gives the same ones for the same seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const LABELS = ['a', 'b', 'c']
const VALUES = ['', 'x', 'y', 'xy', 'z']

function randomSelector(random: (below: number) => number, depth = 0): Selector {
  const label = LABELS[random(LABELS.length)] ?? 'a'
  const value = VALUES[random(VALUES.length)] ?? ''
  const operands = () => [randomSelector(random, depth + 1), randomSelector(random, depth + 1)]
  const kind = random(depth > 1 ? 9 : 12)
  const leaves: readonly Selector[] = [
    { op: 'equal', label, value },
    { op: 'not-equal', label, value },
    { op: 'in', label, values: new Set([value, 'y']) },
    { op: 'not-in', label, values: new Set([value, 'z']) },
    { op: 'has', label },
    { op: 'contains', label, value },
    { op: 'starts-with', label, value },
    { op: 'ends-with', label, value },
    { op: 'all' },
  ]
  return (
    leaves[kind] ??
    (kind === 9 ? { op: 'not', operand: randomSelector(random, depth + 1) } : { op: kind === 10 ? 'and' : 'or', operands: operands() })
  )
}

function randomLabels(random: (below: number) => number): Record<string, string> {
  return Object.fromEntries(LABELS.flatMap((label) => (random(3) === 0 ? [] : [[label, VALUES[random(VALUES.length)] ?? '']])))
}

function randomItem(random: (below: number) => number): Labelled {
  const profiles = ['p', 'q', 'r'].filter(() => random(3) === 0)
  const addresses = Array.from({ length: random(3) }, () => parseCidr(`10.65.0.${random(12)}/32`))
  const ports = Array.from({ length: random(3) }, () => ({ name: 'http', protocol: random(2) === 0 ? 6 : 17, port: 80 + random(2) }))
  return { labels: randomLabels(random), profiles, addresses, ports }
}

/** What a set must hold, looked for everywhere. */
function searched(
  of: AddressSet,
  items: ReadonlyMap<string, Labelled>,
  profiles: ReadonlyMap<string, Record<string, string>>,
): readonly string[] {
  if (of.kind === 'service') return []
  const resources = new Map([...profiles].map(([name, labelsToApply]) => [name, { spec: { labelsToApply } } as never]))
  const found = [...items.values()].flatMap((one): readonly string[] => {
    if (!selects(of.selector, one, resources)) return []
    if (of.kind === 'selector') return one.addresses
    const offered = one.ports.filter(({ name, protocol }) => name === of.name && protocol === of.protocol)
    return one.addresses.flatMap((address) => offered.map(({ protocol, port }) => `${address},${protocol},${port}`))
  })
  return [...new Set(found)].sort()
}

const SEEDS = process.env['TEST_LONG'] === undefined ? 60 : 400

test(`after any changes, in any order, the members are those that a search finds, and the changes lead there (${SEEDS} seeds)`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomOf(seed)
    const index = new LabelIndex()
    const [items, profiles] = [new Map<string, Labelled>(), new Map<string, Record<string, string>>()]
    const [inUse, told] = [new Map<string, AddressSet>(), new Map<string, Set<string>>()]
    for (let step = 0; step < 300; step++) {
      change(random, index, { items, profiles, inUse, told })
      if (random(4) > 0) continue
      drain(index)
      for (const [id, { added, removed }] of index.takeChanges()) {
        for (const member of removed) assert.ok(told.get(id)?.delete(member), `seed ${seed}: ${member} was not there`)
        for (const member of added) told.get(id)?.add(member)
      }
      for (const one of inUse.values()) {
        const want = searched(one, items, profiles)
        const where = `seed ${seed}, step ${step}: ${one.kind === 'service' ? '' : formatSelector(one.selector)}`
        assert.equal(members(index, one), want, where)
        assert.equal([...(told.get(one.id) ?? [])].sort(), want, where)
      }
    }
  }
})

interface Model {
  readonly items: Map<string, Labelled>
  readonly profiles: Map<string, Record<string, string>>
  readonly inUse: Map<string, AddressSet>
  readonly told: Map<string, Set<string>>
}

function change(random: (below: number) => number, index: LabelIndex, { items, profiles, inUse, told }: Model): void {
  const kind = random(10)
  const id = `i${random(15)}`
  if (kind < 5) {
    const given = randomItem(random)
    items.set(id, given)
    index.set(id, given)
  } else if (kind === 5) {
    items.delete(id)
    index.set(id, undefined)
  } else if (kind === 6) {
    const [name, labels] = [['p', 'q', 'r'][random(3)] ?? 'p', random(4) === 0 ? undefined : randomLabels(random)]
    if (labels) profiles.set(name, labels)
    else profiles.delete(name)
    index.setProfile(name, labels)
  } else if (kind < 9 || inUse.size === 0) {
    const selector = randomSelector(random)
    const one = random(2) === 0 ? selectorSet(selector) : namedPortSet(selector, random(2) === 0 ? 6 : 17, 'http')
    if (!inUse.has(one.id)) told.set(one.id, new Set())
    inUse.set(one.id, one)
    index.activate(one)
  } else {
    const one = [...inUse.values()][random(inUse.size)]
    if (one === undefined) return
    inUse.delete(one.id)
    index.deactivate(one)
  }
}

test.run()
