import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checked, loadNative } from './native.ts'
import { sendDatagram } from './notify-socket.ts'
import { AF_UNIX, SOCK_DGRAM, unixAddress } from './unix-address.ts'

const test = suite('kernel/notify-socket')

/** Listens at an address while `work` runs, gives the datagrams that came. */
function listen(address: string, work: () => void): string[] {
  const native = loadNative()
  const fd = checked(native.socket(AF_UNIX, SOCK_DGRAM, 0), 'open')
  try {
    checked(native.bind(fd, unixAddress(address)), 'bind')
    work()
    const buffer = Buffer.alloc(4096)
    const texts: string[] = []
    for (let length = native.recv(fd, buffer); length >= 0; length = native.recv(fd, buffer)) texts.push(buffer.toString('utf8', 0, length))
    return texts
  } finally {
    native.close(fd)
  }
}

test('a datagram reaches a path and an abstract name', () => {
  const folder = mkdtempSync(path.join(tmpdir(), `mgt-${process.pid}-notify-`))
  try {
    for (const address of [path.join(folder, 'notify'), `@mgt-${process.pid}-notify`]) {
      const send = () => sendDatagram(address, 'READY=1\nSTATUS=ready, ünïcode')
      assert.equal(listen(address, send), ['READY=1\nSTATUS=ready, ünïcode'])
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a socket that is not there, and what is no address, are refused in words', () => {
  assert.throws(() => sendDatagram('/run/mgt-none', 'READY=1'), 'could not send to the socket /run/mgt-none: ENOENT')
  assert.throws(() => sendDatagram('relative', 'READY=1'), 'not the address of a unix socket')
  assert.throws(() => sendDatagram(`/${'x'.repeat(200)}`, 'READY=1'), 'not the address of a unix socket')
})

test.run()
