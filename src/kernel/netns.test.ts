import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isNetns, netnsId, openNetns, pinNetns, removePinFolder, sameNetns, unpinNetns, withNetns } from './netns.ts'

const test = suite('kernel/netns')
const own = '/proc/thread-self/ns/net'

function aFolder(): { readonly pins: string; readonly close: () => void } {
  const folder = mkdtempSync(path.join(tmpdir(), `mgt-${process.pid}-netns-`))
  const pins = path.join(folder, 'netns')
  return {
    pins,
    close() {
      for (const name of ['a', 'b']) unpinNetns(path.join(pins, name))
      removePinFolder(pins)
      rmSync(folder, { recursive: true })
    },
  }
}

/** A process in a network namespace of its own that stays until it is ended. */
async function aProcess(): Promise<{ readonly pid: number; readonly end: () => Promise<void> }> {
  const child = spawn('unshare', ['-n', 'sh', '-c', 'echo ready; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  return {
    pid: child.pid ?? 0,
    async end() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

test('a namespace that was pinned by process outlives the process', async () => {
  const { pins, close } = aFolder()
  const { pid, end } = await aProcess()
  try {
    const pin = path.join(pins, 'a')
    pinNetns(pid, pin)
    const id = netnsId(`/proc/${pid}/ns/net`)
    assert.is(sameNetns(`/proc/${pid}/ns/net`, pin), true)
    pinNetns(pid, pin)
    await end()
    assert.is(netnsId(pin), id)
    assert.is(isNetns(pin), true)
    assert.is(sameNetns(pin, own), false)
    unpinNetns(pin)
    unpinNetns(pin)
    assert.is(isNetns(pin), false)
  } finally {
    await end()
    close()
  }
})

test('another namespace takes the place of the pinned one', async () => {
  const { pins, close } = aFolder()
  const [first, second] = [await aProcess(), await aProcess()]
  try {
    const pin = path.join(pins, 'a')
    pinNetns(first.pid, pin)
    pinNetns(`/proc/${second.pid}/ns/net`, pin)
    assert.is(sameNetns(pin, `/proc/${second.pid}/ns/net`), true)
    pinNetns(pin, path.join(pins, 'b'))
    assert.is(sameNetns(pin, path.join(pins, 'b')), true)
  } finally {
    await Promise.all([first.end(), second.end()])
    close()
  }
})

test('pins are seen in other mount namespaces and can be taken away from all', async () => {
  const { pins, close } = aFolder()
  const { pid, end } = await aProcess()
  try {
    pinNetns(pid, path.join(pins, 'a'))
    const script = `echo ready; read _; stat -f -c %T ${pins}/b; stat -f -c %T ${pins}/a 2>/dev/null`
    const child = spawn('unshare', ['-m', '--propagation', 'unchanged', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.on('data', (text) => {
      said += text
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    pinNetns(pid, path.join(pins, 'b'))
    unpinNetns(path.join(pins, 'a'))
    child.stdin.end('\n')
    await new Promise((resolve) => child.once('close', resolve))
    assert.is(said, 'ready\nnsfs\n')
  } finally {
    await end()
    close()
  }
})

test('what is no network namespace is refused in words', () => {
  const { pins, close } = aFolder()
  try {
    const file = `${path.dirname(pins)}/plain`
    writeFileSync(file, '')
    assert.throws(() => pinNetns(`${file}-none`, path.join(pins, 'a')), `there is no network namespace at "${file}-none"`)
    assert.throws(() => pinNetns(file, path.join(pins, 'a')), `"${file}" is no network namespace: a path such as /run/netns/NAME`)
    assert.throws(() => pinNetns('/proc/self/ns/mnt', path.join(pins, 'a')), 'is a namespace, but not one of networks')
    assert.throws(() => pinNetns(4_194_305, path.join(pins, 'a')), 'there is no process 4194305')
  } finally {
    close()
  }
})

test('work inside a namespace comes back, also when it throws', () => {
  const name = `mgt-${process.pid}-inside`
  execFileSync('ip', ['netns', 'add', name])
  try {
    const before = readlinkSync(own)
    const inside = withNetns(`/run/netns/${name}`, () => readlinkSync(own))
    assert.is.not(inside, before)
    assert.throws(() =>
      withNetns(openNetns(`/run/netns/${name}`), () => {
        throw new Error('inside')
      }),
    )
    assert.is(readlinkSync(own), before)
  } finally {
    execFileSync('ip', ['netns', 'delete', name])
  }
})

test.run()
