import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { KernelError } from '../errors.ts'
import { type Desired, emptyTables, ROUTE_PROTOCOL, type Route, type TableName, type TableTypes } from '../kernel/objects.ts'
import type { Delta, Failures, KernelTable, KernelTables } from '../kernel/table.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { Merger } from './merge.ts'
import { Reconciler } from './reconciler.ts'

const test = suite('reconcile/reconciler')
const never = new AbortController().signal

/** A table in memory that counts calls and refuses what it is told to. */
class FakeTable<V> implements KernelTable<V> {
  readonly kernel = new Map<string, V>()
  readonly refuse = new Map<string, KernelError>()
  readonly log: string[]
  readonly name: string
  lists = 0
  constructor(name: string, log: string[]) {
    this.name = name
    this.log = log
  }
  async list(): Promise<ReadonlyMap<string, V>> {
    this.lists++
    return new Map(this.kernel)
  }
  async commit(delta: Delta<V>): Promise<Failures> {
    const failures = new Map<string, KernelError>()
    for (const [key, value] of delta.put) this.#try(key, failures, () => this.kernel.set(key, value), '+')
    for (const key of delta.remove.keys()) this.#try(key, failures, () => this.kernel.delete(key), '-')
    return failures
  }
  #try(key: string, failures: Map<string, KernelError>, apply: () => void, sign: string): void {
    const error = this.refuse.get(key)
    if (error !== undefined) failures.set(key, error)
    else {
      apply()
      this.log.push(`${sign}${this.name} ${key}`)
    }
  }
}

function aKernel() {
  const log: string[] = []
  const make = <V>(name: string) => new FakeTable<V>(name, log)
  const tables = {
    policy: make<TableTypes['policy']>('policy'),
    links: make<TableTypes['links']>('links'),
    sysctls: make<TableTypes['sysctls']>('sysctls'),
    addresses: make<TableTypes['addresses']>('addresses'),
    neighbours: make<TableTypes['neighbours']>('neighbours'),
    fdb: make<TableTypes['fdb']>('fdb'),
    rules: make<TableTypes['rules']>('rules'),
    routes: make<TableTypes['routes']>('routes'),
  }
  return { tables, log }
}

function aRoute(destination: string, more: Partial<Route> = {}): Route {
  return {
    table: 254,
    destination: destination as Cidr,
    metric: 0,
    type: 'unicast',
    link: 'margay.vxlan',
    nextHop: '10.65.1.0' as Ip,
    isOnlink: true,
    ...more,
  }
}

const tunnel: TableTypes['links'] = {
  kind: 'vxlan',
  name: 'margay.vxlan',
  mtuBytes: 1450,
  mac: '66:00:00:00:00:01' as never,
  vni: 4096,
  port: 4789,
  local: '192.0.2.1' as Ip,
  uplink: 'eth0',
}

function world() {
  const kernel = aKernel()
  let nowMs = 0
  const merger = new Merger()
  const reconciler = new Reconciler(kernel.tables as KernelTables, () => nowMs)
  const set = (group: string, part: Desired | undefined) => {
    const dirty = new Map<TableName, Set<string>>()
    merger.set(group, part, dirty)
    reconciler.want(dirty)
  }
  const pass = () => reconciler.pass(merger.tables, never)
  return { ...kernel, merger, reconciler, set, pass, wait: (ms: number) => (nowMs += ms) }
}

test('puts go in order, removes in reverse', async () => {
  const { set, pass, log } = world()
  set('a', { links: [tunnel], addresses: [{ link: 'margay.vxlan', address: '10.65.0.0/32' as never }], routes: [aRoute('10.65.1.0/26')] })
  await pass()
  set('a', undefined)
  await pass()
  assert.equal(log, [
    '+links margay.vxlan',
    '+addresses margay.vxlan 10.65.0.0/32',
    '+routes 254 10.65.1.0/26 0',
    '-routes 254 10.65.1.0/26 0',
    '-addresses margay.vxlan 10.65.0.0/32',
    '-links margay.vxlan',
  ])
})

test('a pass without a change touches nothing and lists nothing', async () => {
  const { set, pass, log, tables } = world()
  set('a', { routes: [aRoute('10.65.1.0/26')] })
  await pass()
  const before = log.length
  assert.equal(await pass(), { put: 0, removed: 0, refused: 0 })
  assert.is(log.length, before)
  assert.is(tables.routes.lists, 1)
})

test('what is ours and not wanted is removed at the start', async () => {
  const { pass, tables } = world()
  tables.routes.kernel.set('254 10.65.9.0/26 0', aRoute('10.65.9.0/26'))
  await pass()
  assert.is(tables.routes.kernel.size, 0)
})

test('what an earlier run put there is neither changed nor removed while one does not know better', async () => {
  const { set, merger, reconciler, tables } = world()
  const [old, stray] = [aRoute('10.65.1.0/26', { nextHop: '192.0.2.1' as Ip }), aRoute('10.65.9.0/26')]
  tables.routes.kernel.set('254 10.65.1.0/26 0', old).set('254 10.65.9.0/26 0', stray)
  set('a', { routes: [aRoute('10.65.1.0/26', { nextHop: '192.0.2.2' as Ip }), aRoute('10.65.2.0/26')] })
  await reconciler.pass(merger.tables, never, { keepsInherited: true })
  assert.equal([...tables.routes.kernel.values()], [old, stray, aRoute('10.65.2.0/26')])
  set('a', { routes: [aRoute('10.65.1.0/26', { nextHop: '192.0.2.2' as Ip }), aRoute('10.65.2.0/26', { nextHop: '192.0.2.3' as Ip })] })
  await reconciler.pass(merger.tables, never, { keepsInherited: true })
  assert.is(tables.routes.kernel.get('254 10.65.2.0/26 0')?.nextHop, '192.0.2.3')
  await reconciler.pass(merger.tables, never)
  assert.equal([...tables.routes.kernel.keys()], ['254 10.65.1.0/26 0', '254 10.65.2.0/26 0'])
  assert.is(tables.routes.kernel.get('254 10.65.1.0/26 0')?.nextHop, '192.0.2.2')
})

test('a refused entry stops no other, stays, is tried again after a while, and says why', async () => {
  const { set, pass, wait, tables, reconciler } = world()
  tables.routes.refuse.set('254 10.65.1.0/26 0', new KernelError('network is unreachable', { errno: 101 }))
  set('a', { routes: [aRoute('10.65.1.0/26'), aRoute('10.65.2.0/26')] })
  assert.equal(await pass(), { put: 1, removed: 0, refused: 1 })
  assert.equal(
    reconciler.failures().map(({ key, error }) => `${key}: ${error.message}`),
    ['254 10.65.1.0/26 0: network is unreachable'],
  )
  tables.routes.refuse.clear()
  assert.is((await pass()).put, 0)
  wait(250)
  assert.is((await pass()).put, 1)
  assert.equal(reconciler.failures(), [])
})

test('entries on a link that could not be made wait for it, with its reason', async () => {
  const { set, pass, wait, tables, reconciler } = world()
  tables.links.refuse.set('margay.vxlan', new KernelError('file exists', { errno: 17 }))
  set('a', { links: [tunnel], routes: [aRoute('10.65.1.0/26')] })
  await pass()
  assert.equal(
    reconciler.failures().map(({ table, error }) => `${table}: ${error.message}`),
    ['links: file exists', 'routes: waits for margay.vxlan'],
  )
  tables.links.refuse.clear()
  wait(250)
  await pass()
  assert.equal(reconciler.failures(), [])
  assert.is(tables.routes.kernel.size, 1)
})

const veth: TableTypes['links'] = {
  kind: 'veth',
  name: 'mgyw1',
  mtuBytes: 1450,
  mac: '66:00:00:00:00:02' as never,
  peer: { netns: '/run/netns/w1', name: 'eth0', addresses: [], gateways: [] },
}

test('no interface of a workload is made while chains that filter its packets are refused; one that is there stays', async () => {
  const { set, pass, wait, tables, reconciler, log } = world()
  const chain = { kind: 'chain', name: 'forward', rules: [], hook: { type: 'filter', hook: 'forward', priority: 0 } } as const
  const other = { ...veth, name: 'mgyw2' }
  set('a', { policy: [chain], links: [tunnel, other] })
  await pass()
  tables.policy.refuse.set('chain forward', new KernelError('not permitted', { errno: 1 }))
  set('a', {
    policy: [{ ...chain, rules: [{ matches: [], verdict: { do: 'drop' } }] }],
    links: [tunnel, { ...other, mtuBytes: 1400 }, veth],
  })
  await pass()
  assert.equal(
    reconciler.failures().map(({ table, key, error }) => `${table} ${key}: ${error.message}`),
    ['policy chain forward: not permitted', 'links mgyw1: waits for the rules of this host'],
  )
  assert.is(log.at(-1), '+links mgyw2')
  tables.policy.refuse.clear()
  wait(250)
  await pass()
  await pass()
  assert.equal([log.at(-1), reconciler.failures()], ['+links mgyw1', []])
})

test('what hangs on a link is put again when the link was made anew', async () => {
  const { set, pass, merger, tables, reconciler } = world()
  set('a', { links: [tunnel], routes: [aRoute('10.65.1.0/26')] })
  await pass()
  tables.links.kernel.clear()
  tables.routes.kernel.clear()
  reconciler.notice({ type: 'changed', table: 'links', key: 'margay.vxlan', value: undefined }, merger.tables)
  await pass()
  assert.is(tables.links.kernel.size, 1)
  assert.is(tables.routes.kernel.size, 1)
  assert.ok(reconciler.repairs >= 1)
})

test('a route that somebody deleted is put back and counted', async () => {
  const { set, pass, merger, tables, reconciler } = world()
  set('a', { routes: [aRoute('10.65.1.0/26')] })
  await pass()
  tables.routes.kernel.clear()
  reconciler.notice({ type: 'changed', table: 'routes', key: '254 10.65.1.0/26 0', value: undefined }, merger.tables)
  await pass()
  assert.is(tables.routes.kernel.size, 1)
  assert.is(reconciler.repairs, 1)
})

test('two groups that want one key: the first by name has it, the other inherits it', () => {
  const { merger, set } = world()
  const key = '254 10.65.1.0/26 0'
  set('b', { routes: [aRoute('10.65.1.0/26', { nextHop: '192.0.2.2' as Ip })] })
  set('a', { routes: [aRoute('10.65.1.0/26', { nextHop: '192.0.2.1' as Ip })] })
  assert.is(merger.tables.routes.get(key)?.nextHop, '192.0.2.1')
  assert.equal(merger.clashes(), [{ table: 'routes', key, owner: 'a', loser: 'b' }])
  set('a', undefined)
  assert.is(merger.tables.routes.get(key)?.nextHop, '192.0.2.2')
  assert.equal(merger.clashes(), [])
})

test('after any sequence of parts the result is that of a fresh merge, and the mirror is the kernel', async () => {
  const partOf = fc.option(
    fc.uniqueArray(fc.record({ block: fc.integer({ min: 0, max: 5 }), hop: fc.integer({ min: 1, max: 3 }) }), {
      maxLength: 4,
      selector: (item) => item.block,
    }),
    { nil: undefined },
  )
  const steps = fc.array(
    fc.record({
      group: fc.constantFrom('a', 'b', 'c'),
      part: partOf,
      refused: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
    }),
    { maxLength: 12 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const { merger, set, pass, wait, tables } = world()
      const last = new Map<string, Desired | undefined>()
      for (const { group, part, refused } of sequence) {
        const desired = part && { routes: part.map(({ block, hop }) => aRoute(`10.65.${block}.0/26`, { nextHop: `192.0.2.${hop}` as Ip })) }
        last.set(group, desired)
        tables.routes.refuse.clear()
        if (refused !== undefined) tables.routes.refuse.set(`254 10.65.${refused}.0/26 0`, new KernelError('no'))
        set(group, desired)
        await pass()
      }
      tables.routes.refuse.clear()
      wait(60_000)
      await pass()
      const fresh = new Merger()
      for (const [group, part] of last) fresh.set(group, part, new Map())
      assert.equal([...merger.tables.routes].sort(), [...fresh.tables.routes].sort())
      assert.equal([...tables.routes.kernel].sort(), [...fresh.tables.routes].sort())
    }),
    { numRuns: 200 },
  )
})

test('the route protocol is ours', () => {
  assert.is(ROUTE_PROTOCOL, 77)
  assert.equal(Object.keys(emptyTables()).length, 8)
})

test.run()
