import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeErrno, loadNative } from './native.ts'
import { sendDatagram } from './notify-socket.ts'
import { AF_UNIX, SOCK_DGRAM, unixAddress } from './unix-address.ts'

const test = suite('kernel/native')

function withFile(file: string, work: () => void): void {
  const before = process.env.MARGAY_NATIVE
  process.env.MARGAY_NATIVE = file
  try {
    work()
  } finally {
    if (before === undefined) delete process.env.MARGAY_NATIVE
    else process.env.MARGAY_NATIVE = before
  }
}

test('a missing or broken add-on is one clear error', () => {
  const folder = mkdtempSync(path.join(tmpdir(), `mgt-${process.pid}-native-`))
  try {
    withFile('/none/margay.node', () =>
      assert.throws(loadNative, 'the native add-on is missing (/none/margay.node): run "npm run setup", or set MARGAY_NATIVE to its path'),
    )
    const broken = path.join(folder, 'broken.node')
    writeFileSync(broken, 'not a library')
    withFile(broken, () => assert.throws(loadNative, `the native add-on ${broken} can't be loaded on linux ${process.arch}`))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('errors are negative error numbers, never exceptions', () => {
  const native = loadNative()
  assert.is(native.close(-1), -9)
  assert.is(native.setns(-1), -9)
  assert.is(native.isNetns(0), -25)
  assert.is(native.umount('/none', 0), -2)
  assert.is(native.mount('x'.repeat(5000), '/none', 0), -36)
  assert.is(native.send(1, 'text' as never), -22)
  assert.is(native.poll(-1, () => {}) < 0, true)
  assert.is(native.poll(0, undefined as never), -22)
  assert.is(native.stopPoll(12345), -2)
  assert.is(describeErrno(-2), 'ENOENT, no such file or directory')
})

test('a watched socket calls back for each datagram, and not after it was stopped', async () => {
  const native = loadNative()
  const address = `@mgt-${process.pid}-poll`
  const fd = native.socket(AF_UNIX, SOCK_DGRAM, 0)
  assert.is(native.bind(fd, unixAddress(address)), 0)
  const buffer = Buffer.alloc(64)
  let seen = 0
  const next = () =>
    new Promise<void>((resolve) => {
      const wanted = seen + 1
      const look = () => (seen >= wanted ? resolve() : setImmediate(look))
      look()
    })
  native.poll(fd, () => {
    while (native.recv(fd, buffer) >= 0) seen++
  })
  for (const text of ['a', 'b']) {
    const arrived = next()
    sendDatagram(address, text)
    await arrived
  }
  assert.is(native.stopPoll(fd), 0)
  sendDatagram(address, 'c')
  await new Promise(setImmediate)
  native.close(fd)
  assert.is(seen, 2)
})

test('a datagram that does not fit tells its whole length', () => {
  const native = loadNative()
  const address = `@mgt-${process.pid}-cut`
  const fd = native.socket(AF_UNIX, SOCK_DGRAM, 0)
  native.bind(fd, unixAddress(address))
  sendDatagram(address, 'x'.repeat(100))
  assert.is(native.recv(fd, Buffer.alloc(10)), 100)
  native.close(fd)
})

test('a worker that ends while it watches a socket ends in order', async () => {
  const addon = process.env.MARGAY_NATIVE ?? path.resolve(`native/build/linux-${process.arch}.node`)
  const code = `const native = require(${JSON.stringify(addon)}); const fd = native.socket(1, 2, 0); native.poll(fd, () => {}); process.exit(7)`
  const worker = new Worker(code, { eval: true })
  assert.is(await new Promise((resolve) => worker.once('exit', resolve)), 7)
})

test.run()
