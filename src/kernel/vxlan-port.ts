import type { Family } from '../net/ip.ts'
import { isOurs } from './netlink/link-index.ts'
import type { LinkInfo } from './netlink/link-info.ts'
import { withNetns } from './netns.ts'
import { findSocketOwner, readLines } from './socket-owner.ts'

/** Who else has the UDP port that our VXLAN device needs. */
export type ForeignVxlan =
  | { readonly by: 'device'; readonly name: string; readonly vni: number }
  | { readonly by: 'process'; readonly pid: number; readonly command: string }
  /** A socket that no process has open: the kernel's own, of a device that was moved to another network namespace. */
  | { readonly by: 'kernel' }

/**
 * Finds somebody else's VXLAN device or UDP socket on a port. Asked before our device of the family is made: two devices
 * can share a port in the kernel, but our packet filter takes the port for ours and would drop the other's packets.
 */
export function findForeignVxlan(question: {
  readonly links: Iterable<LinkInfo>
  readonly port: number
  readonly family: Family
  readonly netns?: string | undefined
}): ForeignVxlan | undefined {
  const devices = [...question.links].filter((link) => link.vxlan?.port === question.port)
  const foreign = devices.find((link) => !isOurs(link))
  if (foreign?.vxlan !== undefined) return { by: 'device', name: foreign.name, vni: foreign.vxlan.vni }
  // Ours of this family (one that is about to be replaced, or a second): the socket is its own.
  const hasOwn = devices.some((link) => link.isUp && familyOfVxlan(link) === question.family)
  if (hasOwn) return undefined
  const inside = <T>(work: () => T): T => (question.netns === undefined ? work() : withNetns(question.netns, work))
  const [inode] = inside(() => udpInodes(question.port, question.family))
  if (inode !== undefined) return ownerOf(inode) ?? { by: 'kernel' }
  // A process's IPv6 socket may take IPv4's packets too; the kernel's own of VXLAN never do (udp_port_cfg.ipv6_v6only).
  const [other] = question.family === 4 ? inside(() => udpInodes(question.port, 6)) : []
  return other === undefined ? undefined : ownerOf(other)
}

/** Says who has the port, and what can be done, as the end of a sentence. */
export function describeForeignVxlan(foreign: ForeignVxlan, wanted: { readonly vni: number; readonly port: number }): string {
  const cure = 'remove it, or set another vxlanPort in the FelixConfiguration of all hosts'
  if (foreign.by === 'device') {
    const what = foreign.vni === wanted.vni ? `VNI ${wanted.vni} on UDP port ${wanted.port}` : `UDP port ${wanted.port}`
    return `the VXLAN device ${JSON.stringify(foreign.name)} (VNI ${foreign.vni}), which is not ours, has ${what}: ${cure}`
  }
  const port = `UDP port ${wanted.port} is taken by`
  if (foreign.by === 'process') return `${port} the process ${foreign.pid} (${foreign.command}): ${cure}`
  return `${port} a VXLAN device in another network namespace (as Docker Swarm makes): ${cure}`
}

function familyOfVxlan(link: LinkInfo): Family {
  return link.vxlan?.local?.includes(':') ? 6 : 4
}

function ownerOf(inode: number): ForeignVxlan | undefined {
  const owner = findSocketOwner(inode)
  return owner && { by: 'process', ...owner }
}

/** Inodes of the UDP sockets that are bound to the port in this thread's network namespace. */
function udpInodes(port: number, family: Family): number[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readLines(`/proc/thread-self/net/${family === 4 ? 'udp' : 'udp6'}`).slice(1)
  const columns = rows.map((row) => row.trim().split(/\s+/)).filter(([, local]) => local?.endsWith(suffix))
  return columns.map((column) => Number(column[9]))
}
