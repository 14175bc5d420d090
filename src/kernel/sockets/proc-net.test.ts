import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseSocket } from './proc-net.ts'

const test = suite('kernel/sockets/proc-net')

const cases = [
  {
    name: 'a listener of IPv4',
    protocol: 6,
    line: '   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4321 1 0000000000000000 100 0 0 10 0',
    want: '4 127.0.0.1:22 0.0.0.0:0 listening 4321',
  },
  {
    name: 'a connection of IPv4 over a socket of IPv6 is one of IPv4',
    protocol: 6,
    line: '   1: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000096433C6:D431 01 00000000:00000000 02:000A 00000000 0 0 77 4',
    want: '4 192.0.2.1:22 198.51.100.9:54321 open 77',
  },
  {
    name: 'a connection of IPv6',
    protocol: 6,
    line: '   2: B80D0120000000000000000001000000:0016 B80D0120000000000000000009000000:D431 01 00000000:00000000 02:000A 00000000 0 0 78 4',
    want: '6 2001:db8::1:22 2001:db8::9:54321 open 78',
  },
  {
    name: 'a UDP socket that takes from anybody',
    protocol: 17,
    line: '  99: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 9 2',
    want: '6 :::53 :::0 listening 9',
  },
  {
    name: 'a connection that ends',
    protocol: 6,
    line: '   3: 0100007F:0016 0100007F:9C40 06 00000000:00000000 03:00000D 00000000 0 0 0 3',
    want: '4 127.0.0.1:22 127.0.0.1:40000 other 0',
  },
] as const
for (const { name, protocol, line, want } of cases) {
  test(name, () => {
    const socket = parseSocket(line, protocol)
    assert.ok(socket)
    const { family, local, remote, state, inode } = socket
    assert.is(`${family} ${local.address}:${local.port} ${remote.address}:${remote.port} ${state} ${inode}`, want)
  })
}

test('the head is no socket, and neither is an empty line', () => {
  assert.is(parseSocket('  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode', 6), undefined)
  assert.is(parseSocket('', 17), undefined)
})

test.run()
