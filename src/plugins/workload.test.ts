import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLog, never, refusal } from '../../test/support/daemon.ts'
import { MAC1 } from '../../test/support/planning.ts'
import { aNetwork, countHeld, findFaults, readRecords } from '../ipam/fixtures.ts'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { resourceKey } from '../model/keys.ts'
import { getResource } from '../store/resource-store.ts'
import { attachWorkload, detachWorkload, endpointId, type WorkloadHost, workloadOf } from './workload.ts'

const test = suite('plugins/workload')
const request = { name: 'web', namespace: 'default', netns: '/run/netns/web' }
const id = 'default/h1-margay-web-eth0'

/** A host that does what it is asked and keeps what that was. */
async function aHost(over: Partial<WorkloadHost> = {}) {
  const { store, h1 } = await aNetwork({ v4: '10.65.0.0/24', v6: 'fd65::/64' })
  const [log, calls] = [aLog(), [] as string[]]
  const note = (what: string) => async (endpoint: string) => void calls.push(`${what} ${endpoint}`)
  const host: WorkloadHost = {
    ...{ node: 'h1', store, ipam: h1, log, interfaceName: () => 'mgy0123456789a', mac: () => MAC1, holderOf: () => undefined },
    attach: (endpoint) => void calls.push(`attach ${endpoint}`),
    detach: (endpoint) => void calls.push(`detach ${endpoint}`),
    applied: note('applied'),
    removed: note('removed'),
    ...over,
  }
  return { host, store, log, calls, held: async () => countHeld(await readRecords(store)) }
}

test('the endpoint is written as Calico would, with an address of each family', async () => {
  const { host, store, calls } = await aHost()
  const endpoint = await attachWorkload(host, { ...request, labels: { app: 'x' } }, never)
  const stored = await getResource(store, { kind: 'WorkloadEndpoint', namespace: 'default', name: 'h1-margay-web-eth0' }, never)
  assert.equal(stored, endpoint)
  const { ipNetworks = [], ...spec } = endpoint.spec
  assert.equal(spec, {
    ...{ orchestrator: 'margay', workload: 'web', node: 'h1', endpoint: 'eth0', interfaceName: 'mgy0123456789a', mac: MAC1 },
    profiles: ['kns.default'],
  })
  assert.match(ipNetworks.join(' '), /^10\.65\.0\.\d+\/32 fd65::[0-9a-f:]+\/128$/)
  assert.is(endpoint.metadata.labels?.['app'], 'x')
  assert.equal(calls, [`attach ${id}`, `applied ${id}`])
  assert.ok(await store.get(resourceKey('Profile', 'kns.default'), never))
})

test('taking down: the endpoint, then the wait, then the addresses, then the namespace', async () => {
  const { host, store, calls, held } = await aHost()
  await attachWorkload(host, request, never)
  const steps: string[] = []
  const removed = async () => {
    const isThere =
      (await getResource(store, { kind: 'WorkloadEndpoint', namespace: 'default', name: 'h1-margay-web-eth0' }, never)) !== undefined
    steps.push(`endpoint ${isThere}, ${await held()} addresses, ${calls.length} calls`)
  }
  assert.is(await detachWorkload({ ...host, removed }, 'default', 'web', never), true)
  assert.equal(steps, ['endpoint false, 2 addresses, 2 calls'])
  assert.equal([await held(), calls.at(-1)], [0, `detach ${id}`])
  assert.is(await detachWorkload(host, 'default', 'web', never), false)
  assert.equal(await findFaults(store), [])
})

test('what a killed daemon left half-way is taken up: its addresses are had again, or released', async () => {
  const { host, held } = await aHost()
  const half = () => host.ipam.autoAssign({ handleId: 'margay.default.web', attributes: { namespace: 'default', workload: 'web' } }, never)
  const [first] = await half()
  assert.is((await attachWorkload(host, request, never)).spec.ipNetworks?.[0], `${first?.ip}/32`)
  await detachWorkload(host, 'default', 'web', never)
  await half()
  assert.is(await detachWorkload(host, 'default', 'web', never), true)
  assert.is(await held(), 0)
  await half()
  const asked = await attachWorkload(host, { ...request, ips: ['10.65.0.99'] }, never)
  assert.equal([asked.spec.ipNetworks, await held()], [['10.65.0.99/32'], 1])
})

test('a failure of the pass is undone; where that fails too, it is said, and the same request works later', async () => {
  const { host, log, held } = await aHost()
  const applied = () => Promise.reject(new Error('file exists'))
  assert.is(await refusal(attachWorkload({ ...host, applied }, request, never)), 'file exists')
  assert.is(await held(), 0)
  const removed = () => Promise.reject(new Error('not done in time'))
  assert.is(await refusal(attachWorkload({ ...host, applied, removed }, request, never)), 'file exists')
  assert.is(await held(), 2)
  assert.match(log.lines.join(), /^warn a failed attachment could not be undone; .*: not done in time$/)
  await attachWorkload(host, request, never)
  assert.is(await held(), 2)
})

test('addresses that were taken back while it was attached are not used: nothing is written, and the next try succeeds', async () => {
  for (const isLate of [false, true]) {
    const { host, store, held } = await aHost()
    let isDone = false
    // Somebody collects for a host that stood still: before the endpoint is made, or with the last look at what is held.
    const collect = async () => {
      if (!isDone) await host.ipam.releaseByHandle('margay.default.web', never)
      isDone = true
    }
    const autoAssign: Ipam['autoAssign'] = async (...args) => {
      const assigned = await host.ipam.autoAssign(...args)
      if (!isLate) await collect()
      return assigned
    }
    const heldBy: Ipam['heldBy'] = async (...args) => {
      const found = await host.ipam.heldBy(...args)
      if (isLate) await collect()
      return found
    }
    const slow = { ...host, ipam: { ...host.ipam, autoAssign, heldBy } }
    const refused = await refusal(attachWorkload(slow, request, never))
    assert.match(refused, /^\S*10\.65\.0\.\d+, fd65::\S* of workload default\/web was released while it was attached; try again$/)
    const ref = { kind: 'WorkloadEndpoint', namespace: 'default', name: 'h1-margay-web-eth0' } as const
    assert.equal([await held(), await getResource(store, ref, never), isDone], [0, undefined, true])
    await attachWorkload(slow, request, never)
    assert.is(await held(), 2)
  }
})

test('a workload of the same name on another host does not hinder it', async () => {
  const { host, store } = await aHost()
  const other = createIpam({ store, node: 'h2', log: silentLogger })
  let others = 0
  const heldBy: Ipam['heldBy'] = async (...args) => {
    const found = await host.ipam.heldBy(...args)
    if (others++ === 0)
      await other.autoAssign({ handleId: 'margay.default.web', attributes: { namespace: 'default', workload: 'web' } }, never)
    return found
  }
  assert.is((await attachWorkload({ ...host, ipam: { ...host.ipam, heldBy } }, request, never)).spec.ipNetworks?.length, 2)
  assert.is(others, 2)
})

test('a workload’s id says which one it is, also with dashes in the names', () => {
  for (const [node, name] of [
    ['h1', 'web'],
    ['h-1', 'web-1'],
    ['h1', 'a--b'],
  ] as const) {
    assert.equal(workloadOf(node, endpointId(node, 'prod', name)), { namespace: 'prod', name })
  }
  assert.is(workloadOf('h1', 'default/h2-margay-web-eth0'), undefined)
  assert.is(workloadOf('h1', 'default/h1-docker-web-eth0'), undefined)
})

test.run()
