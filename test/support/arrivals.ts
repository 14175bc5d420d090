import { checked, loadNative } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { type Family, familyOf, type Ip, ipToBytes } from '../../src/net/ip.ts'
import type { Packet } from '../../src/policy/packet.ts'
import { encodePacket, markerOf } from './raw-packets.ts'
import type { End } from './traffic.ts'

/** An end with the addresses from which it sends and at which it is asked. */
export interface Station extends End {
  readonly addresses: readonly string[]
}

/**
 * The first packet of something: `tcp 80`, `udp 53`, `sctp 90`, `udplite 7`, `99` (a protocol), `ping`, `icmp 13/0` (IPv4), `icmpv6 128/0`;
 * with ` from 4000` a source port, else a new one each.
 */
export type Shot = string

/** Whether single packets arrive behind all rules of an end; nothing needs to answer. */
export interface Arrivals {
  /** Those that arrive over all their families, in their order; one that does over one only is followed by it (`tcp 80 v4`). */
  arrived(from: Station, to: Station, shots: readonly Shot[]): Promise<readonly Shot[]>
  close(): void
}

const AF = { 4: 2, 6: 10 } as const
const SOCK_RAW = 3
const IPPROTO_RAW = 255
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const EPERM = 1
const NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132, udplite: 136 }
const LISTENED = { 4: [1, 6, 17, 99, 132, 136], 6: [58, 6, 17, 99, 132, 136] } as const
const [EVERY_MS, LOOKS, LOOKS_BEFORE_RESENDING] = [3, 60, 20]

export function watchArrivals(): Arrivals {
  const native = loadNative()
  const sockets = new Map<string, number>()
  const count = { id: 0, port: 20_000 }
  const open = (at: End, family: Family, protocol: number) => {
    const key = `${at.path} ${family} ${protocol}`
    const known = sockets.get(key)
    if (known !== undefined) return known
    const fd = withNetns(at.path, () => checked(native.socket(AF[family], SOCK_RAW, protocol), 'make a raw socket'))
    native.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    sockets.set(key, fd)
    return fd
  }
  const buffer = Buffer.alloc(2048)
  const take = (at: End, into: Set<number>) => {
    for (const family of [4, 6] as const)
      for (const protocol of LISTENED[family]) {
        const fd = open(at, family, protocol)
        for (let length = native.recv(fd, buffer); length >= 0; length = native.recv(fd, buffer)) {
          const id = markerOf(buffer.subarray(0, Math.min(length, buffer.length)))
          if (id !== undefined) into.add(id)
        }
      }
  }
  return {
    async arrived(from, to, shots) {
      const found = new Set<number>()
      take(to, found)
      found.clear()
      const sent = shots.flatMap((shot) =>
        ([4, 6] as const).flatMap((family) => {
          const packet = packetOf(shot, family, from, to, () => count.port++)
          return packet === undefined ? [] : [{ shot, family, packet, id: ++count.id }]
        }),
      )
      if (count.port > 60_000) count.port = 20_000
      for (let look = 0; look < LOOKS && sent.some(({ id }) => !found.has(id)); look++) {
        // One may get lost while a neighbour is asked for.
        if (look % LOOKS_BEFORE_RESENDING === 0) {
          for (const { packet, id } of sent.filter((one) => !found.has(one.id))) {
            const to = socketAddress(packet.family, packet.destination.address)
            const result = native.send(open(from, packet.family, IPPROTO_RAW), encodePacket(packet, id), to)
            if (result < 0 && result !== -EPERM) throw new Error(`could not send to ${packet.destination.address}: errno ${-result}`)
          }
        }
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
        take(to, found)
      }
      return shots.flatMap((shot) => {
        const own = sent.filter((one) => one.shot === shot)
        const families = own.flatMap(({ id, family }) => (found.has(id) ? [`v${family}`] : []))
        return families.length === 0 ? [] : [families.length === own.length ? shot : `${shot} ${families}`]
      })
    },
    close() {
      for (const fd of sockets.values()) native.close(fd)
    },
  }
}

function packetOf(shot: Shot, family: Family, from: Station, to: Station, nextPort: () => number): Packet | undefined {
  const [what = '', rest = '', , sourcePort] = shot.split(' ')
  const [source, destination] = [from, to].map(({ addresses }) => addresses.find((one) => familyOf(one) === family) as Ip | undefined)
  if (source === undefined || destination === undefined) return undefined
  const ends = { family, source: { address: source }, destination: { address: destination } }
  if (what === 'ping') return { ...ends, protocol: family === 4 ? 1 : 58, icmp: { type: family === 4 ? 8 : 128, code: 0 } }
  if (what === 'icmp' || what === 'icmpv6') {
    if ((what === 'icmp') !== (family === 4)) return undefined
    const [type = 0, code = 0] = rest.split('/').map(Number)
    return { ...ends, protocol: family === 4 ? 1 : 58, icmp: { type, code } }
  }
  const protocol = NUMBERS[what]
  if (protocol === undefined) return { ...ends, protocol: Number(what) }
  const port = sourcePort === undefined ? nextPort() : Number(sourcePort)
  return { ...ends, protocol, source: { address: source, port }, destination: { address: destination, port: Number(rest) } }
}

function socketAddress(family: Family, address: string): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(AF[family], 0)
  bytes.set(ipToBytes(address as Ip), family === 4 ? 4 : 8)
  return bytes
}
