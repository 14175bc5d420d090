import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../test/support/nft-lab.ts'
import { aLive, aNode } from '../../test/support/planning.ts'
import { aHostEndpoint } from '../../test/support/policies.ts'
import { silentLogger } from '../log.ts'
import { liveKey } from '../model/keys.ts'
import type { KubeControllersConfiguration } from '../model/kube-controllers-configuration.ts'
import { API_VERSION } from '../model/resource.ts'
import { follow } from '../store/follow.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource, listResources, removeResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { AutoHostEndpoints } from './auto-host-endpoints.ts'

const test = suite('daemon/auto-host-endpoints')

interface Scene {
  readonly store: Store
  readonly signal: AbortSignal
  /** Starts a host, which follows the store and keeps its host endpoints. */
  readonly start: (node: string) => AutoHostEndpoints
  /** Waits until there are exactly these, each by name and addresses. */
  readonly settled: (...want: readonly string[]) => Promise<void>
}

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const { signal } = stop
  const store = new MemoryStore()
  const running: Promise<unknown>[] = []
  const start = (node: string) => {
    const keeper = new AutoHostEndpoints({ node, store, log: silentLogger })
    running.push(keeper.run(signal), keep(keeper))
    return keeper
  }
  const keep = async (keeper: AutoHostEndpoints) => {
    for await (const { view, changes } of follow(store, signal, { log: silentLogger })) keeper.note(view, changes)
  }
  const show = async () => {
    const { resources } = await listResources(store, { kind: 'HostEndpoint' }, signal)
    return resources.map(({ metadata, spec }) => `${metadata.name} ${spec.expectedIPs?.join(' ') ?? '-'}`).sort()
  }
  const settled = async (...want: readonly string[]) => {
    let last: readonly string[] = []
    const isSo = async () => {
      last = await show()
      return JSON.stringify(last) === JSON.stringify(want) ? true : undefined
    }
    await until('host endpoints', isSo).catch(() => assert.equal(last, want))
  }
  try {
    await work({ store, signal, start, settled })
  } finally {
    stop.abort()
    await Promise.all(running)
  }
}

const enabled = (autoCreate: 'Enabled' | 'Disabled'): KubeControllersConfiguration => ({
  apiVersion: API_VERSION,
  kind: 'KubeControllersConfiguration',
  metadata: { name: 'default' },
  spec: { controllers: { node: { hostEndpoint: { autoCreate } } } },
})

test('they come when they are asked for, follow the Node, and go when they are not', () =>
  withScene(async ({ store, signal, start, settled }) => {
    await applyResource(store, aNode('h1', { v4: '192.0.2.1/24' }), signal)
    start('h1')
    await applyResource(store, aHostEndpoint('mine', { interfaceName: 'eth0' }), signal)
    await settled('mine -')
    await applyResource(store, enabled('Enabled'), signal)
    await settled('h1-auto-hep 192.0.2.1', 'mine -')
    await applyResource(store, aNode('h1', { v4: '192.0.2.7/24', labels: { rack: 'a' } }), signal)
    await settled('h1-auto-hep 192.0.2.7', 'mine -')
    // Put back when somebody removes it.
    await removeResource(store, { kind: 'HostEndpoint', name: 'h1-auto-hep' }, signal)
    await settled('h1-auto-hep 192.0.2.7', 'mine -')
    await applyResource(store, enabled('Disabled'), signal)
    await settled('mine -')
  }))

test('those of a host that is gone are removed by one of the others', () =>
  withScene(async ({ store, signal, start, settled }) => {
    await applyResource(store, enabled('Enabled'), signal)
    for (const name of ['h1', 'h2']) {
      await applyResource(store, aNode(name, { v4: `192.0.2.${name[1]}/24` }), signal)
      start(name)
      await store.commit([], [{ put: liveKey(name), value: JSON.stringify(aLive(name)) }], signal)
    }
    await settled('h1-auto-hep 192.0.2.1', 'h2-auto-hep 192.0.2.2')
    await removeResource(store, { kind: 'Node', name: 'h2' }, signal)
    await settled('h1-auto-hep 192.0.2.1')
  }))

test("somebody else's of the same name is left alone, and said", () =>
  withScene(async ({ store, signal, start, settled }) => {
    await applyResource(store, aHostEndpoint('h1-auto-hep', { interfaceName: 'eth0' }, { 'projectcalico.org/created-by': 'me' }), signal)
    await applyResource(store, aNode('h1', { v4: '192.0.2.1/24' }), signal)
    await applyResource(store, enabled('Enabled'), signal)
    const keeper = start('h1')
    await until('a word', () => keeper.problem)
    assert.match(keeper.problem ?? '', /h1-auto-hep would be made by margay.*left alone/)
    await settled('h1-auto-hep -')
  }))

test.run()
