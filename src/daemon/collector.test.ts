import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLog, never, refusal, until } from '../../test/support/daemon.ts'
import type { Config } from '../config.ts'
import { aContext, aNetwork, countHeld, findFaults, putConfig, putEndpoint, putNode, putValue, readRecords } from '../ipam/fixtures.ts'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { readIpamSurvey } from '../ipam/read-survey.ts'
import { leaderKey, liveKey, resourceKey } from '../model/keys.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { Election } from '../store/election.ts'
import type { MemoryStore } from '../store/memory.ts'
import { Collector } from './collector.ts'

const test = suite('daemon/collector')

const GRACE_SECONDS = 900

/** Pools of both families, hosts h1 to h3 and a clock for all. */
async function aField() {
  const network = await aNetwork({
    v4: ['10.65.0.0/27', { blockSize: 29, vxlanMode: 'Always' }],
    v6: ['fd65::/124', { blockSize: 126 }],
  })
  const { store, clock } = network
  return {
    ...network,
    /** Time goes on, and the host scans. */
    async after(seconds: number, ...hosts: readonly { readonly collector: Collector }[]) {
      clock.now = new Date(clock.now.getTime() + seconds * 1000)
      for (const { collector } of hosts) await collector.scan(never)
    },
    host: (node: string, over: Parameters<typeof aHost>[3] = {}) => aHost(store.another(), clock, node, over),
    held: async () => countHeld(await readRecords(store)),
  }
}

function aHost(
  store: MemoryStore,
  clock: { readonly now: Date },
  node: string,
  over: { settings?: Partial<Config['ipam']>; standing?: readonly string[]; beforeRepair?: () => Promise<unknown> },
) {
  const log = aLog()
  const now = () => clock.now
  const front = createIpam({ store, node, log, now })
  const check: Ipam['check'] = async (signal) => {
    const result = await front.check(signal)
    await over.beforeRepair?.()
    return result
  }
  const settings: Config['ipam'] = { collect: 'on', leakGraceSeconds: GRACE_SECONDS, stickySeconds: 0, ...over.settings }
  const collector = new Collector({
    ...{ node, log, settings: () => settings, ipam: { ...front, check } },
    election: (task) => new Election({ store, task, node, log }),
    look: (_, signal) => readIpamSurvey(aContext(store, node, now), signal),
    standing: () => new Set(over.standing),
    clock: () => clock.now.getTime(),
  })
  return { collector, log, ipam: front, store, settings }
}

/** An address of each family for a workload of the host, without an endpoint. */
const leak = (ipam: Ipam, name = 'web') =>
  ipam.autoAssign({ handleId: `margay.default.${name}`, attributes: { namespace: 'default', workload: name }, keepHeld: true }, never)
const ipsOf = (assignments: readonly { readonly ip: Ip }[]) => assignments.map(({ ip }) => ip)

test('an own leak is collected when it was found for the grace period, and not before', async () => {
  const { host, after, held, store } = await aField()
  const h1 = host('h1')
  await after(0, h1)
  await after(1, h1)
  await leak(h1.ipam)
  await after(1, h1)
  await after(GRACE_SECONDS - 1, h1)
  assert.equal([await held(), h1.collector.report.waiting], [2, 2])
  await after(1, h1)
  assert.equal([await held(), h1.collector.report.waiting, h1.collector.report.collected.addresses], [0, 0, 2])
  assert.match(h1.log.lines.join('\n'), 'leaked address released: handle "margay.default.web" holds it, no workload endpoint has it')
  assert.equal(await findFaults(store), [])
})

test('what the host left behind before it was started is collected a minute after', async () => {
  const { host, after, held } = await aField()
  await leak(host('h1').ipam)
  const h1 = host('h1')
  await after(0, h1)
  assert.is(await held(), 2)
  await after(60, h1)
  assert.is(await held(), 0)
})

test('one scan is never enough, however long ago the first sight is', async () => {
  const { host, after, held } = await aField()
  const h1 = host('h1', { settings: { leakGraceSeconds: 10 } })
  await leak(h1.ipam)
  await after(100_000, h1)
  assert.is(await held(), 2)
})

interface Kept {
  readonly name: string
  /** After the last look at who uses what, instead of between two scans. */
  readonly isLate?: true
  deed(h1: Ipam, store: MemoryStore, ips: readonly Ip[]): Promise<unknown>
}

const kept: readonly Kept[] = [
  { name: 'an endpoint names it', deed: (_, store, ips) => putEndpoint(store, 'h1', 'web', ips) },
  { name: 'an endpoint of another host names it', deed: (_, store, ips) => putEndpoint(store, 'h2', 'web', ips) },
  { name: 'its workload is back and holds it anew', deed: (h1) => leak(h1) },
  { name: 'its workload is back at the last moment', isLate: true, deed: (h1) => leak(h1) },
  {
    name: 'an endpoint of the host can’t be read',
    deed: (_, store) => putValue(store, resourceKey('WorkloadEndpoint', 'h1-margay-web-eth0', 'default'), '{'),
  },
]
for (const { name, isLate, deed } of kept) {
  test(`an address that was found unused is kept: ${name}`, async () => {
    const { host, after, held, store } = await aField()
    let deeds = 0
    const act = async () => {
      if (++deeds === 1) await deed(h1.ipam, store, ips)
    }
    const h1 = host('h1', isLate ? { beforeRepair: act } : {})
    const ips = ipsOf(await leak(h1.ipam))
    await after(0, h1)
    if (!isLate) await act()
    await after(60, h1)
    await after(GRACE_SECONDS - 61, h1)
    assert.is(await held(), 2)
    assert.is(deeds, 1)
  })
}

test('addresses of a workload that still stands here are kept, and another host’s are not touched', async () => {
  const { host, after, held } = await aField()
  const h1 = host('h1', { standing: ['margay.default.web'] })
  await leak(h1.ipam)
  await leak(host('h2').ipam, 'other')
  for (let i = 0; i < 3; i++) await after(GRACE_SECONDS, h1)
  assert.is(await held(), 4)
})

test('of a host that is gone the leader collects everything, one host alone', async () => {
  const { host, after, store } = await aField()
  const [h1, h2, h3] = [host('h1'), host('h2'), host('h3')]
  await h2.ipam.ensureTunnelAddress({ family: 4, current: undefined }, never)
  await leak(h2.ipam)
  const [used] = await leak(h3.ipam, 'used')
  await putEndpoint(store, 'h3', 'used', [used?.ip ?? ''])
  await h3.ipam.releaseIps((await h3.ipam.heldBy('margay.default.used', never)).slice(1), never)
  await store.commit([], [{ remove: resourceKey('Node', 'h2') }], never)
  await after(0, h1, h3)
  assert.equal([h1.collector.report.isLeading, h3.collector.report.isLeading, h3.collector.report.leader], [true, false, 'h1'])
  await after(GRACE_SECONDS, h3, h1)
  const { collected } = h1.collector.report
  assert.equal(collected, { addresses: 3, blocks: 2, handles: 0 })
  assert.equal(h3.collector.report.collected, { addresses: 0, blocks: 0, handles: 0 })
  const records = await readRecords(store)
  assert.equal([...records.handles.keys()], ['margay.default.used'])
  assert.equal(new Set(records.affinities.map((one) => one.host)), new Set(['h3']))
  assert.equal(await findFaults(store), [])
})

test('addresses that cool down keep their block until they have', async () => {
  const { host, after, store } = await aField()
  await putConfig(store, { ipCooldownSeconds: 60 })
  const h1 = host('h1')
  await leak(host('h2').ipam)
  await store.commit([], [{ remove: resourceKey('Node', 'h2') }], never)
  await after(0, h1)
  await after(GRACE_SECONDS, h1)
  const owners = async () => [...(await readRecords(store)).blocks.values()].map(({ affinity }) => affinity)
  assert.equal(await owners(), [undefined, undefined])
  await after(61, h1)
  await after(GRACE_SECONDS, h1)
  assert.equal(await owners(), [])
})

test('a host that merely is offline keeps everything, for as long as it has its Node', async () => {
  const { host, after, held } = await aField()
  const h1 = host('h1')
  await leak(host('h2').ipam)
  for (let i = 0; i < 5; i++) await after(GRACE_SECONDS, h1)
  assert.equal([await held(), h1.collector.report.waiting], [2, 0])
})

const fenced = [
  { name: 'the host is back with its Node', deed: (store: MemoryStore) => putNode(store, 'h2') },
  { name: 'the host lives', deed: (store: MemoryStore) => putValue(store, liveKey('h2'), '{}') },
  { name: 'another leads', deed: (store: MemoryStore) => putValue(store, leaderKey('ipam'), '{"node":"h3"}') },
] as const
for (const { name, deed } of fenced) {
  test(`a collector that was overtaken writes nothing: ${name}`, async () => {
    const { host, after, store } = await aField()
    await leak(host('h2').ipam)
    await store.commit([], [{ remove: resourceKey('Node', 'h2') }], never)
    let checks = 0
    const beforeRepair = async () => {
      checks++
      await deed(store)
    }
    const h1 = host('h1', { beforeRepair })
    const before = await readRecords(store)
    await after(0, h1)
    await after(GRACE_SECONDS, h1)
    assert.is(checks, 1)
    assert.equal(await readRecords(store), before)
    assert.equal(h1.collector.report.collected, { addresses: 0, blocks: 0, handles: 0 })
  })
}

test('a leader that is followed by another has seen nothing when it leads again', async () => {
  const { host, after, held, store } = await aField()
  const [h1, h3] = [host('h1'), host('h3')]
  await leak(host('h2').ipam)
  await store.commit([], [{ remove: resourceKey('Node', 'h2') }], never)
  await after(0, h1)
  await h1.collector.stop()
  await after(GRACE_SECONDS - 1, h3, h1)
  await h3.collector.stop()
  await after(1, h1)
  assert.is(await held(), 2)
  await after(GRACE_SECONDS, h1)
  assert.is(await held(), 0)
})

test('a dry run says once what it would do, does nothing, and keeps nobody from collecting', async () => {
  const { host, after, held, store } = await aField()
  const dry = host('h1', { settings: { collect: 'dry-run' } })
  await leak(dry.ipam)
  await leak(host('h2').ipam)
  await store.commit([], [{ remove: resourceKey('Node', 'h2') }], never)
  await after(0, dry)
  for (let i = 0; i < 3; i++) await after(GRACE_SECONDS, dry)
  assert.is(await held(), 4)
  const told = dry.log.lines.filter((line) => line.startsWith('info would be collected'))
  assert.is(told.length, 6, told.join('\n'))
  assert.is(await store.get(leaderKey('ipam'), never), undefined)
  const h3 = host('h3')
  await after(0, h3)
  await after(GRACE_SECONDS, h3, dry)
  assert.is(await held(), 2)
})

test('off: nothing is looked for, and the leadership is given up', async () => {
  const { host, after, held, store } = await aField()
  const h1 = host('h1')
  await leak(h1.ipam)
  await after(0, h1)
  assert.ok(await store.get(leaderKey('ipam'), never))
  Object.assign(h1.settings, { collect: 'off' })
  for (let i = 0; i < 3; i++) await after(GRACE_SECONDS, h1)
  assert.equal([await held(), await store.get(leaderKey('ipam'), never)], [2, undefined])
})

test('handles of margay that hold nothing go; of others they stay', async () => {
  const { host, after, store } = await aField()
  const h1 = host('h1')
  for (const id of ['margay.default.gone', 'lnw.5f1c']) await putValue(store, `/calico/ipam/v2/handle/${id}`, '{"block":{}}')
  await after(0, h1)
  await after(GRACE_SECONDS, h1)
  assert.equal([...(await readRecords(store)).handles.keys()], ['lnw.5f1c'])
})

test('a store that is away is tried again, and status says so', async () => {
  const { host, store, held } = await aField()
  const h1 = host('h1', { settings: { leakGraceSeconds: 0 } })
  await leak(h1.ipam)
  h1.store.disconnect()
  assert.match(await refusal(h1.collector.scan(never)), 'did not answer')
  const stop = new AbortController()
  const running = h1.collector.run(stop.signal)
  await until('the problem', () => h1.collector.report.problem?.includes('did not answer'))
  h1.store.reconnect()
  await until('the leak to be collected', async () => {
    h1.collector.poke()
    return (await held()) === 0
  })
  assert.is(h1.collector.report.problem, undefined)
  stop.abort()
  await running
  await h1.collector.stop()
  assert.is(await store.get(leaderKey('ipam'), never), undefined)
})

test('a leader that can’t do its work lets another lead', async () => {
  const { host, store, after, held } = await aField()
  const failing = host('h1', { beforeRepair: () => Promise.reject(new Error('no memory')) })
  await leak(host('h2').ipam)
  await store.commit([], [{ remove: resourceKey('Node', 'h2') }], never)
  await after(0, failing)
  await after(GRACE_SECONDS)
  const stop = new AbortController()
  const running = failing.collector.run(stop.signal)
  await until('the failure', () => failing.collector.report.problem === 'no memory' && !failing.collector.report.isLeading)
  stop.abort()
  await running
  assert.match(failing.log.lines.join('\n'), 'warn leaked addresses could not be looked for, trying again: no memory')
  const h3 = host('h3')
  await after(0, h3)
  await after(GRACE_SECONDS, h3)
  assert.is(await held(), 0)
})

test('an address that was released and given to another is not taken back', async () => {
  const { host, after, store } = await aField()
  let ip = parseIp('10.65.0.1')
  const beforeRepair = async () => {
    await h1.ipam.releaseByHandle('margay.default.web', never)
    await h1.ipam.assignIp({ ip, handleId: 'margay.default.web', attributes: {} }, never)
  }
  const h1 = host('h1', { beforeRepair })
  ip = (await h1.ipam.assignIp({ ip, handleId: 'margay.default.web', attributes: {} }, never)).ip
  await after(0, h1)
  await after(60, h1)
  assert.is(countHeld(await readRecords(store)), 1)
  assert.is(h1.collector.report.collected.addresses, 0)
})

test.run()
