import { ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { macFromBytes, macToBytes } from '../../net/mac.ts'
import { type FdbEntry, keyOf } from '../objects.ts'
import { AF_BRIDGE, ERRNO, NDMSG_BYTES, NUD_PERMANENT, RTM } from './constants.ts'
import { createEntryTable, type EntryKind, indexIfPresent, type NetlinkContext } from './entry-table.ts'
import { Held } from './held.ts'
import { isOurs } from './link-index.ts'
import { type Message, type MessageWriter, NLM_F_CREATE, NLM_F_REPLACE, readAttributes } from './message.ts'

const NDA_DST = 1
const NDA_LLADDR = 2
/** The device's own table, not that of a bridge above it. */
const NTF_SELF = 2
/** The address of the entry for all that has none: not ours, nothing is sent to everybody. */
const NO_MAC = '00:00:00:00:00:00'

/** Permanent forwarding entries of VXLAN devices of ours. */
export function createFdbTable(context: NetlinkContext) {
  return createEntryTable(context, fdbKind(context))
}

function fdbKind(context: NetlinkContext): EntryKind<FdbEntry> {
  return {
    held: new Held<FdbEntry>(isSame),
    keyOf: keyOf.fdb,
    linkOf: ({ link }) => link,
    matches: isSame,
    async list(signal) {
      const found: FdbEntry[] = []
      const devices = [...context.links.all()].filter((link) => link.kind === 'vxlan' && isOurs(link))
      for (const { index } of devices) {
        const write = (writer: MessageWriter, flags: number) => writeDump(writer, flags, index)
        for (const entry of await context.netlink.dump(write, (message) => readEntry(context, message), signal)) found.push(entry)
      }
      return found
    },
    put(key, entry) {
      const index = context.links.indexOf(entry.link)
      const write = (writer: MessageWriter, sequence: number) => writeEntry(writer, sequence, entry, index, true)
      return [{ key, describe: () => `put the FDB entry ${entry.mac} dst ${entry.dst} on ${entry.link}`, write }]
    },
    remove(key, entry) {
      const index = indexIfPresent(context.links, entry.link)
      if (index === undefined) return []
      const write = (writer: MessageWriter, sequence: number) => writeEntry(writer, sequence, entry, index, false)
      return [{ key, describe: () => `remove the FDB entry ${entry.mac} on ${entry.link}`, write, tolerates: [ERRNO.ENOENT, ERRNO.ENODEV] }]
    },
    readNotice(message) {
      const entry = readEntry(context, message)
      if (entry === undefined) return undefined
      return { key: keyOf.fdb(entry), value: message.type === RTM.DELNEIGH ? undefined : entry }
    },
  }
}

function isSame(a: FdbEntry, b: FdbEntry): boolean {
  return a.link === b.link && a.mac === b.mac && a.dst === b.dst
}

/** A removal names no destination: it takes the MAC with all of them. */
function writeEntry(writer: MessageWriter, sequence: number, entry: FdbEntry, index: number, isPut: boolean): void {
  const flags = isPut ? NLM_F_CREATE | NLM_F_REPLACE : 0
  const { buffer, at } = writer.begin(isPut ? RTM.NEWNEIGH : RTM.DELNEIGH, flags, sequence, NDMSG_BYTES)
  buffer[at] = AF_BRIDGE
  buffer.writeInt32LE(index, at + 4)
  buffer.writeUInt16LE(NUD_PERMANENT, at + 8)
  buffer[at + 10] = NTF_SELF
  writer.bytesOf(NDA_LLADDR, macToBytes(entry.mac))
  if (isPut) writer.bytesOf(NDA_DST, ipToBytes(entry.dst))
  writer.finish()
}

function writeDump(writer: MessageWriter, flags: number, index: number): void {
  const { buffer, at } = writer.begin(RTM.GETNEIGH, flags, 0, NDMSG_BYTES)
  buffer[at] = AF_BRIDGE
  buffer.writeInt32LE(index, at + 4)
  writer.finish()
}

/** A permanent entry with a destination, of a VXLAN device of ours. */
function readEntry(context: NetlinkContext, message: Message): FdbEntry | undefined {
  const { payload } = message
  if ((message.type !== RTM.NEWNEIGH && message.type !== RTM.DELNEIGH) || payload[0] !== AF_BRIDGE) return undefined
  const link = context.links.get(payload.readInt32LE(4))
  if (link?.kind !== 'vxlan' || !isOurs(link)) return undefined
  const attributes = readAttributes(payload, NDMSG_BYTES)
  const mac = attributes.get(NDA_LLADDR)
  const dst = attributes.get(NDA_DST)
  if (mac === undefined || dst === undefined || (payload.readUInt16LE(8) & NUD_PERMANENT) === 0) return undefined
  const entry = { link: link.name, mac: macFromBytes(mac), dst: ipFromBytes(dst) }
  return entry.mac === NO_MAC ? undefined : entry
}
