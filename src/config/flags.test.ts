import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError, loadConfig } from './load.ts'

const test = suite('config/flags')

test('flags take values behind a blank or an equals sign, and switches none', () => {
  const argv = [
    '--etcd-embedded',
    '--no-health-enabled',
    '--mode=vxlan',
    '--log-level',
    'warn',
    '--pools-ipv4-nat-outgoing=false',
    '--cleanup',
  ]
  const { config, switches, sources } = loadConfig({ argv, env: { MARGAY_NODE_NAME: 'h1' }, switches: ['--cleanup'] })
  assert.equal([config.etcd.embedded, config.health.enabled, config.mode, config.log.level], [true, false, 'vxlan', 'warn'])
  assert.is(config.pools.ipv4.natOutgoing, false)
  assert.equal([...switches], ['--cleanup'])
  assert.is(sources.get('mode'), '--mode')
})

const bad: readonly (readonly [argv: readonly string[], fault: string])[] = [
  [['--mdoe', 'vxlan'], '--mdoe: unknown flag: did you mean "--mode"?'],
  [['--mode'], '--mode: needs a value'],
  [['--mode', '--etcd-embedded'], '--mode: needs a value'],
  [['--mode', 'vxlan', '--mode=direct'], '--mode: given twice'],
  [['--etcd-embedded', 'false'], 'false: unexpected argument "false", a switch takes its value as in --etcd-embedded=false'],
  [['--clean'], '--clean: unknown flag: did you mean "--cleanup"?'],
  [['--config', '/nowhere/c.json'], "/nowhere/c.json: the file cannot be read: ENOENT: no such file or directory, open '/nowhere/c.json'"],
]
for (const [argv, fault] of bad) {
  test(`${argv.join(' ')} is refused`, () => {
    try {
      loadConfig({ argv, env: { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379', MARGAY_NODE_NAME: 'h1' }, switches: ['--cleanup'] })
      assert.unreachable()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      assert.is(error.message.split('\n  ').slice(1)[0], fault)
    }
  })
}

test.run()
