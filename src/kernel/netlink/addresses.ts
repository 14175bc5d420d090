import { type InterfaceAddress, ipOf, lengthOf } from '../../net/cidr.ts'
import { FAMILIES, type Family, familyOf, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { type Address, keyOf } from '../objects.ts'
import { AF_INET, AF_INET6, ERRNO, IFADDR_BYTES, RTM } from './constants.ts'
import { createEntryTable, type EntryKind, indexIfPresent, type NetlinkContext } from './entry-table.ts'
import { Held } from './held.ts'
import { isOurs } from './link-index.ts'
import { type Message, type MessageWriter, NLM_F_CREATE, NLM_F_REPLACE, readAttributes, readNumber } from './message.ts'

const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const
const IFA_F_NODAD = 2
const SCOPE_LINK = 253
const SCOPES: ReadonlyMap<number, AddressInfo['scope']> = new Map([
  [0, 'global'],
  [200, 'site'],
  [SCOPE_LINK, 'link'],
  [254, 'host'],
])

/** What the kernel says of one address of an interface. */
export interface AddressInfo {
  readonly index: number
  readonly address: InterfaceAddress
  readonly scope: 'global' | 'link' | 'host' | 'site'
  readonly isDeprecated: boolean
  /** Duplicate address detection is not done, or found a duplicate: not usable. */
  readonly isTentative: boolean
  /** Not made by a router advertisement or a lease. */
  readonly isPermanent: boolean
}

/** All addresses on links of ours, but for the link-local ones that the kernel gives a tunnel device by itself. */
export function createAddressTable(context: NetlinkContext) {
  return createEntryTable(context, addressKind(context))
}

/** Reads RTM_NEWADDR or RTM_DELADDR. */
export function readAddress(message: Message): AddressInfo | undefined {
  const { payload } = message
  if (message.type !== RTM.NEWADDR && message.type !== RTM.DELADDR) return undefined
  if (payload[0] !== AF_INET && payload[0] !== AF_INET6) return undefined
  const attributes = readAttributes(payload, IFADDR_BYTES)
  // On a point-to-point link IFA_ADDRESS is the other end's.
  const own = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS)
  if (own === undefined) return undefined
  const flags = readNumber(attributes.get(IFA.FLAGS)) ?? payload[2] ?? 0
  return {
    index: payload.readUInt32LE(4),
    address: `${ipFromBytes(own)}/${payload[1]}` as InterfaceAddress,
    scope: SCOPES.get(payload[3] ?? 0) ?? 'global',
    isDeprecated: (flags & 0x20) !== 0,
    isTentative: (flags & 0x48) !== 0,
    isPermanent: (flags & 0x80) !== 0,
  }
}

/** Asks for the addresses of one family, of one interface where an index is given. */
export function writeAddressDump(writer: MessageWriter, flags: number, family: Family, index = 0): void {
  const { buffer, at } = writer.begin(RTM.GETADDR, flags, 0, IFADDR_BYTES)
  buffer[at] = family === 4 ? AF_INET : AF_INET6
  buffer.writeUInt32LE(index, at + 4)
  writer.finish()
}

/** Puts (without duplicate address detection, so that it is usable at once) or removes an address. */
export function writeAddress(writer: MessageWriter, sequence: number, address: InterfaceAddress, index: number, isPut: boolean): void {
  const isV4 = familyOf(address) === 4
  const flags = isPut ? NLM_F_CREATE | NLM_F_REPLACE : 0
  const { buffer, at } = writer.begin(isPut ? RTM.NEWADDR : RTM.DELADDR, flags, sequence, IFADDR_BYTES)
  buffer[at] = isV4 ? AF_INET : AF_INET6
  buffer[at + 1] = lengthOf(address)
  buffer[at + 3] = address.startsWith('fe80:') || address.startsWith('169.254.') ? SCOPE_LINK : 0
  buffer.writeUInt32LE(index, at + 4)
  const bytes = ipToBytes(ipOf(address))
  writer.bytesOf(IFA.LOCAL, bytes)
  if (isV4) writer.bytesOf(IFA.ADDRESS, bytes)
  if (isPut && !isV4) writer.u32(IFA.FLAGS, IFA_F_NODAD)
  writer.finish()
}

function addressKind(context: NetlinkContext): EntryKind<Address> {
  return {
    held: new Held<Address>(isSame),
    keyOf: keyOf.addresses,
    linkOf: ({ link }) => link,
    matches: isSame,
    async list(signal) {
      const found: Address[] = []
      for (const family of FAMILIES) {
        const write = (writer: MessageWriter, flags: number) => writeAddressDump(writer, flags, family)
        for (const address of await context.netlink.dump(write, (message) => readOwn(context, message), signal)) found.push(address)
      }
      return found
    },
    put(key, { link, address }) {
      const index = context.links.indexOf(link)
      const write = (writer: MessageWriter, sequence: number) => writeAddress(writer, sequence, address, index, true)
      return [{ key, describe: () => `put the address ${address} on ${link}`, write }]
    },
    remove(key, { link, address }) {
      const index = indexIfPresent(context.links, link)
      if (index === undefined) return []
      const write = (writer: MessageWriter, sequence: number) => writeAddress(writer, sequence, address, index, false)
      return [{ key, describe: () => `remove the address ${address} from ${link}`, write, tolerates: [ERRNO.EADDRNOTAVAIL, ERRNO.ENODEV] }]
    },
    readNotice(message) {
      const address = readOwn(context, message)
      return address && { key: keyOf.addresses(address), value: message.type === RTM.NEWADDR ? address : undefined }
    },
  }
}

function isSame(a: Address, b: Address): boolean {
  return a.link === b.link && a.address === b.address
}

function readOwn(context: NetlinkContext, message: Message): Address | undefined {
  const info = readAddress(message)
  const link = info && context.links.get(info.index)
  if (info === undefined || link === undefined || !isOurs(link)) return undefined
  if (link.kind === 'vxlan' && info.scope === 'link' && familyOf(info.address) === 6) return undefined
  return { link: link.name, address: info.address }
}
