import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { type Cidr, cidrContains, lengthOf, parseCidrLoosely } from '../net/cidr.ts'
import type { PacketEnd } from './packet.ts'

/** A port that host endpoints leave open whatever policies say, so that nobody locks himself out. */
export interface Failsafe {
  readonly protocol: number
  readonly port: number
  /** The other side: the source of what comes in, the destination of what goes out. Absent is anywhere, in both families. */
  readonly net?: Cidr | undefined
}

/** Open ports of the host, and ports that it may reach. */
export interface Failsafes {
  readonly inbound: readonly Failsafe[]
  readonly outbound: readonly Failsafe[]
}

const [TCP, UDP, SCTP] = [6, 17, 132]

/**
 * Calico's list (SSH, DHCP, BGP, etcd; out also DNS) without what only Kubernetes and Typha need (5473, 6443, 6666, 6667), and with DHCPv6,
 * without which a host loses its IPv6 address.
 */
export const DEFAULT_FAILSAFES: Failsafes = {
  inbound: [...ports(TCP, 22, 179, 2379, 2380), ...ports(UDP, 68, 546)],
  outbound: [...ports(TCP, 179, 2379, 2380), ...ports(UDP, 53, 67, 547)],
}

/** The failsafe ports of the configuration; a list that is there and empty means none. */
export function failsafesOf(felix: FelixConfigurationSpec): Failsafes {
  return {
    inbound: felix.failsafeInboundHostPorts?.map(readFailsafe) ?? DEFAULT_FAILSAFES.inbound,
    outbound: felix.failsafeOutboundHostPorts?.map(readFailsafe) ?? DEFAULT_FAILSAFES.outbound,
  }
}

/** Failsafes that hold for all the world, as `tcp 22`. */
export interface OpenFailsafes {
  readonly inbound: readonly string[]
  readonly outbound: readonly string[]
}

/** Those of the failsafe ports that no network narrows: a policy that denies the port changes nothing for anybody. */
export function openFailsafes({ inbound, outbound }: Failsafes): OpenFailsafes {
  const open = (list: readonly Failsafe[]) => list.filter(({ net }) => net === undefined || lengthOf(net) === 0).map(show)
  return { inbound: open(inbound), outbound: open(outbound) }
}

function show({ protocol, port, net }: Failsafe): string {
  const names: Readonly<Record<number, string>> = { [TCP]: 'tcp', [UDP]: 'udp', [SCTP]: 'sctp' }
  return `${names[protocol]} ${port}${net === undefined ? '' : ` (${net})`}`
}

/** Whether a packet with these ends goes through a failsafe: `own` is the end of which the port is listed, `other` the other one. */
export function isFailsafe(list: readonly Failsafe[], protocol: number, ownPort: number | undefined, other: PacketEnd['address']): boolean {
  return list.some((one) => one.protocol === protocol && one.port === ownPort && (one.net === undefined || cidrContains(one.net, other)))
}

function ports(protocol: number, ...list: readonly number[]): readonly Failsafe[] {
  return list.map((port) => ({ protocol, port }))
}

type FailsafePort = NonNullable<FelixConfigurationSpec['failsafeInboundHostPorts']>[number]

function readFailsafe({ protocol, port, net }: FailsafePort): Failsafe {
  const numbers: Readonly<Record<string, number>> = { tcp: TCP, udp: UDP, sctp: SCTP }
  return { protocol: numbers[(protocol ?? 'tcp').toLowerCase()] ?? TCP, port, net: net === undefined ? undefined : parseCidrLoosely(net) }
}
