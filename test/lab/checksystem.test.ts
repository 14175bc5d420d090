import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run, tryRun } from '../../scripts/lab/command.ts'
import { builtProgram } from '../../scripts/lab/daemon.ts'

const test = suite('lab/checksystem')

test('a kernel on which margay runs passes, and nothing of this host changes', async () => {
  const look = async () =>
    `${await run(MACHINE, ['ip', '-o', 'link'])}${await run(MACHINE, ['ip', 'route'])}`.replace(/(qlen|state) \S+/g, '')
  const before = await look()
  const { code, stdout, stderr } = await tryRun(MACHINE, [process.execPath, builtProgram('margay.js'), 'node', 'checksystem'])
  assert.equal([code, stderr], [0, ''])
  assert.match(stdout, /^Checking kernel version...\n\t\t\S+ +\t+OK\nChecking kernel features...\n\t\tnf_tables +\t+OK\n/)
  assert.match(stdout, /\tveth +\t+OK\nSystem meets minimum system requirements to run margay!\n$/)
  assert.not.match(stdout, /FAIL/)
  assert.is(await look(), before)
})

test.run()
