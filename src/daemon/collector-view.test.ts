import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never, until } from '../../test/support/daemon.ts'
import { type TestHost, withHost } from '../../test/support/host.ts'
import { checkIpam } from '../ipam/check.ts'
import type { Finding } from '../ipam/findings.ts'
import { countHeld, putEndpoint, putNode, putPool, putValue, readRecords } from '../ipam/fixtures.ts'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { affinityKey, handleKey, liveKey, resourceKey } from '../model/keys.ts'
import { parseCidr } from '../net/cidr.ts'
import { MemoryStore } from '../store/memory.ts'
import { statusReport } from './status.ts'

const test = suite('daemon/collector-view')

/** A store with pools of both families and three hosts, of which h3 is gone; each has a workload, and one without an endpoint. */
async function aStore() {
  const store = new MemoryStore()
  await putPool(store, 'v4', '10.65.0.0/24', { blockSize: 28, vxlanMode: 'Never' })
  await putPool(store, 'v6', 'fd65::/120', { blockSize: 124 })
  for (const node of ['h1', 'h2', 'h3']) {
    await putNode(store, node)
    const ipam = createIpam({ store, node, log: silentLogger })
    const used = await leak(ipam, 'used')
    await putEndpoint(store, node, 'used', node === 'h3' ? [] : used)
    await leak(ipam, 'left')
  }
  await store.commit([], [{ remove: resourceKey('Node', 'h3') }], never)
  await putValue(store, handleKey('margay.default.none'), '{"block":{}}')
  await putValue(store, affinityKey('h2', parseCidr('10.65.0.240/28')), '{"state":"pending"}')
  return store
}

async function leak(ipam: Ipam, name: string) {
  const found = await ipam.autoAssign({ handleId: `margay.default.${name}`, attributes: { namespace: 'default', workload: name } }, never)
  return found.map(({ ip }) => ip)
}

/** Runs work with host h1 on such a store, once it has seen all. */
async function withField(work: (host: TestHost, ipam: Ipam) => Promise<void>): Promise<void> {
  const store = await aStore()
  await withHost(async (host) => {
    host.start({ isRegistering: false })
    await seeAll(host)
    await work(host, createIpam({ store: host.store, node: 'h1', log: silentLogger }))
  }, store)
}

async function seeAll(host: TestHost): Promise<void> {
  const newest = host.store.revision
  await until('the view', async () => {
    await putValue(host.store, resourceKey('Profile', 'mark'), '{"spec":{}}')
    await putValue(host.store, liveKey('mark'), '{}')
    return ['WorkloadEndpoint', 'IPAMBlock', 'Live'].every((kind) => host.source.view.revisionOf(kind as 'Live') >= newest)
  })
}

const show = ({ kind, subject, reason }: Finding) => `${kind} ${subject}: ${reason}`

test('the view shows what the store shows: of all, and of this host', () =>
  withField(async (host, ipam) => {
    const fresh = await ipam.check(never)
    const all = await checkIpam(await ipam.surveyWith(host.source.view, 'all', never))
    assert.equal(all.findings.map(show).sort(), fresh.findings.map(show).sort())
    assert.equal(all.counts, fresh.counts)
    const own = await checkIpam(await ipam.surveyWith(host.source.view, 'host', never))
    const ofHost = ({ collector }: Finding) => collector.by === 'host' && collector.node === 'h1'
    assert.equal(own.findings.map(show), fresh.findings.filter(ofHost).map(show))
    assert.equal(own.findings.length, 2)
  }))

test('a host collects what it left behind, and as the leader what is left of a host that is gone; status says so', () =>
  withField(async (host) => {
    await host.collector.scan(never)
    assert.is((await statusReport(host.statusParts)).collector?.waiting, 9)
    host.collectorMs += host.config.ipam.leakGraceSeconds * 1000
    await host.collector.scan(never)
    const records = await readRecords(host.store)
    assert.is(countHeld(records), 6, 'what endpoints use, and what h2 has to collect')
    assert.equal(new Set(records.affinities.map((one) => one.host)), new Set(['h1', 'h2']))
    const { collected, isLeading, leader, scanMs = -1, lastScan = '' } = (await statusReport(host.statusParts)).collector ?? {}
    assert.equal({ collected, isLeading, leader }, { collected: { addresses: 6, blocks: 2, handles: 1 }, isLeading: true, leader: 'h1' })
    assert.ok(scanMs >= 0 && !Number.isNaN(Date.parse(lastScan)))
  }))

test('a workload whose namespace is held here keeps its addresses, whatever became of its endpoint', () =>
  withField(async (host, ipam) => {
    const [ip] = await leak(ipam, 'stands')
    host.attachments.endpoints = () => ['default/h1-margay-stands-eth0'][Symbol.iterator]()
    await seeAll(host)
    for (let i = 0; i < 3; i++) {
      await host.collector.scan(never)
      host.collectorMs += host.config.ipam.leakGraceSeconds * 1000
    }
    const held = await ipam.heldBy('margay.default.stands', never)
    assert.is(held[0]?.ip, ip)
    assert.equal(await ipam.heldBy('margay.default.none', never), [])
  }))

test.run()
