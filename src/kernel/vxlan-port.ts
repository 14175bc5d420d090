import type { Family } from '../net/ip.ts'
import { isOurs } from './netlink/link-index.ts'
import type { LinkInfo } from './netlink/link-info.ts'
import { withNetns } from './netns.ts'
import { findSocketOwner, readLines } from './socket-owner.ts'

/** Who else has the UDP port that our VXLAN device needs. */
export type ForeignVxlan =
  | { readonly by: 'device'; readonly name: string; readonly vni: number }
  | { readonly by: 'process'; readonly pid: number; readonly command: string }
  /** A socket that belongs to no process: the kernel's own, of a device that was moved to another network namespace. */
  | { readonly by: 'kernel' }
  /** A process that we may not look at, or in another PID namespace. */
  | { readonly by: 'unknown'; readonly inode: number }

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
  const read = () => udpInodes(question.port, question.family)
  const [inode] = question.netns === undefined ? read() : withNetns(question.netns, read)
  if (inode === undefined) return undefined
  if (inode === 0) return { by: 'kernel' }
  const owner = findSocketOwner(inode)
  return owner === undefined ? { by: 'unknown', inode } : { by: 'process', ...owner }
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
  if (foreign.by === 'kernel') return `${port} a VXLAN device in another network namespace (as Docker Swarm makes): ${cure}`
  return `${port} a socket of a process that can't be seen from here (inode ${foreign.inode}): ${cure}`
}

function familyOfVxlan(link: LinkInfo): Family {
  return link.vxlan?.local?.includes(':') ? 6 : 4
}

/** Inodes of the sockets that are bound to the port in this thread's network namespace; an IPv6 socket may take IPv4's packets too. */
function udpInodes(port: number, family: Family): number[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const files = family === 4 ? ['udp', 'udp6'] : ['udp6']
  return files.flatMap((file) => {
    const rows = readLines(`/proc/thread-self/net/${file}`).slice(1)
    const found = rows.map((row) => row.trim().split(/\s+/)).filter((columns) => columns[1]?.endsWith(suffix))
    // The kernel's own VXLAN sockets of IPv6 never take IPv4 (udp_port_cfg.ipv6_v6only).
    return found.map((columns) => Number(columns[9])).filter((inode) => !(family === 4 && file === 'udp6' && inode === 0))
  })
}
