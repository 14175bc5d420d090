import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/** The hierarchy of control groups in which a test may make one; undefined where it may not. */
const HIERARCHY = ['/sys/fs/cgroup', '/sys/fs/cgroup/systemd'].find((path) => existsSync(join(path, 'cgroup.procs')))

/** Makes what a machine of the lab has: a control group with a process in it, and a file system of its own, with a file below it. */
const MACHINE_MAKER = `
const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const name = 'mgt-' + process.pid + '-1-h1'
const folder = require('node:os').tmpdir() + '/' + name
fs.mkdirSync(process.argv[1] + '/' + name)
fs.mkdirSync(folder + '/root', { recursive: true })
execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder + '/root'])
fs.writeFileSync(folder + '/root/file', '')
const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
fs.writeFileSync(process.argv[1] + '/' + name + '/cgroup.procs', String(child.pid))
fs.writeFileSync(folder + '/ready', String(child.pid))
setInterval(() => undefined, 1000)`

if (HIERARCHY === undefined) {
  process.stdout.write('skipped: control groups and mounts are swept, because no control groups are mounted at /sys/fs/cgroup\n')
  test.skip('the control groups and mounts of a killed process are taken away', () => undefined)
} else {
  test('the control groups and mounts of a killed process are taken away', async () => {
    const maker = start(MACHINE, [process.execPath, '-e', MACHINE_MAKER, HIERARCHY])
    const name = `mgt-${maker.pid}-1-h1`
    const ready = join(tmpdir(), name, 'ready')
    const sleeper = await until({ what: 'the machine' }, () => (existsSync(ready) ? readFileSync(ready, 'utf8') || undefined : undefined))
    const ended = new Promise((resolve) => maker.once('exit', resolve))
    maker.kill('SIGKILL')
    await ended
    await sweepDead()
    assert.not.ok([...readdirSync(HIERARCHY), ...readdirSync(tmpdir())].includes(name))
    assert.not.ok(readFileSync('/proc/self/mountinfo', 'utf8').includes(name), 'it is mounted no more')
    assert.not.ok(
      existsSync(`/proc/${sleeper}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${sleeper}/status`, 'utf8')),
      'it runs no more',
    )
  })
}

test.run()
