import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aConfig, aLiveRecord, aLog, anInterface, never, refusal, until } from '../../test/support/daemon.ts'
import { aNode } from '../../test/support/planning.ts'
import { FakeKernel } from '../kernel/fake.ts'
import type { Interface } from '../kernel/table.ts'
import { encodeResource } from '../model/codec.ts'
import { liveKey, resourceKey } from '../model/keys.ts'
import type { Node } from '../model/node.ts'
import { MemoryStore } from '../store/memory.ts'
import { admit } from './admission.ts'
import { LiveKeeper } from './live.ts'

const test = suite('daemon/admission')
const eth0 = anInterface('eth0', ['192.0.2.1/24'])
const eth1 = anInterface('eth1', ['198.51.100.1/24'])

/** A host that asks to be let in, and what it says while it waits. */
function asking(interfaces: readonly Interface[], store: MemoryStore = new MemoryStore()) {
  const [log, reasons, stop] = [aLog(), [] as (string | undefined)[], new AbortController()]
  const kernel = new FakeKernel(interfaces)
  // Two interfaces are ambiguous only where no route to etcd decides.
  kernel.routeTo = async () => undefined
  const live = new LiveKeeper(store, aLiveRecord(), log)
  const parts = { store, kernel, config: aConfig(), live, log, onWait: (reason: string | undefined) => void reasons.push(reason) }
  return { store, kernel, log, reasons, stop, admitted: admit(parts, stop.signal) }
}

async function put(store: MemoryStore, node: Node): Promise<void> {
  await store.commit([], [{ put: resourceKey('Node', node.metadata.name), value: encodeResource(node) }], never)
}

test('a host that nothing speaks against is let in: its name is claimed, and what is missing is created', async () => {
  const { store, admitted, reasons } = asking([eth0])
  await admitted
  assert.match((await store.get(liveKey('h1'), never))?.value ?? '', '"addresses":["192.0.2.1/24"]')
  assert.ok(await store.get(resourceKey('IPPool', 'default-ipv4-ippool'), never))
  assert.equal(reasons, [undefined])
})

test('another live host of this name keeps this one out', async () => {
  const store = new MemoryStore()
  const twin = JSON.stringify(aLiveRecord({ instance: 'other', addresses: ['198.51.100.7/24'] }))
  await store.commit([], [{ put: liveKey('h1'), value: twin }], never)
  assert.match(await refusal(asking([eth0], store).admitted), /^node name "h1" is taken: a host with the addresses 198\.51\.100\.7\/24/)
  assert.is((await store.get(liveKey('h1'), never))?.value, twin)
})

test('another host with this address keeps this one out, and nothing is said of it', async () => {
  const store = new MemoryStore()
  await put(store, aNode('h2', { v4: '192.0.2.1/24' }))
  assert.match(await refusal(asking([eth0], store).admitted), /^this host's address 192\.0\.2\.1 is also that of Node "h2"/)
  assert.is(await store.get(liveKey('h1'), never), undefined)
})

test('a new host that could have one of two addresses is refused with both', async () => {
  assert.match(
    await refusal(asking([eth0, eth1]).admitted),
    /fits 2 interfaces; candidates: 192\.0\.2\.1\/24 on eth0, 198\.51\.100\.1\/24 on eth1/,
  )
})

test('a known host waits for its address, which comes up late after a reboot', async () => {
  const store = new MemoryStore()
  await put(store, aNode('h1', { v4: '192.0.2.1/24' }))
  const { kernel, reasons, log, admitted } = asking([anInterface('eth9', ['203.0.113.1/24']), eth1], store)
  await until('the reason', () => reasons[0])
  assert.match(reasons[0] ?? '', 'fits 2 interfaces')
  kernel.setInterfaces([eth0, eth1])
  await admitted
  assert.is(reasons.at(-1), undefined)
  assert.is(log.lines.filter((line) => line.startsWith('warn')).length, 1)
})

test('a new host without any address waits too: the network is not up yet', async () => {
  const { kernel, reasons, admitted } = asking([anInterface('lo', ['127.0.0.1/8'])])
  await until('the reason', () => reasons[0])
  kernel.setInterfaces([eth0])
  await admitted
})

test('a store that is away is waited for, and it is said once', async () => {
  const store = new MemoryStore()
  store.disconnect()
  const { reasons, log, admitted } = asking([eth0], store)
  await until('the reason', () => reasons[0])
  // Longer than a second try takes.
  const start = performance.now()
  await until('the second try', () => performance.now() - start > 1100)
  store.reconnect()
  await admitted
  assert.equal(reasons, ['the store did not answer (disconnected)', undefined])
  assert.is(log.lines.filter((line) => line.startsWith('warn')).length, 1)
})

test('who is stopped while he waits ends', async () => {
  const store = new MemoryStore()
  store.disconnect()
  const { reasons, stop, admitted } = asking([eth0], store)
  await until('the reason', () => reasons[0])
  stop.abort()
  await admitted
})

test.run()
