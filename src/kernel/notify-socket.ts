import { checked, loadNative } from './native.ts'
import { AF_UNIX, SOCK_DGRAM, unixAddress } from './unix-address.ts'

/**
 * Sends one datagram to a unix socket, as sd_notify(3) wants it: `address` is the value of `$NOTIFY_SOCKET`, a path or
 * `@NAME`. A few microseconds; never waits.
 *
 * @throws {KernelError} if nobody listens there, or its queue is full
 */
export function sendDatagram(address: string, text: string): void {
  const native = loadNative()
  const target = unixAddress(address)
  const fd = checked(native.socket(AF_UNIX, SOCK_DGRAM, 0), 'open a unix socket')
  try {
    checked(native.send(fd, Buffer.from(text), target), `send to the socket ${address}`)
  } finally {
    native.close(fd)
  }
}
