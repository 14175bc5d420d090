import { KernelError } from '../../errors.ts'
import { familyOf, ipToBytes } from '../../net/ip.ts'
import { macToBytes } from '../../net/mac.ts'
import type { VxlanLink } from '../objects.ts'
import { describeForeignVxlan, findForeignVxlan } from '../vxlan-port.ts'
import { ERRNO, IFF_UP, IFINFO_BYTES, RTM } from './constants.ts'
import type { NetlinkContext } from './entry-table.ts'
import { IFLA, IFLA_VXLAN, type LinkInfo } from './link-info.ts'
import { type MessageWriter, NLM_F_CREATE, NLM_F_EXCL } from './message.ts'

/**
 * Makes a VXLAN device what it should be. MTU, MAC and being up change in place; anything else needs a new device, with
 * which the kernel drops the routes, neighbours and FDB entries of the old one.
 *
 * @throws {KernelError}
 */
export function putVxlan(context: NetlinkContext, link: VxlanLink, existing: LinkInfo | undefined, netns: string | undefined): void {
  const uplink = context.links.ask(link.uplink)
  if (uplink === undefined) {
    throw new KernelError(`could not make ${link.name}: its uplink ${JSON.stringify(link.uplink)} is not there`, { errno: ERRNO.ENODEV })
  }
  const isSameDevice = existing !== undefined && vxlanFaults(link, existing, uplink.index).length === 0
  if (existing !== undefined && !isSameDevice) removeLink(context, existing)
  if (!isSameDevice) createVxlan(context, link, uplink.index, netns)
  setLink(context, isSameDevice ? existing : context.links.ask(link.name), link)
}

/** What of an existing device can't be changed in place. */
export function vxlanFaults(link: VxlanLink, existing: LinkInfo, uplinkIndex: number): string[] {
  const { vxlan } = existing
  if (vxlan === undefined) return [`is a ${existing.kind ?? 'plain'} device`]
  const faults: string[] = []
  if (vxlan.vni !== link.vni) faults.push(`has VNI ${vxlan.vni}`)
  if (vxlan.port !== link.port) faults.push(`has port ${vxlan.port}`)
  if (vxlan.local !== link.local) faults.push(`has local address ${vxlan.local ?? 'none'}`)
  if (vxlan.uplinkIndex !== uplinkIndex) faults.push('is on another uplink')
  return [...faults, ...generalFaults(vxlan)]
}

/** What is wrong with any VXLAN device of ours, whatever it is for. */
export function generalFaults(vxlan: { readonly isLearning: boolean; readonly isExternal: boolean }): string[] {
  const faults: string[] = []
  if (vxlan.isLearning) faults.push('learns addresses')
  if (vxlan.isExternal) faults.push('takes its VNI from routes (external)')
  return faults
}

/** Brings MTU, MAC and being up to what they should be. The MAC only if it differs: setting it drops all neighbours, permanent ones too. */
export function setLink(
  context: NetlinkContext,
  existing: LinkInfo | undefined,
  link: { name: string; mtuBytes: number; mac: string },
): void {
  if (existing === undefined) throw new KernelError(`${link.name} vanished while it was set up`, { errno: ERRNO.ENODEV })
  const isSame = existing.mtuBytes === link.mtuBytes && existing.mac === link.mac && existing.isUp
  if (isSame) return
  context.netlink.change(`set up ${link.name} with MTU ${link.mtuBytes} and MAC ${link.mac}`, (writer, sequence) => {
    const { buffer, at } = writer.begin(RTM.NEWLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(existing.index, at + 4)
    setUp(buffer, at)
    if (existing.mtuBytes !== link.mtuBytes) writer.u32(IFLA.MTU, link.mtuBytes)
    if (existing.mac !== link.mac) writer.bytesOf(IFLA.ADDRESS, macToBytes(link.mac as VxlanLink['mac']))
    writer.finish()
  })
}

/** Removes a device by its index, so that never another that took its name meanwhile. Gone already is success. */
export function removeLink(context: NetlinkContext, link: LinkInfo): void {
  const write = (writer: MessageWriter, sequence: number) => {
    const { buffer, at } = writer.begin(RTM.DELLINK, 0, sequence, IFINFO_BYTES)
    buffer.writeInt32LE(link.index, at + 4)
    writer.finish()
  }
  // First: that the kernel drops what hangs on it is told of while it is removed, and is no news.
  context.links.remove(link.index)
  context.netlink.change(`remove the interface ${link.name}`, write, [ERRNO.ENODEV])
}

/** Sets IFF_UP, and says that no other flag is meant. */
export function setUp(buffer: Buffer, at: number): void {
  buffer.writeUInt32LE(IFF_UP, at + 8)
  buffer.writeUInt32LE(IFF_UP, at + 12)
}

function createVxlan(context: NetlinkContext, link: VxlanLink, uplinkIndex: number, netns: string | undefined): void {
  refuseForeign(context, link, netns)
  try {
    context.netlink.change(`make the VXLAN device ${link.name}`, (writer, sequence) => writeVxlan(writer, sequence, link, uplinkIndex))
  } catch (cause) {
    // Somebody was quicker than our look around.
    if (cause instanceof KernelError && (cause.errno === ERRNO.EEXIST || cause.errno === ERRNO.EADDRINUSE))
      refuseForeign(context, link, netns, cause)
    throw cause
  }
}

function refuseForeign(context: NetlinkContext, link: VxlanLink, netns: string | undefined, cause?: KernelError): void {
  const foreign = findForeignVxlan({ links: context.links.all(), port: link.port, family: familyOf(link.local), netns })
  if (foreign === undefined) return
  const errno = cause?.errno ?? ERRNO.EADDRINUSE
  throw new KernelError(`could not make ${link.name}: ${describeForeignVxlan(foreign, link)}`, { errno, ...(cause && { cause }) })
}

/** Only what `ip link add … type vxlan id … local … dev … dstport … nolearning` sends, so the two are the same device. */
function writeVxlan(writer: MessageWriter, sequence: number, link: VxlanLink, uplinkIndex: number): void {
  const { buffer, at } = writer.begin(RTM.NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sequence, IFINFO_BYTES)
  setUp(buffer, at)
  writer.text(IFLA.IFNAME, link.name)
  writer.u32(IFLA.MTU, link.mtuBytes)
  writer.bytesOf(IFLA.ADDRESS, macToBytes(link.mac))
  writer.nested(IFLA.LINKINFO, () => {
    writer.text(IFLA.INFO_KIND, 'vxlan')
    writer.nested(IFLA.INFO_DATA, () => {
      writer.u32(IFLA_VXLAN.ID, link.vni)
      writer.u32(IFLA_VXLAN.LINK, uplinkIndex)
      writer.bytesOf(familyOf(link.local) === 4 ? IFLA_VXLAN.LOCAL : IFLA_VXLAN.LOCAL6, ipToBytes(link.local))
      writer.u8(IFLA_VXLAN.LEARNING, 0)
      writer.u16be(IFLA_VXLAN.PORT, link.port)
    })
  })
  writer.finish()
}
