import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeError } from '../errors.ts'
import type { ClusterInformation } from '../model/cluster-information.ts'
import { handleKey } from '../model/keys.ts'
import { API_VERSION } from '../model/resource.ts'
import type { MemoryStore } from '../store/memory.ts'
import type { CheckedAllocation } from './findings.ts'
import { aNetwork, countHeld, never, putEndpoint, putValue, readRecords } from './fixtures.ts'
import type { Ipam } from './ipam.ts'
import { formatReport, parseReport, repairsByReports } from './report.ts'

const test = suite('ipam/report')

const cluster: ClusterInformation = {
  apiVersion: API_VERSION,
  kind: 'ClusterInformation',
  metadata: { name: 'default', resourceVersion: '7' },
  spec: { clusterGUID: '9f0c', clusterType: 'margay', datastoreReady: true },
}

/** A workload with its endpoint, two addresses without, and a handle that holds nothing. */
async function leaks() {
  const { store, h1 } = await aNetwork({ v4: '10.65.0.0/24', v6: 'fd65::/120' })
  const [used] = await h1.autoAssign({ handleId: 'margay.default.good', attributes: {}, families: [4] }, never)
  await putEndpoint(store, 'h1', 'good', [used?.ip ?? ''])
  await h1.autoAssign({ handleId: 'margay.default.web', attributes: { namespace: 'default', workload: 'web' } }, never)
  await putValue(store, handleKey('lnw.5f1c'), '{"block":{}}')
  return { store, h1, report: async () => parseReport(await writeReport(h1)) }
}

async function writeReport(h1: Ipam): Promise<string> {
  const allocations: CheckedAllocation[] = []
  const result = await h1.check(never, (allocation) => allocations.push(allocation))
  return formatReport({ version: 'v0', cluster, result, allocations })
}

async function heldAfter(store: MemoryStore, h1: Ipam, reports: Parameters<typeof repairsByReports>[0]) {
  const { done } = await h1.repair(repairsByReports(reports, cluster, await h1.check(never)), [], never)
  const records = await readRecords(store)
  return { done: done.length, held: countHeld(records), handles: [...records.handles.keys()].sort() }
}

test('a report has the members of calicoctl’s, and every digit of the sequence numbers', async () => {
  const { h1, store } = await leaks()
  const text = await writeReport(h1)
  const [block] = (await readRecords(store)).blocks.values()
  const sequence = [...(block?.sequenceNumberForAllocation.values() ?? [])].at(-1) ?? 0n
  assert.ok(sequence > BigInt(Number.MAX_SAFE_INTEGER))
  assert.match(text, `"sequenceNumber": ${sequence}`)
  const { findings, allocations, ...head } = JSON.parse(text)
  assert.equal(head, {
    ...{ version: 'v0', clusterGUID: '9f0c', datastoreLocked: false, clusterInformationRevision: '7', clusterType: 'margay' },
    leakedHandles: [{ ID: 'lnw.5f1c', UID: null, Revision: head.leakedHandles[0].Revision }],
  })
  const given = Object.values(allocations as Record<string, Record<string, unknown>[]>).flat()
  const { ip, sequenceNumber: _, ...rest } = given.find(({ inUse }) => inUse === false) ?? {}
  assert.match(String(ip), /^10\.65\.0\./)
  assert.equal(rest, { handle: 'margay.default.web', namespace: 'default', node: 'h1', inUse: false, owners: [] })
  assert.equal(
    findings.map(({ kind }: { kind: string }) => kind),
    ['leaked-address', 'leaked-address', 'empty-handle'],
  )
})

test('what a report names is released where it still is leaked', async () => {
  const { store, h1, report } = await leaks()
  assert.equal(await heldAfter(store, h1, [await report()]), { done: 3, held: 1, handles: ['margay.default.good'] })
  assert.equal(await heldAfter(store, h1, [await report()]), { done: 0, held: 1, handles: ['margay.default.good'] })
})

test('what was given out anew since the report, or is used now, is not', async () => {
  const { store, h1, report } = await leaks()
  const before = await report()
  const ips = (await h1.releaseByHandle('margay.default.web', never)).slice(0, 1)
  for (const ip of ips) await h1.assignIp({ ip, handleId: 'margay.default.web', attributes: {} }, never)
  await putValue(store, handleKey('lnw.5f1c'), '{"block":{},"deleted":false}')
  assert.equal((await heldAfter(store, h1, [before])).done, 0)
  const after = await report()
  await putEndpoint(store, 'h1', 'web', ips)
  assert.equal((await heldAfter(store, h1, [after])).done, 1, 'the handle alone')
})

test('of several reports only what all of them name is released', async () => {
  const { store, h1, report } = await leaks()
  const first = await report()
  await h1.autoAssign({ handleId: 'margay.default.late', attributes: {}, families: [4] }, never)
  const second = await report()
  assert.equal((await heldAfter(store, h1, [first, second])).handles, ['margay.default.good', 'margay.default.late'])
})

test('no report releases nothing; one of another cluster is refused', async () => {
  const { store, h1, report } = await leaks()
  assert.is((await heldAfter(store, h1, [])).done, 0)
  const foreign = { ...(await report()), clusterGUID: 'other' }
  const now = await h1.check(never)
  assert.throws(
    () => repairsByReports([foreign], cluster, now),
    'the report is of another cluster: its clusterGUID is "other", that of this etcd "9f0c"',
  )
})

const broken = [
  { name: 'no JSON', text: '{', want: /not JSON/ },
  { name: 'no report', text: '{"kind":"IPPool"}', want: /a report of ipam check: version: is required.*allocations/ },
  {
    name: 'a sequence number that is none',
    text: '{"version":"","clusterGUID":"","clusterInformationRevision":"","allocations":{"10.65.0.1":[{"ip":"10.65.0.1","inUse":false,"sequenceNumber":-1}]}}',
    want: /allocations\.?.*10\.65\.0\.1.*sequenceNumber/,
  },
]
for (const { name, text, want } of broken) {
  test(`a file that is no report is refused: ${name}`, () => {
    try {
      parseReport(text)
      assert.unreachable('it was taken')
    } catch (error) {
      assert.match(describeError(error), want)
    }
  })
}

test.run()
