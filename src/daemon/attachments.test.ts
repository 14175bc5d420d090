import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFolder, aLog } from '../../test/support/daemon.ts'
import { isNetns, removePinFolder, unpinNetns } from '../kernel/netns.ts'
import { silentLogger } from '../log.ts'
import { Attachments } from './attachments.ts'

const test = suite('daemon/attachments')
const ID = 'default/h1-margay-w1-eth0'

/** State and run folders, and a network namespace, of this test's own. */
async function withFolders(work: (parts: { open: () => Attachments; path: string; reboot: () => void; folder: string }) => unknown) {
  const [folder, name] = [aFolder(), `mgt-${process.pid}-att`]
  const pins = `${folder.path}/run/netns`
  const reboot = () => {
    for (const file of readdirSync(pins)) unpinNetns(`${pins}/${file}`)
    removePinFolder(pins)
    rmSync(`${folder.path}/run`, { recursive: true, force: true })
  }
  execFileSync('ip', ['netns', 'add', name])
  try {
    const open = () => new Attachments(`${folder.path}/state`, `${folder.path}/run`, silentLogger)
    await work({ open, path: `/run/netns/${name}`, reboot, folder: folder.path })
  } finally {
    if (existsSync(pins)) reboot()
    if (existsSync(`/run/netns/${name}`)) execFileSync('ip', ['netns', 'delete', name])
    folder.close()
  }
}

/** A process in a network namespace of its own. */
async function aProcess() {
  const child = spawn('unshare', ['-n', 'sh', '-c', 'echo ready; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const end = () => {
    child.kill('SIGKILL')
    return ended
  }
  return { pid: child.pid ?? 0, end }
}

test('an attached namespace is pinned, known after a restart, and forgotten when it is detached', () =>
  withFolders(({ open, path, folder }) => {
    const attachments = open()
    const pin = attachments.attach(ID, { path })
    assert.is(isNetns(pin), true)
    assert.equal([...attachments.pins], [[ID, pin]])
    assert.is(attachments.holderOf({ path }), ID)
    const again = open()
    assert.equal([...again.pins], [[ID, pin]])
    assert.equal(again.sourceOf(ID), { path })
    assert.is(again.problemOf(ID), undefined)
    again.detach(ID)
    assert.equal([...again.pins], [])
    assert.is(isNetns(pin), false)
    assert.equal(readdirSync(`${folder}/state/netns`), [])
    again.detach(ID)
  }))

test('the map of pins is the same while nothing changed', () =>
  withFolders(({ open, path }) => {
    const attachments = open()
    attachments.attach(ID, { path })
    const { pins } = attachments
    assert.is(attachments.refresh(), false)
    assert.is(attachments.pins, pins)
  }))

test('after a reboot a namespace is pinned again when it stands again at its path', () =>
  withFolders(({ open, path, reboot }) => {
    open().attach(ID, { path })
    execFileSync('ip', ['netns', 'delete', path.slice('/run/netns/'.length)])
    reboot()
    const attachments = open()
    assert.equal([...attachments.pins], [])
    assert.is(attachments.problemOf(ID), `its network namespace is gone: nothing stands at ${path}`)
    execFileSync('ip', ['netns', 'add', path.slice('/run/netns/'.length)])
    assert.is(attachments.refresh(), true)
    assert.equal([...attachments.pins.keys()], [ID])
    assert.is(attachments.problemOf(ID), undefined)
  }))

test('a namespace outlives the process by which it was given, but not the reboot', () =>
  withFolders(async ({ open, reboot }) => {
    const { pid, end } = await aProcess()
    open().attach(ID, { pid })
    await end()
    assert.equal([...open().pins.keys()], [ID])
    reboot()
    const attachments = open()
    assert.equal([...attachments.pins], [])
    assert.is(attachments.problemOf(ID), `its network namespace is gone: nothing stands at process ${pid}`)
  }))

test('what can not be pinned is not remembered, and what was before stays', () =>
  withFolders(({ open, path, folder }) => {
    const attachments = open()
    assert.throws(() => attachments.attach(ID, { path: '/run/netns/none' }), /there is no network namespace at/)
    assert.equal([...attachments.endpoints()], [])
    assert.equal(readdirSync(`${folder}/state/netns`), [])
    attachments.attach(ID, { path })
    assert.throws(() => attachments.attach(ID, { path: '/run/netns/none' }), /there is no network namespace at/)
    assert.equal(open().sourceOf(ID), { path })
  }))

test('a note that can not be read is named and left, and does not stop the others', () =>
  withFolders(({ open, path, folder }) => {
    open().attach(ID, { path })
    writeFileSync(`${folder}/state/netns/cut.json`, '{"endpoint":')
    const log = aLog()
    assert.equal([...new Attachments(`${folder}/state`, `${folder}/run`, log).endpoints()], [ID])
    assert.match(log.lines.join(), /^warn note of a network namespace could not be read: /)
  }))

test('names that are too long for a file are cut and told apart', () =>
  withFolders(({ open, path }) => {
    const attachments = open()
    const pins = ['a', 'b'].map((end) => attachments.attach(`default/${'x'.repeat(240)}${end}`, { path }))
    assert.is.not(pins[0], pins[1])
    for (const pin of pins) assert.ok((pin.split('/').at(-1) ?? '').length < 220)
  }))

test.run()
