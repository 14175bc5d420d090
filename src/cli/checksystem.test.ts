import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aStatus, run, startFakeDaemon } from '../../test/support/cli.ts'
import { isRecent } from './commands/checksystem.ts'

const test = suite('cli/checksystem')

const releases: readonly (readonly [text: string, isGood: boolean])[] = [
  ['6.1.0-18-amd64', true],
  ['5.14.0', true],
  ['5.13.19-rc1', false],
  ['4.19.0-26-amd64', false],
  ['10.0', true],
]
for (const [text, isGood] of releases) {
  test(`Linux ${text} is ${isGood ? '' : 'not '}new enough`, () => {
    assert.is(isRecent(text), isGood)
  })
}

test('calicoctl node status begins with what scripts look for', async () => {
  const daemon = await startFakeDaemon(() => ({ body: aStatus() }))
  const done = await run(['node', 'status', '--api-socket', daemon.socket], { program: 'calicoctl' })
  daemon.close()
  assert.equal([done.code, done.err], [0, ''])
  assert.match(done.out, /^Calico process is running.\n\nNode +h1 /)
  const away = await run(['node', 'status', '--api-socket', '/nowhere/s'], { program: 'calicoctl' })
  assert.equal([away.code, away.out], [1, ''])
  assert.match(away.err, /^Calico process is not running. margayd is not running on this host/)
})

test('reload asks the daemon, and says why it refuses', async () => {
  const fault = { error: { code: 'validation', message: 'the configuration has an error: log.level' } }
  for (const [answer, code, out, err] of [
    [{ status: 204 }, 0, 'the configuration was read again\n', ''],
    [{ status: 400, body: fault }, 1, '', 'margay: the configuration has an error: log.level\n'],
  ] as const) {
    const daemon = await startFakeDaemon(() => answer)
    assert.equal(await run(['reload', '--api-socket', daemon.socket]), { code, out, err })
    assert.equal(
      daemon.asked.map(({ method, url }) => `${method} ${url}`),
      ['POST /v1/reload'],
    )
    daemon.close()
  }
})

test.run()
