import { once } from 'node:events'
import { resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { checked, loadNative } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { ipToBytes } from '../../src/net/ip.ts'
import type { Packet } from '../../src/policy/packet.ts'
import { encodePacket } from './raw-packets.ts'

/** A packet that is sent again and again from a network namespace. */
export interface Streamed {
  readonly netns: string
  readonly packet: Packet
}

/** Packets on their way, as fast as one thread can send. */
export interface PacketStream {
  /** How often each packet has been sent, at least. */
  readonly rounds: number
  /** Sends no more; gives how often each was sent. */
  end(): Promise<number>
}

const AF = { 4: 2, 6: 10 } as const
const SOCK_RAW = 3
const IPPROTO_RAW = 255

/** The sender's thread: it does nothing else, so that there are packets at every moment of what goes on beside. */
const SENDER = `
const { workerData: { addon, packets, state }, parentPort } = require('node:worker_threads')
const native = require(addon)
const all = packets.map(({ fd, bytes, to }) => ({ fd, bytes: Buffer.from(bytes), to: Buffer.from(to) }))
while (Atomics.load(state, 0) === 0) {
  for (const { fd, bytes, to } of all) {
    const sent = native.send(fd, bytes, to)
    if (sent < 0) throw new Error('could not send: errno ' + -sent)
  }
  Atomics.add(state, 1, 1)
}
parentPort.postMessage('ended')
`

export function startStream(streamed: readonly Streamed[]): PacketStream {
  const native = loadNative()
  const packets = streamed.map(({ netns, packet }, id) => {
    const fd = withNetns(netns, () => checked(native.socket(AF[packet.family], SOCK_RAW, IPPROTO_RAW), 'make a raw socket'))
    return { fd, bytes: encodePacket(packet, id), to: rawAddress(packet) }
  })
  const state = new Int32Array(new SharedArrayBuffer(8))
  const addon = process.env['MARGAY_NATIVE'] ?? resolve(`native/build/linux-${process.arch}.node`)
  const worker = new Worker(SENDER, { eval: true, workerData: { addon, packets, state } })
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error))
  // Told where the end is waited for.
  failed.catch(() => undefined)
  return {
    get rounds() {
      return Atomics.load(state, 1)
    },
    async end() {
      Atomics.store(state, 0, 1)
      await Promise.race([once(worker, 'exit'), failed])
      for (const { fd } of packets) native.close(fd)
      return Atomics.load(state, 1)
    },
  }
}

function rawAddress({ family, destination }: Packet): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(AF[family], 0)
  bytes.set(ipToBytes(destination.address), family === 4 ? 4 : 8)
  return bytes
}
