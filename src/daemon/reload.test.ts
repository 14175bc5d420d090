import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aConfig, aLog } from '../../test/support/daemon.ts'
import type { Config } from '../config.ts'
import { Notifier } from './notify.ts'
import { planReload, reload } from './reload.ts'

const test = suite('daemon/reload')

const cases = [
  { change: { 'node.labels': 'rack=a' }, taken: ['node.labels'], needsRestart: [] },
  { change: { 'log.level': 'debug' }, taken: ['log.level'], needsRestart: [] },
  { change: { 'address.ipv4.method': 'interface=eth1' }, taken: ['address.ipv4.method'], needsRestart: [] },
  { change: { mode: 'vxlan' }, taken: [], needsRestart: ['mode'] },
  { change: { 'node.name': 'h9' }, taken: [], needsRestart: ['node.name'] },
  { change: { 'etcd.endpoints': 'http://192.0.2.251:2379' }, taken: [], needsRestart: ['etcd.endpoints'] },
  { change: { 'health.port': '9100', 'address.ipv6.address': 'none' }, taken: ['address.ipv6.address'], needsRestart: ['health.port'] },
  { change: {}, taken: [], needsRestart: [] },
]
for (const { change, taken, needsRestart } of cases) {
  test(`of ${JSON.stringify(change)} is taken over: ${taken.join(', ') || 'nothing'}`, () => {
    const [before, after] = [aConfig(), aConfig(change as Record<string, string>)]
    const plan = planReload(before, after)
    assert.equal({ taken: plan.taken, needsRestart: plan.needsRestart }, { taken, needsRestart })
    // What needs a restart is still the old one, what was taken over is the new one.
    assert.equal(planReload(before, plan.config), { config: plan.config, taken, needsRestart: [] })
    assert.equal(planReload(plan.config, after).taken, [])
  })
}

function reloading(read: () => Config) {
  const [log, sent] = [{ ...aLog(), level: 'info' }, [] as string[]]
  let config = aConfig()
  const notifier = new Notifier((text) => sent.push(text.split('\n')[0] ?? ''), undefined)
  const use = (next: Config) => {
    config = next
  }
  const run = () => reload({ read, current: () => config, use, log, notifier })
  return { run, log, sent, config: () => config }
}

test('labels and the log’s level are used from now on, the rest is named', () => {
  const { run, log, sent, config } = reloading(() => aConfig({ 'node.labels': 'rack=a', 'log.level': 'debug', mode: 'vxlan' }))
  run()
  assert.equal(config().node.labels, { rack: 'a' })
  assert.is(config().mode, 'vxlan-cross-subnet')
  assert.is(log.level, 'debug')
  assert.equal(log.lines, [
    'info configuration was read again: node.labels, log.level',
    'warn new values need a restart of margayd, traffic goes on meanwhile: mode',
  ])
  assert.equal(sent, ['RELOADING=1', 'READY=1'])
})

test('a wrong configuration is refused whole, and systemd is told that it is over', () => {
  const { run, sent, log, config } = reloading(() => aConfig({ 'node.labels': 'rack=a', 'health.port': 'x', mode: 'vxlann' }))
  const before = config()
  assert.throws(run, /the configuration has 2 errors:\n(.|\n)*health\.port(.|\n)*/)
  assert.is(config(), before)
  assert.is(log.level, 'info')
  assert.equal(sent, ['RELOADING=1', 'READY=1'])
})

test.run()
