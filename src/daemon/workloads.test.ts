import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { never, refusal, until } from '../../test/support/daemon.ts'
import { type TestHost, withHost } from '../../test/support/host.ts'
import { KernelError } from '../errors.ts'
import { countHeld, findFaults, putPool, readRecords } from '../ipam/fixtures.ts'
import { liveKey } from '../model/keys.ts'
import type { AttachRequest } from '../model/own/api.ts'
import { endpointId } from '../plugins/workload.ts'
import { MemoryStore } from '../store/memory.ts'
import { getResource, listResources, removeResource } from '../store/resource-store.ts'
import { workloadInterface } from '../workloads/interfaces.ts'

const test = suite('daemon/workloads')
const link = workloadInterface('default', 'w1')
const id = endpointId('h1', 'default', 'w1')

/** A running host with one pool, and network namespaces of this test's own. */
async function withWorkloads(count: number, work: (host: TestHost, paths: readonly string[]) => Promise<void>): Promise<void> {
  const store = new MemoryStore()
  await putPool(store, 'v4', '10.65.0.0/24', { blockSize: 30, vxlanMode: 'Never' })
  const names = Array.from({ length: count }, (_, n) => `mgt-${process.pid}-w${n}`)
  for (const name of names) execFileSync('ip', ['netns', 'add', name])
  try {
    await withHost(async (host) => {
      for (const name of ['w1', 'w2']) host.kernel.addNetns(`${host.folder.path}/run/netns/default_h1-margay-${name}-eth0`)
      host.start()
      await until('the first pass', () => host.passes.length > 0)
      await work(
        host,
        names.map((name) => `/run/netns/${name}`),
      )
    }, store)
    assert.equal(await findFaults(store), [])
  } finally {
    for (const name of names) execFileSync('ip', ['netns', 'delete', name])
  }
}

function aRequest(netns: string | undefined, over: Partial<AttachRequest> = {}): AttachRequest {
  return { name: 'w1', namespace: 'default', ...(netns === undefined ? {} : { netns }), ...over }
}

/** What there is of workloads in the store, the kernel and on this host. */
async function left({ store, kernel, attachments, folder }: TestHost) {
  const { resources } = await listResources(store, { kind: 'WorkloadEndpoint' }, never)
  const links = [...kernel.read('links').keys()].filter((name) => name.startsWith('mgy'))
  const pins = [...attachments.endpoints()].length + (existsSync(`${folder.path}/run/netns/default_h1-margay-w1-eth0`) ? 1 : 0)
  return { endpoints: resources.length, addresses: countHeld(await readRecords(store)), links: links.length, pins }
}

const NOTHING = { endpoints: 0, addresses: 0, links: 0, pins: 0 }

test('a namespace is attached with an address, shown, and taken down again', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    const report = await host.workloads.attach(aRequest(netns, { labels: { app: 'web' } }), never)
    assert.equal(report, {
      ...{ name: 'w1', namespace: 'default', orchestrator: 'margay', addresses: report.addresses, interface: link },
      netns,
      state: 'up',
      labels: { app: 'web', 'projectcalico.org/namespace': 'default', 'projectcalico.org/orchestrator': 'margay' },
    })
    assert.match(report.addresses.join(), /^10\.65\.0\.\d+$/)
    assert.ok(host.kernel.read('links').has(link))
    assert.ok([...host.kernel.read('routes').values()].some((route) => route.link === link))
    assert.equal(host.workloads.list(), [report])
    assert.equal(host.workloads.get('default', 'w1'), report)
    assert.is(host.workloads.get('other', 'w1'), undefined)
    assert.is(await host.workloads.detach('default', 'w1', never), true)
    assert.equal(await left(host), NOTHING)
    assert.is(await host.workloads.detach('default', 'w1', never), false)
  }))

test('a workload that exists, and a namespace that another has, are refused with their names', () =>
  withWorkloads(2, async (host, [first = '', second = '']) => {
    await host.workloads.attach(aRequest(first), never)
    assert.match(
      await refusal(host.workloads.attach(aRequest(second), never)),
      /^workload default\/w1 exists on this host with 10\.65\.0\.\d+\/32; margay workload rm w1/,
    )
    assert.match(
      await refusal(host.workloads.attach(aRequest(first, { name: 'w2' }), never)),
      `the network namespace ${first} is attached already, as `,
    )
    assert.is(host.workloads.list().length, 1)
  }))

test('of two requests for one workload at once, one is done', () =>
  withWorkloads(2, async (host, [first = '', second = '']) => {
    const both = [first, second].map((netns) => refusal(host.workloads.attach(aRequest(netns), never)))
    const refusals = await Promise.all(both)
    assert.is(refusals.filter((text) => text === 'it was not refused').length, 1)
    assert.equal(await left(host), { endpoints: 1, addresses: 1, links: 1, pins: 2 })
  }))

test('what the pass can not do is said with the kernel’s reason, and all is given back', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    host.kernel.refuse('links', link, new KernelError('file exists', { errno: 17 }))
    assert.is(await refusal(host.workloads.attach(aRequest(netns), never)), 'file exists')
    assert.equal(await left(host), NOTHING)
    host.kernel.allow('links', link)
    assert.is((await host.workloads.attach(aRequest(netns), never)).state, 'up')
  }))

test('who hangs up leaves nothing behind', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    const caller = new AbortController()
    const { links } = host.kernel.tables
    const { commit } = links
    links.commit = (delta, signal) => {
      caller.abort()
      return commit(delta, signal)
    }
    assert.is(await refusal(host.workloads.attach(aRequest(netns), caller.signal)), `setting up ${id} was not done in time`)
    assert.equal(await left(host), NOTHING)
  }))

const refused = [
  {
    name: 'a namespace that is not there',
    given: { netns: '/run/netns/none' },
    want: /^there is no network namespace at "\/run\/netns\/none"/,
  },
  { name: 'a process that is not there', given: { pid: 4_194_305 }, want: /^there is no process 4194305$/ },
  { name: 'a name that can be none', given: { name: 'Web_1' }, want: /^name "Web_1" of a workload must be at most 63 lower-case letters/ },
  { name: 'an address outside of every pool', given: { ips: ['203.0.113.9'] }, want: /203\.0\.113\.9/ },
  { name: 'an address that is none', given: { ips: ['10.65.0'] }, want: /^not an IP address: "10\.65\.0"$/ },
  { name: 'a pool that is not there', given: { pools: ['none'] }, want: /none/ },
]
for (const { name, given, want } of refused) {
  test(`${name} is refused, and nothing is left`, () =>
    withWorkloads(1, async (host, [netns = '']) => {
      const request = 'pid' in given ? aRequest(undefined, given) : aRequest(netns, given)
      assert.match(await refusal(host.workloads.attach(request, never)), want)
      assert.equal(await left(host), NOTHING)
    }))
}

test('a namespace is made with its first workload', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    host.kernel.addNetns(`${host.folder.path}/run/netns/prod_h1-margay-w1-eth0`)
    assert.is((await host.workloads.attach(aRequest(netns, { namespace: 'prod' }), never)).namespace, 'prod')
    assert.ok(await getResource(host.store, { kind: 'Profile', name: 'kns.prod' }, never))
  }))

test('a requested address is given, and asked for again after a request that was broken off', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    assert.equal((await host.workloads.attach(aRequest(netns, { ips: ['10.65.0.77'] }), never)).addresses, ['10.65.0.77'])
    await host.workloads.detach('default', 'w1', never)
    assert.equal((await host.workloads.attach(aRequest(netns, { ips: ['10.65.0.78'] }), never)).addresses, ['10.65.0.78'])
  }))

test('an endpoint that was removed elsewhere is forgotten with its addresses, and one that the store still has is not', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    await host.workloads.attach(aRequest(netns), never)
    await host.workloads.forgetGone(never)
    assert.equal(await left(host), { endpoints: 1, addresses: 1, links: 1, pins: 2 })
    await removeResource(host.store, { kind: 'WorkloadEndpoint', namespace: 'default', name: id.slice('default/'.length) }, never)
    await until('the link to go', () => !host.kernel.read('links').has(link))
    await host.workloads.forgetGone(never)
    assert.equal(await left(host), NOTHING)
  }))

test('a pin of which the view shows no endpoint is kept as long as the store has one', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    await host.workloads.attach(aRequest(netns), never)
    // The view stands still, older than the endpoint: as one that was read from disk.
    const { context } = host.planner
    const endpoints = context?.view.get('WorkloadEndpoint') as Map<string, unknown>
    const kept = endpoints.get(id)
    endpoints.delete(id)
    await host.workloads.forgetGone(never)
    endpoints.set(id, kept)
    assert.equal(await left(host), { endpoints: 1, addresses: 1, links: 1, pins: 2 })
  }))

test('while the store is away a request fails with the reason, and what runs goes on', () =>
  withWorkloads(1, async (host, [netns = '']) => {
    host.connection.disconnect()
    assert.match(await refusal(host.workloads.attach(aRequest(netns), never)), 'the store did not answer')
    await host.workloads.forgetGone(never)
    host.connection.reconnect()
    assert.equal(await left(host), NOTHING)
    assert.ok(await getResource(host.store, { kind: 'Node', name: 'h1' }, never))
    assert.ok(await host.store.get(liveKey('h1'), never))
  }))

test.run()
