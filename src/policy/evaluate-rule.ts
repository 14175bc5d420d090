import { cidrContains } from '../net/cidr.ts'
import type { AddressSet } from './address-set.ts'
import type { IcmpMatch, MatchRule, PortMatch, SideMatch } from './match-rule.ts'
import type { Members } from './members.ts'
import { ICMP_PROTOCOLS, type Packet, type PacketEnd } from './packet.ts'

/** Whether a rule matches a packet: all that it names must hold. */
export function matchesRule(rule: MatchRule, packet: Packet, members: Members): boolean {
  const { family, protocol, source, destination } = packet
  return (
    rule.families.includes(family) &&
    rule.protocols?.includes(protocol) !== false &&
    rule.notProtocol !== protocol &&
    (rule.icmp === undefined || isIcmp(rule.icmp, packet)) &&
    (rule.notIcmp === undefined || isOtherIcmp(rule.notIcmp, packet)) &&
    matchesSide(rule.source, source, protocol, members) &&
    matchesSide(rule.destination, destination, protocol, members)
  )
}

function isIcmp({ type, code }: IcmpMatch, { family, protocol, icmp }: Packet): boolean {
  if (protocol !== ICMP_PROTOCOLS[family] || icmp === undefined) return false
  return icmp.type === type && (code === undefined || icmp.code === code)
}

/** Any ICMP but this: of a type with a code, the same type with another code, too. */
function isOtherIcmp(given: IcmpMatch, packet: Packet): boolean {
  return packet.protocol === ICMP_PROTOCOLS[packet.family] && packet.icmp !== undefined && !isIcmp(given, packet)
}

function matchesSide(side: SideMatch, { address, port }: PacketEnd, protocol: number, members: Members): boolean {
  const isIn = (set: AddressSet) => members.has(set, address, protocol, port)
  const isPort = ({ ranges, named }: PortMatch) =>
    (port !== undefined && ranges.some(({ low, high }) => low <= port && port <= high)) || named.some(isIn)
  return (
    side.nets?.some((net) => cidrContains(net, address)) !== false &&
    !side.notNets?.some((net) => cidrContains(net, address)) &&
    (side.set === undefined || isIn(side.set)) &&
    (side.notSet === undefined || !isIn(side.notSet)) &&
    (side.service === undefined || isIn(side.service)) &&
    (side.ports === undefined || isPort(side.ports)) &&
    (side.notPorts === undefined || !isPort(side.notPorts))
  )
}
