import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, start, until } from '../../scripts/lab/command.ts'
import { sweepDead } from '../../scripts/sweep.mjs'

const test = suite('lab/sweep')

/** Makes what a lab makes, says so, and waits to be killed. */
const MAKER = `
const { execFileSync, spawn } = require('node:child_process')
const name = 'mgt-' + process.pid + '-1-h1'
execFileSync('ip', ['netns', 'add', name])
require('node:fs').mkdirSync(require('node:os').tmpdir() + '/' + name)
spawn('nsenter', ['--net=/run/netns/' + name, 'sleep', '1000'], { detached: true, stdio: 'ignore' }).unref()
setInterval(() => undefined, 1000)`

test('what a killed process left behind is taken away, with what runs in it', async () => {
  const maker = start(MACHINE, [process.execPath, '-e', MAKER])
  const name = `mgt-${maker.pid}-1-h1`
  await until({ what: 'the namespace' }, () => (existsSync(`${tmpdir()}/${name}`) ? true : undefined))
  assert.not.ok((await sweepDead()).includes(name), 'its maker lives')
  const ended = new Promise((resolve) => maker.once('exit', resolve))
  maker.kill('SIGKILL')
  await ended
  assert.equal(
    (await sweepDead()).filter((one) => one === name),
    [name, name],
  )
  assert.not.ok([...readdirSync('/run/netns'), ...readdirSync(tmpdir())].includes(name))
})

test.run()
