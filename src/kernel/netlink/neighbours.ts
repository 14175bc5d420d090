import { FAMILIES, type Family, familyOf, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { macFromBytes, macToBytes } from '../../net/mac.ts'
import { keyOf, type Neighbour } from '../objects.ts'
import { AF_INET, AF_INET6, ERRNO, NDMSG_BYTES, NUD_PERMANENT, RTM } from './constants.ts'
import { createEntryTable, type EntryKind, indexIfPresent, type NetlinkContext } from './entry-table.ts'
import { Held } from './held.ts'
import { isOurs } from './link-index.ts'
import { type Message, type MessageWriter, NLM_F_CREATE, NLM_F_REPLACE, readAttributes } from './message.ts'

const NDA_DST = 1
const NDA_LLADDR = 2

/** Permanent neighbour entries on links of ours; what the kernel learned by itself is not ours. */
export function createNeighbourTable(context: NetlinkContext) {
  return createEntryTable(context, neighbourKind(context))
}

function neighbourKind(context: NetlinkContext): EntryKind<Neighbour> {
  const held = new Held<Neighbour>(isSame)
  return {
    held,
    keyOf: keyOf.neighbours,
    linkOf: ({ link }) => link,
    matches: isSame,
    async list(signal) {
      const found: Neighbour[] = []
      for (const family of FAMILIES) {
        const take = (message: Message) => {
          const read = readNeighbour(context, message)
          return read?.isPermanent ? read.neighbour : undefined
        }
        const write = (writer: MessageWriter, flags: number) => {
          const { buffer, at } = writer.begin(RTM.GETNEIGH, flags, 0, NDMSG_BYTES)
          buffer[at] = family === 4 ? AF_INET : AF_INET6
          writer.finish()
        }
        for (const neighbour of await context.netlink.dump(write, take, signal)) found.push(neighbour)
      }
      return found
    },
    put(key, neighbour) {
      const index = context.links.indexOf(neighbour.link)
      const write = (writer: MessageWriter, sequence: number) => writeNeighbour(writer, sequence, neighbour, index, true)
      return [{ key, describe: () => `put the neighbour ${neighbour.ip} ${neighbour.mac} on ${neighbour.link}`, write }]
    },
    remove(key, neighbour) {
      const index = indexIfPresent(context.links, neighbour.link)
      if (index === undefined) return []
      const write = (writer: MessageWriter, sequence: number) => writeNeighbour(writer, sequence, neighbour, index, false)
      const tolerates = [ERRNO.ENOENT, ERRNO.ENODEV]
      return [{ key, describe: () => `remove the neighbour ${neighbour.ip} on ${neighbour.link}`, write, tolerates }]
    },
    readNotice(message) {
      const read = readNeighbour(context, message)
      if (read === undefined) return undefined
      const key = keyOf.neighbours(read.neighbour)
      const isThere = message.type === RTM.NEWNEIGH && read.isPermanent
      return { key, value: isThere ? read.neighbour : undefined }
    },
  }
}

function isSame(a: Neighbour, b: Neighbour): boolean {
  return a.link === b.link && a.ip === b.ip && a.mac === b.mac
}

function writeNeighbour(writer: MessageWriter, sequence: number, neighbour: Neighbour, index: number, isPut: boolean): void {
  const flags = isPut ? NLM_F_CREATE | NLM_F_REPLACE : 0
  const family: Family = familyOf(neighbour.ip)
  const { buffer, at } = writer.begin(isPut ? RTM.NEWNEIGH : RTM.DELNEIGH, flags, sequence, NDMSG_BYTES)
  buffer[at] = family === 4 ? AF_INET : AF_INET6
  buffer.writeInt32LE(index, at + 4)
  buffer.writeUInt16LE(NUD_PERMANENT, at + 8)
  writer.bytesOf(NDA_DST, ipToBytes(neighbour.ip))
  if (isPut) writer.bytesOf(NDA_LLADDR, macToBytes(neighbour.mac))
  writer.finish()
}

/** An entry of IPv4 or IPv6 on a link of ours. */
function readNeighbour(context: NetlinkContext, message: Message) {
  const { payload } = message
  if (message.type !== RTM.NEWNEIGH && message.type !== RTM.DELNEIGH) return undefined
  if (payload[0] !== AF_INET && payload[0] !== AF_INET6) return undefined
  const link = context.links.get(payload.readInt32LE(4))
  if (link === undefined || !isOurs(link)) return undefined
  const attributes = readAttributes(payload, NDMSG_BYTES)
  const ip = attributes.get(NDA_DST)
  if (ip === undefined) return undefined
  const mac = macFromBytes(attributes.get(NDA_LLADDR) ?? new Uint8Array())
  return { isPermanent: (payload.readUInt16LE(8) & NUD_PERMANENT) !== 0, neighbour: { link: link.name, ip: ipFromBytes(ip), mac } }
}
