import { loadNative } from '../../src/kernel/native.ts'
import { withNetns } from '../../src/kernel/netns.ts'
import { type Family, ipToBytes } from '../../src/net/ip.ts'
import { createNamespace, joinNamespaces, type Namespace } from './nft-lab.ts'
import { encodePacket, markerOf, type SentPacket } from './raw-packets.ts'

/*
 *   w1 ──mgyw1──┐
 *               host ──eth0── outside    192.0.2.0/24     2001:db8:1::/64
 *   w2 ──mgyw2──┘  └────eth1── lan       203.0.113.0/24   2001:db8:2::/64
 *   10.65.0.0/24, 2001:db8:65::/64
 */

/** The neighbours of the policed host, by the names of its interfaces to them. */
export const LINKS = ['mgyw1', 'mgyw2', 'eth0', 'eth1'] as const

export type Link = (typeof LINKS)[number]

/** Where packets to these addresses leave the host. */
export const REACHED: Readonly<Record<Link, readonly string[]>> = {
  mgyw1: ['10.65.0.2', '2001:db8:65::2'],
  mgyw2: ['10.65.0.3', '2001:db8:65::3'],
  eth0: ['192.0.2.9', '192.0.2.10', '2001:db8:1::9', '2001:db8:1::10'],
  eth1: ['203.0.113.9', '203.0.113.77', '2001:db8:2::9', '2001:db8:2::77'],
}

/** The host's own addresses. */
export const OWN: Readonly<Record<Link, readonly string[]>> = {
  mgyw1: ['10.65.0.1', '2001:db8:65::1'],
  mgyw2: [],
  eth0: ['192.0.2.1', '2001:db8:1::1'],
  eth1: ['203.0.113.1', '2001:db8:2::1'],
}

/** What NAT makes of packets to port 8080 that come in by eth0, and of the host's own ones to 8081. */
export const TRANSLATED = {
  in: { port: 8080, to: { 4: '10.65.0.2', 6: '2001:db8:65::2' }, toPort: 80 },
  out: { port: 8081, to: { 4: '203.0.113.9', 6: '2001:db8:2::9' }, toPort: 82 },
} as const

/** The policed host with its neighbours, who send whatever they are told to and answer nothing. */
export interface PolicyLab {
  readonly host: Namespace
  readonly neighbours: Readonly<Record<Link, Namespace>>
  /** Sends a packet from the neighbour at this link, or from the host itself. */
  send(from: Link | 'host', packet: SentPacket, id: number, hopLimit?: number): void
  /** The numbers of the packets that have come anywhere, each by whom it was got last; then they are forgotten. */
  takeReceived(): ReadonlyMap<number, Link | 'host'>
  close(): void
}

const AF = { packet: 17, 4: 2, 6: 10 } as const
const SOCK = { datagram: 2, raw: 3 } as const
const IPPROTO_RAW = 255
/** ETH_P_ALL in network byte order. */
const ALL_PROTOCOLS = 0x0300
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const SOL_PACKET = 263
/** Linux 4.20: only what comes in. */
const PACKET_IGNORE_OUTGOING = 23
/** Protocols that the host listens to, and one that has no ports. */
const LISTENED = { 4: [1, 4, 6, 17, 99, 132, 136], 6: [58, 6, 17, 99, 132, 136] } as const

export function createPolicyLab(label: string): PolicyLab {
  const host = createNamespace(`${label}h`)
  const neighbours = LINKS.map((link, i) => connect(host, link, createNamespace(`${label}${i}`), i))
  host.run('sh', '-c', HOST_SETTINGS)
  host.run('nft', HOST_RULES)
  const native = loadNative()
  const open = (namespace: Namespace, family: number, type: number, protocol: number) => {
    const fd = withNetns(namespace.path, () => native.socket(family, type, protocol))
    if (fd < 0) throw new Error(`no socket ${family} ${type} ${protocol} in ${namespace.name}: errno ${-fd}`)
    native.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    return fd
  }
  const senders = new Map<string, number>()
  const receivers: { fd: number; where: Link | 'host' }[] = []
  for (const [namespace, where] of [[host, 'host'], ...neighbours.map((one, i) => [one, LINKS[i]])] as [Namespace, Link | 'host'][]) {
    for (const family of [4, 6] as const) senders.set(`${where} ${family}`, open(namespace, AF[family], SOCK.raw, IPPROTO_RAW))
    if (where !== 'host') {
      const fd = open(namespace, AF.packet, SOCK.datagram, ALL_PROTOCOLS)
      native.setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
      receivers.push({ where, fd })
    } else
      for (const family of [4, 6] as const)
        for (const protocol of LISTENED[family]) receivers.push({ where, fd: open(host, AF[family], SOCK.raw, protocol) })
  }
  const buffer = Buffer.alloc(2048)
  return {
    host,
    neighbours: Object.fromEntries(LINKS.map((link, i) => [link, neighbours[i]])) as Record<Link, Namespace>,
    send(from, packet, id, hopLimit) {
      const fd = senders.get(`${from} ${packet.family}`) ?? -1
      const sent = native.send(
        fd,
        encodePacket(packet, id, hopLimit),
        socketAddress(packet.family, packet.via ?? packet.destination.address),
      )
      // The host's own output rules answer with EPERM.
      if (sent < 0 && sent !== -1) throw new Error(`could not send from ${from} to ${packet.destination.address}: errno ${-sent}`)
    },
    takeReceived() {
      const received = new Map<number, Link | 'host'>()
      for (const { fd, where } of receivers) {
        for (let length = native.recv(fd, buffer); length >= 0; length = native.recv(fd, buffer)) {
          const id = markerOf(buffer.subarray(0, Math.min(length, buffer.length)))
          if (id !== undefined) received.set(id, where)
        }
      }
      return received
    },
    close() {
      for (const fd of [...senders.values(), ...receivers.map((one) => one.fd)]) native.close(fd)
      for (const namespace of [host, ...neighbours]) namespace.remove()
    },
  }
}

function connect(host: Namespace, link: Link, neighbour: Namespace, index: number): Namespace {
  joinNamespaces(host, link, neighbour, 'eth0')
  const [near, far] = [`02:00:00:00:01:0${index}`, `02:00:00:00:02:0${index}`]
  host.ip(
    `link set ${link} address ${near}`,
    ...OWN[link].map((address) => `addr add ${address}/${address.includes(':') ? '128 nodad' : '32'} dev ${link}`),
    // Nobody asks for a neighbour: each is written down.
    ...REACHED[link].flatMap((address) => [
      `route add ${address} dev ${link}`,
      `neigh add ${address} lladdr ${far} dev ${link} nud permanent`,
    ]),
  )
  neighbour.ip(
    `link set eth0 address ${far}`,
    'route add 169.254.1.1 dev eth0',
    'route replace fe80::1 dev eth0',
    ...['169.254.1.1', 'fe80::1'].flatMap((gateway) => [
      `neigh replace ${gateway} lladdr ${near} dev eth0 nud permanent`,
      `route add default via ${gateway} dev eth0 onlink`,
    ]),
  )
  neighbour.run(
    'nft',
    `add table inet mute
     add chain inet mute in { type filter hook prerouting priority -400; policy drop; }
     add chain inet mute out { type filter hook output priority -400; }
     add rule inet mute out icmpv6 type ${UNASKED} drop`,
  )
  return neighbour
}

/** Forged sources are wanted, and packets whose checksums nobody fills in (SCTP). */
const HOST_SETTINGS = [
  'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done',
  'echo 1 > /proc/sys/net/ipv4/ip_forward',
  'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
  'for f in /proc/sys/net/ipv6/conf/*/accept_ra; do echo 0 > $f; done',
  'echo 0 > /proc/sys/net/netfilter/nf_conntrack_checksum 2>/dev/null || true',
].join('; ')

/** What a kernel says by itself when an interface comes up: it would be counted by the rules that are looked at. */
const UNASKED = '{ mld-listener-report, mld-listener-done, nd-router-solicit, mld2-listener-report }'

/** The host answers nothing, and translates. */
const HOST_RULES = `
  add table inet mute
  add chain inet mute out { type filter hook output priority -400; }
  add rule inet mute out tcp flags rst drop
  add rule inet mute out icmpv6 type ${UNASKED} drop
  add rule inet mute out icmp type { echo-reply, destination-unreachable, timestamp-reply, redirect } drop
  add rule inet mute out icmpv6 type { destination-unreachable, echo-reply, nd-redirect, parameter-problem } drop
  add rule inet mute out sctp chunk abort exists drop
  add chain inet mute incoming { type nat hook prerouting priority -100; }
  add rule inet mute incoming iifname eth0 meta nfproto ipv4 tcp dport 8080 dnat ip to 10.65.0.2:80
  add rule inet mute incoming iifname eth0 meta nfproto ipv6 tcp dport 8080 dnat ip6 to [2001:db8:65::2]:80
  add chain inet mute outgoing { type nat hook output priority -100; }
  add rule inet mute outgoing meta nfproto ipv4 tcp dport 8081 dnat ip to 203.0.113.9:82
  add rule inet mute outgoing meta nfproto ipv6 tcp dport 8081 dnat ip6 to [2001:db8:2::9]:82
`

function socketAddress(family: Family, address: string): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(AF[family], 0)
  bytes.set(ipToBytes(address as never), family === 4 ? 4 : 8)
  return bytes
}
