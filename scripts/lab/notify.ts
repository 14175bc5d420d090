import { rmSync } from 'node:fs'
import { checked, loadNative } from '../../src/kernel/native.ts'

/** The receiving end of sd_notify(3): what systemd is to a service. */
export interface NotifySocket {
  readonly path: string
  /** Everything received so far, newest last. */
  readonly messages: readonly { readonly at: number; readonly text: string }[]
  /** Resolves with the time (performance.now) of the next message that begins so, or rejects when `signal` aborts. */
  next(start: string, signal: AbortSignal): Promise<number>
  close(): void
}

const AF_UNIX = 1
const SOCK_DGRAM = 2

/** Binds a datagram socket at this path, for NOTIFY_SOCKET. */
export function openNotifySocket(path: string): NotifySocket {
  rmSync(path, { force: true })
  const native = loadNative()
  const fd = checked(native.socket(AF_UNIX, SOCK_DGRAM, 0), 'open a unix socket')
  checked(native.bind(fd, unixAddress(path)), `bind ${path}`)
  const messages: { at: number; text: string }[] = []
  const waiting = new Set<(message: { at: number; text: string }) => void>()
  const buffer = Buffer.alloc(8192)
  native.poll(fd, () => {
    for (let length = native.recv(fd, buffer); length > 0; length = native.recv(fd, buffer)) {
      const message = { at: performance.now(), text: buffer.toString('utf8', 0, length) }
      messages.push(message)
      for (const look of [...waiting]) look(message)
    }
  })
  return {
    path,
    messages,
    next: (start, signal) =>
      new Promise((resolve, reject) => {
        const look = (message: { at: number; text: string }) => {
          if (!message.text.split('\n').some((line) => line.startsWith(start))) return
          waiting.delete(look)
          resolve(message.at)
        }
        waiting.add(look)
        const stop = () => {
          waiting.delete(look)
          reject(signal.reason)
        }
        if (signal.aborted) stop()
        signal.addEventListener('abort', stop, { once: true })
      }),
    close: () => {
      native.stopPoll(fd)
      native.close(fd)
      rmSync(path, { force: true })
    },
  }
}

/** A struct sockaddr_un: the family in this machine's byte order, the path, and a zero. */
function unixAddress(path: string): Buffer {
  const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1)
  address.writeUInt16LE(AF_UNIX, 0)
  address.write(path, 2)
  return address
}
